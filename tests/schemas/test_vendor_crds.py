"""Built-in schemas from CRDs: descriptions are dropped, and an existing version is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from gatekeeper.schemas import vendor_crds

CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "description": "A widget.",
                        "properties": {
                            "description": {"type": "string", "description": "Its text.", "format": "byte"},
                            "parts": {"type": "array", "items": {"type": "object", "title": "t"}},
                        },
                    }
                },
            }
        ],
    },
}


def write_crd(folder: Path, name: str, description: str) -> str:
    crd = orjson.loads(orjson.dumps(CRD))
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][description] = {"type": "integer"}
    (folder / name).write_text(yaml.safe_dump_all([{"kind": "Namespace", "apiVersion": "v1"}, crd]))
    return str(folder / name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that schemas are written to."""
    monkeypatch.setattr(vendor_crds, "SCHEMA_FOLDER", tmp_path)
    return tmp_path


def test_texts_for_people_are_dropped_and_properties_of_their_names_stay() -> None:
    schema = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert vendor_crds.strip_annotations(schema) == {
        "type": "object",
        "properties": {
            "description": {"type": "string"},
            "parts": {"type": "array", "items": {"type": "object"}},
        },
    }


def test_existing_version_is_kept_and_names_its_release(folder: Path) -> None:
    vendor_crds.add_crds("widget@2", [write_crd(folder, "new.yaml", "newer")])
    vendor_crds.add_crds("widget@1", [write_crd(folder, "old.yaml", "older")])
    held = orjson.loads((folder / "example.com.json").read_bytes())
    [definition] = held["definitions"]
    assert held["origins"] == {"Widget v1": "widget@2"}
    assert "newer" in definition["schema"]["properties"] and "older" not in definition["schema"]["properties"]


def test_a_file_that_is_not_yaml_ends_with_its_line_and_adds_nothing(folder: Path) -> None:
    (folder / "broken.yaml").write_text("a: 1\nb: [\n")
    with pytest.raises(SystemExit, match=r"broken\.yaml:\d+: "):
        vendor_crds.add_crds("widget@1", [str(folder / "broken.yaml")])
    assert not (folder / "example.com.json").exists()
