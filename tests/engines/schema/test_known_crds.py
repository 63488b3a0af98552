"""The custom kinds of a repository: from its CRDs, from templates, and from folders of the config."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.config import Config
from gatekeeper.engines.schema import known_crds
from gatekeeper.engines.schema.crds import CustomKind
from gatekeeper.errors import UsageError
from tests.conftest import Repository, command, judge
from tests.engines.admission.test_constraints import TEMPLATE
from tests.engines.resources import parse_resources
from tests.engines.schema.test_validation import CRD, SHOP
from tests.render.rendering import parse


def test_crds_come_from_folders_of_the_config_too(repository: Repository) -> None:
    config = "library: {profile: 'off'}\nschemas: {crds: [vendor/crds]}\nfiles: {exclude: [vendor]}\n"
    files: dict[str, str | bytes] = {
        "gatekeeper.yaml": config,
        "vendor/crds/shop.yaml": CRD,
        "s.yaml": SHOP + "  {max: 1}",
    }
    assert [finding.rule for finding in judge(repository(files)).findings] == ["schema/required"]


def test_crds_may_come_as_kubectl_prints_them(repository: Repository) -> None:
    listed = "apiVersion: v1\nkind: List\nitems:\n- " + CRD.replace("\n", "\n  ") + "\n"
    config = "library: {profile: 'off'}\nschemas: {crds: [all]}\nfiles: {exclude: [all]}\n"
    root = repository({"gatekeeper.yaml": config, "all/all.yaml": listed, "s.yaml": SHOP + "  {max: 1}"})
    assert [finding.rule for finding in judge(root).findings] == ["schema/required"]


def test_a_crd_file_that_cannot_be_read_is_reported(repository: Repository) -> None:
    config = "schemas: {crds: [all]}\nfiles: {exclude: [all]}\n"
    code, _, err = command("check", repository({"gatekeeper.yaml": config, "all/broken.yaml": CRD + " x"}))
    assert code == 2
    assert "all/broken.yaml:" in err and "cannot be read" in err


def find(root: Path, *folders: str, text: str = "") -> list[CustomKind]:
    tree, parsed = parse(root)
    resources = parse_resources(text) if text else []
    return list(known_crds.find_custom_kinds(tree, parsed, resources, Config()._replace(crds=folders)))


def test_a_template_defines_the_kind_of_its_constraints(repository: Repository) -> None:
    kinds = find(repository({"notes.txt": ""}), text=TEMPLATE)
    assert {kind.api_version for kind in kinds} == {
        f"constraints.gatekeeper.sh/{version}" for version in ("v1", "v1beta1", "v1alpha1")
    }
    schema = kinds[0].schema
    assert schema is not None and schema["properties"]["spec"]["properties"]["parameters"]["properties"]["teams"]


@pytest.mark.parametrize(
    "schema", ["validation: {legacySchema: true, openAPIV3Schema: {type: object}}", "validation: {}"]
)
def test_a_template_without_a_structural_schema_permits_any_parameters(repository: Repository, schema: str) -> None:
    text = f"apiVersion: templates.gatekeeper.sh/v1\nkind: ConstraintTemplate\nmetadata: {{name: a}}\nspec: {{crd: {{spec: {{names: {{kind: A}}, {schema}}}}}}}\n"
    kind = find(repository({"notes.txt": ""}), text=text)[0]
    assert kind.schema is not None
    assert kind.schema["properties"]["spec"]["properties"]["parameters"]["x-kubernetes-preserve-unknown-fields"] is True


def test_a_crd_that_nothing_renders_is_known(repository: Repository) -> None:
    assert [kind.kind for kind in find(repository({"unused/crd.yaml": CRD}))] == ["Shop"]


def test_a_folder_without_crds_is_an_error(repository: Repository) -> None:
    root = repository({"vendor/a.yaml": "a: 1\n"})
    for folder in ("vendor", "none"):
        with pytest.raises(UsageError, match=folder):
            find(root, folder)
