"""Builds of kustomizations by the kustomize program, which starts the helm program for charts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from gatekeeper.errors import ToolError
from gatekeeper.host.process import run_command
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.model import get_field
from gatekeeper.upstream.kustomization import BuildResult, BuiltObject, KustomizationBuild, build_object
from gatekeeper.upstream.kustomization_files import REPOSITORY, WRAPPER
from gatekeeper.workspace import documents

SECONDS = 60.0
ORIGIN_ANNOTATION = "config.kubernetes.io/origin"
TRANSFORMATIONS_ANNOTATION = "alpha.config.kubernetes.io/transformations"


def build_with_program(root: Path, build: KustomizationBuild, kubernetes: str) -> BuildResult:
    """The objects of a build, or the error of kustomize."""
    with tempfile.TemporaryDirectory(prefix="gatekeeper-") as scratch:
        folder = Path(scratch).resolve()
        wrapper = folder / WRAPPER.lstrip("/")
        wrapper.mkdir()
        (folder / REPOSITORY.lstrip("/")).symlink_to(root.resolve())
        for name, text in build.files.items():
            (wrapper / name).write_text(text, encoding="utf-8")
        command: list[str | Path] = [
            DEFAULT_TOOLCHAIN.find("kustomize"),
            "build",
            "--load-restrictor",
            "LoadRestrictionsRootOnly" if build.is_restricted else "LoadRestrictionsNone",
            "--enable-helm",
            "--helm-command",
            DEFAULT_TOOLCHAIN.find("helm"),
            "--helm-kube-version",
            kubernetes,
            wrapper,
        ]
        # kustomize leaves a folder of its Helm generator behind.
        code, out, words = run_command(command, SECONDS, environment={"TMPDIR": scratch})
        if code != 0:
            lines = [line for line in words.splitlines() if not line.startswith("# Warning: ")]
            message = "\n".join(lines).strip().removeprefix("Error: ").replace(f"{root.resolve()}/", f"{REPOSITORY}/")
            return ToolError(message.replace(str(folder), ""))
    built, failure = documents.parse(out)
    assert failure is None
    return [_read_object(value) for value in map(documents.to_value, built) if documents.is_resource(value)]


def _read_object(value: dict[str, Any]) -> BuiltObject:
    annotations = get_field(value, ("metadata", "annotations")) or {}
    origin = _parse_annotation(annotations.pop(ORIGIN_ANNOTATION, ""))
    steps = _parse_annotation(annotations.pop(TRANSFORMATIONS_ANNOTATION, ""))
    if not annotations:
        value["metadata"].pop("annotations", None)
    return build_object(value, origin, steps)


def _parse_annotation(text: Any) -> Any:
    if not isinstance(text, str) or not text:
        return {}
    parsed_documents, failure = documents.parse(text.encode())
    return documents.to_value(parsed_documents[0]) if parsed_documents and not failure else {}
