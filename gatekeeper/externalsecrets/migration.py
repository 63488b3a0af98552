"""Migration of external-secrets objects to API version `v1`; comments, order and quotes in a file stay.

`v1alpha1` has flat entries in `dataFrom`, which `v1` has below `extract`, and templates for engine v1, which `v1` does
not support. A migrated file is parsed again, and must have the same meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from gatekeeper.errors import GatekeeperError
from gatekeeper.externalsecrets.external_secret_spec import parse_external_secret
from gatekeeper.externalsecrets.model import GROUP
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import FieldPath, ParsedDocument, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.workspace import documents

NEWEST_API_VERSION = f"{GROUP}/v1"
MIGRATED_KINDS = ("ExternalSecret", "ClusterExternalSecret", "SecretStore", "ClusterSecretStore")
# Providers that `v1` no longer has.
REMOVED_PROVIDERS = ("alibaba", "device42")


class MigrationResult(NamedTuple):
    """The result for one file.

    Attributes:
        text: the new content.
        remaining: line and reason of each object that a person must migrate.
    """

    text: str
    migrated_count: int
    remaining: tuple[tuple[int, str], ...]


def migrate_file(content: bytes) -> MigrationResult:
    """Migrate the objects of a file that have an old API version.

    Raises:
        GatekeeperError: the file is not YAML or JSON, or cannot be edited in place: the message says where.
    """
    parsed, failure = documents.parse(content)
    if failure is not None:
        raise GatekeeperError(f"{failure[1]}:{failure[2]}: cannot be parsed: {failure[0]}")
    text = content.decode("utf-8")
    outdated = [document for document in parsed if document.head and _is_outdated(*document.head[:2])]
    blocked = [(document, reason) for document in outdated for reason in _find_blockers(documents.to_value(document))]
    blocked_ids = {id(document) for document, _ in blocked}
    migratable = [document for document in outdated if id(document) not in blocked_ids]
    new_text = _edit_json(text, migratable) if text.lstrip().startswith("{") else _edit_yaml(text, migratable)
    _check_equivalence(parsed, documents.parse(new_text.encode())[0])
    remaining = tuple((document.start[0], reason) for document, reason in blocked)
    return MigrationResult(new_text, len(migratable), remaining)


def _is_outdated(api_version: str, kind: str) -> bool:
    group, _, version = api_version.partition("/")
    return group == GROUP and kind in MIGRATED_KINDS and version in ("v1alpha1", "v1beta1")


def _find_blockers(value: Any) -> Iterator[str]:
    """Yield why an object cannot be migrated automatically."""
    version = str(get_field(value, ("apiVersion",))).partition("/")[2]
    for provider in REMOVED_PROVIDERS:
        if get_field(value, ("spec", "provider", provider)) is not None:
            yield f"v1 has no provider `{provider}`: use another store"
    for start in _find_spec_paths(value):
        template = get_field(value, (*start, "target", "template"))
        engine = get_field(template, ("engineVersion",)) or ("v1" if version == "v1alpha1" else "v2")
        if engine == "v1" and (b"{{" in orjson.dumps(template) or get_field(template, ("templateFrom",))):
            yield "its template is for engine v1, which API version v1 does not support: rewrite it for engine v2 first"


def _find_spec_paths(value: Any) -> Iterator[FieldPath]:
    kind = get_field(value, ("kind",))
    if kind == "ExternalSecret":
        yield ("spec",)
    elif kind == "ClusterExternalSecret":
        yield ("spec", "externalSecretSpec")


def _edit_yaml(text: str, outdated: Sequence[ParsedDocument]) -> str:
    lines = text.splitlines(keepends=True)
    # From the end of the file upwards, so that the line numbers of the remaining edits stay valid.
    for document in reversed(outdated):
        value = documents.to_value(document)
        version = value["apiVersion"].partition("/")[2]
        for start in _find_spec_paths(value):
            engine = (*start, "target", "template", "engineVersion")
            if get_field(value, engine) == "v1":
                _, line, _ = document.locate(engine)
                lines[line - 1] = lines[line - 1].replace("v1", "v2", 1)
            entries = get_field(value, (*start, "dataFrom"))
            if version == "v1alpha1" and isinstance(entries, list):
                for number in reversed(range(len(entries))):
                    _, line, column = document.locate((*start, "dataFrom", number))
                    _nest_under_extract(lines, line - 1, column - 1)
        _, line, _ = document.locate(("apiVersion",))
        lines[line - 1] = lines[line - 1].replace(value["apiVersion"], NEWEST_API_VERSION, 1)
    return "".join(lines)


def _nest_under_extract(lines: list[str], first: int, indent: int) -> None:
    """Nest an entry of a list below `extract`."""
    prefix, rest = lines[first][:indent], lines[first][indent:]
    if rest.startswith("{"):
        lines[first] = f"{prefix}extract: {rest}"
        return
    lines[first] = f"{prefix}extract:\n{' ' * (indent + 2)}{rest}"
    for number in range(first + 1, len(lines)):
        line = lines[number]
        if line.strip() and len(line) - len(line.lstrip(" ")) < indent:
            return
        if line.strip():
            lines[number] = f"  {line}"


def _edit_json(text: str, outdated: Sequence[ParsedDocument]) -> str:
    if not outdated:
        return text
    value = orjson.loads(text)
    for start in _find_spec_paths(value):
        entries = get_field(value, (*start, "dataFrom"))
        if value["apiVersion"].endswith("v1alpha1") and isinstance(entries, list):
            get_field(value, start)["dataFrom"] = [{"extract": entry} for entry in entries]
        template = get_field(value, (*start, "target", "template"))
        if get_field(template, ("engineVersion",)) == "v1":
            template["engineVersion"] = "v2"
    value["apiVersion"] = NEWEST_API_VERSION
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n"


def _check_equivalence(before: Sequence[ParsedDocument], after: Sequence[ParsedDocument]) -> None:
    """Check that every object keeps its meaning."""
    pairs = zip(map(documents.to_value, before), map(documents.to_value, after), strict=False)
    is_same = len(before) == len(after) and all(_normalize(old) == _normalize(new) for old, new in pairs)
    if not is_same:
        raise GatekeeperError(
            "1:1: cannot be edited line by line; write each entry of `dataFrom` on its own line first"
        )


def _normalize(value: Any) -> Any:
    """Return the meaning of an object, independent of its API version."""
    kind = get_field(value, ("kind",))
    if kind == "ExternalSecret":
        try:
            spec = parse_external_secret(value)
        except FieldError:
            return "invalid"
        template = spec.target.template
        target = spec.target._replace(template=template and template._replace(engine=""))
        return spec._replace(version="", target=target)
    return {**value, "apiVersion": ""} if isinstance(value, dict) and kind in MIGRATED_KINDS[2:] else None
