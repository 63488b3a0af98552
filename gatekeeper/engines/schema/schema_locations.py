"""JSON Schemas in the layout of kubeconform: files that a template names for each kind.

Source: yannh/kubeconform `pkg/registry` (`New`, `schemaPath`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from gatekeeper.config import find_location_folder
from gatekeeper.errors import UsageError
from gatekeeper.host.lazy_pattern import compile_lazily

SETTING = "schemas.locations"
# kubeconform's word for its own schemas; those of Gatekeeper are always used.
DEFAULT = "default"
DEFAULT_LAYOUT = (
    "/{{ .NormalizedKubernetesVersion }}-standalone{{ .StrictSuffix }}/{{ .ResourceKind }}{{ .KindSuffix }}.json"
)
ACTION = compile_lazily(r"\{\{-?\s*(.*?)\s*-?\}\}")
FIELDS = {
    "NormalizedKubernetesVersion",
    "StrictSuffix",
    "ResourceKind",
    "ResourceAPIVersion",
    "Group",
    "KindSuffix",
}
# Kinds and versions are parts of a path: others could leave the folder.
SAFE_NAME = compile_lazily(r"[A-Za-z0-9](?:[A-Za-z0-9-]|\.(?!\.))*")


class SchemaLocations:
    """The locations of the config, in their order."""

    def __init__(self, root: Path, locations: Sequence[str], kubernetes_version: str) -> None:
        """Checks the locations.

        Args:
            root: the folder of the repository.

        Raises:
            UsageError: a location is a URL, its folder does not exist, or its template is not one of kubeconform's.
        """
        self._root = root
        self._templates = [_check_location(root, location) for location in locations if location != DEFAULT]
        self._version = kubernetes_version.removeprefix("v")

    def find_schema(self, api_version: str, kind: str) -> dict[str, Any] | None:
        """The schema of a kind from the first location that has it; None if no location has it.

        Raises:
            UsageError: the file is not a JSON Schema, or refers to another file.
        """
        if not all(SAFE_NAME.fullmatch(part) for part in (kind, *api_version.split("/"))):
            return None
        values = build_template_values(api_version, kind, self._version)
        for template in self._templates:
            file = self._root / ACTION.sub(lambda match: values[match[1].removeprefix(".")], template)
            if file.is_file():
                return _read_schema(file)
        return None


def build_template_values(api_version: str, kind: str, kubernetes_version: str) -> dict[str, str]:
    """The values of a template's fields for one kind."""
    group, _, version = api_version.rpartition("/")
    short_group = (group or version).split(".")[0].lower()
    full_version = kubernetes_version if kubernetes_version.count(".") > 1 else f"{kubernetes_version}.0"
    return {
        "NormalizedKubernetesVersion": f"v{full_version}",
        "StrictSuffix": "-strict",
        "ResourceKind": kind.lower(),
        "ResourceAPIVersion": version,
        # As kubeconform: the version, for the group of Kubernetes that has no name.
        "Group": group or version,
        "KindSuffix": f"-{short_group}-{version.lower()}" if group else f"-{short_group}",
    }


def _check_location(root: Path, location: str) -> str:
    if re.match(r"[a-z]+://", location):
        raise UsageError(
            f"`{SETTING}`: {location} is a URL; `check` reads no network: name a local copy of the schemas"
        )
    template = location if location.endswith("json") else location.rstrip("/") + DEFAULT_LAYOUT
    for action in ACTION.findall(template):
        if not action.startswith(".") or action[1:] not in FIELDS:
            known = ", ".join(f".{field}" for field in sorted(FIELDS))
            raise UsageError(f"`{SETTING}`: {location}: unknown field `{action}`; use {known}")
    if "{{" in ACTION.sub("", template):
        raise UsageError(f"`{SETTING}`: {location}: a `{{{{` has no `}}}}`; correct the template")
    folder = find_location_folder(location)
    if not (root / folder).exists():
        raise UsageError(f"`{SETTING}` names {location}, but {folder or location} does not exist; correct the path")
    return template


def _read_schema(file: Path) -> dict[str, Any]:
    try:
        schema = orjson.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot be read as JSON: {error}; correct the file or `{SETTING}`") from error
    if not isinstance(schema, dict):
        raise UsageError(f"{file}: not a JSON Schema: must be an object; correct the file or `{SETTING}`")
    outside = next((target for target in _list_targets(schema) if not target.startswith("#")), None)
    if outside is not None:
        raise UsageError(f"{file}: refers to {outside}, another file; use schemas that stand alone (`-standalone`)")
    return schema


def _list_targets(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for part in schema.values():
            yield from _list_targets(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _list_targets(part)
