"""Kustomizations that inflate Helm charts: the kustomize program builds them, because it starts Helm."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatekeeper.config import Config
from gatekeeper.errors import ToolError
from gatekeeper.host.process import run_command
from gatekeeper.model import get_field
from gatekeeper.upstream.kustomization import BuiltObject, build_object
from gatekeeper.upstream.kustomization_files import REPOSITORY, WRAPPER
from gatekeeper.workspace import documents

ORIGIN_ANNOTATION = "config.kubernetes.io/origin"
TRANSFORMATIONS_ANNOTATION = "alpha.config.kubernetes.io/transformations"


def inflate_charts(root: Path, files: Mapping[str, str], is_restricted: bool, config: Config) -> list[BuiltObject]:
    """The objects of a build.

    Args:
        files: the build's own files, by name; they name the repository `../repository`.

    Raises:
        ToolError: kustomize or Helm is missing or fails.
    """
    with tempfile.TemporaryDirectory(prefix="gatekeeper-") as scratch:
        folder = Path(scratch).resolve()
        wrapper = folder / WRAPPER.lstrip("/")
        wrapper.mkdir()
        (folder / REPOSITORY.lstrip("/")).symlink_to(root.resolve())
        for name, text in files.items():
            (wrapper / name).write_text(text, encoding="utf-8")
        command: list[str | Path] = [
            config.toolchain.find("kustomize"),
            "build",
            "--load-restrictor",
            "LoadRestrictionsRootOnly" if is_restricted else "LoadRestrictionsNone",
            "--enable-helm",
            "--helm-command",
            config.toolchain.find("helm"),
            "--helm-kube-version",
            config.kubernetes,
            wrapper,
        ]
        code, out, words = run_command(command, config.timeout)
        if code != 0:
            lines = [line for line in words.splitlines() if not line.startswith("# Warning: ")]
            message = "\n".join(lines).strip().removeprefix("Error: ").replace(f"{root.resolve()}/", f"{REPOSITORY}/")
            raise ToolError(message.replace(str(folder), ""))
    built, failure = documents.parse(out)
    if failure:
        raise ToolError(f"the output of kustomize is not valid YAML: {failure[0]}")
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
