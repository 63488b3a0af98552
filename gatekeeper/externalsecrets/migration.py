"""Resources of external-secrets in an old API version, rewritten for `v1`: comments, order and quotes stay.

`v1alpha1` has flat entries in `dataFrom`, which `v1` has under `extract`; and its templates are of engine v1, which
`v1` does not have. What was rewritten is read again, and must ask for the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from gatekeeper.errors import GateError
from gatekeeper.externalsecrets import external_secret_spec
from gatekeeper.externalsecrets.external_secret_spec import GROUP
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import FieldPath, ParsedDocument, get_field
from gatekeeper.workspace import documents

NEWEST_API_VERSION = f"{GROUP}/v1"
MIGRATED_KINDS = ("ExternalSecret", "ClusterExternalSecret", "SecretStore", "ClusterSecretStore")
# Providers that `v1` has no longer.
REMOVED_PROVIDERS = ("alibaba", "device42")


class MigrationResult(NamedTuple):
    """A file's new text, how many of its objects were rewritten, and what a person has to do: line and reason."""

    text: str
    migrated_count: int
    remaining: tuple[tuple[int, str], ...]


def migrate_file(content: bytes) -> MigrationResult:
    """A file with its old objects in the newest version.

    Raises:
        GateError: it is no YAML or JSON; in words that begin with line and column.
    """
    parsed, failure = documents.parse(content)
    if failure is not None:
        raise GateError(f"{failure[1]}:{failure[2]}: cannot be read: {failure[0]}")
    text = content.decode("utf-8")
    old = [one for one in parsed if one.head and _is_old(one.head[0], one.head[1])]
    left = [(one, reason) for one in old for reason in _find_blockers(documents.to_value(one))]
    stays = {id(one) for one, _ in left}
    doable = [one for one in old if id(one) not in stays]
    new = _edit_json(text, doable) if text.lstrip().startswith("{") else _edit_yaml(text, doable)
    _check_equivalence(parsed, documents.parse(new.encode())[0])
    return MigrationResult(new, len(doable), tuple((one.start[0], reason) for one, reason in left))


def _is_old(api_version: str, kind: str) -> bool:
    group, _, version = api_version.partition("/")
    return group == GROUP and kind in MIGRATED_KINDS and version in ("v1alpha1", "v1beta1")


def _find_blockers(value: Any) -> Iterator[str]:
    """Why an object cannot be rewritten by a program."""
    version = str(get_field(value, ("apiVersion",))).partition("/")[2]
    for gone in REMOVED_PROVIDERS:
        if get_field(value, ("spec", "provider", gone)) is not None:
            yield f"the provider `{gone}` is not in v1: use another store"
    for start in _find_spec_paths(value):
        template = get_field(value, (*start, "target", "template"))
        engine = get_field(template, ("engineVersion",)) or ("v1" if version == "v1alpha1" else "v2")
        if engine == "v1" and (b"{{" in orjson.dumps(template) or get_field(template, ("templateFrom",))):
            yield "its template is for engine v1, which v1 does not have: rewrite it for engine v2 first"


def _find_spec_paths(value: Any) -> Iterator[FieldPath]:
    kind = get_field(value, ("kind",))
    if kind == "ExternalSecret":
        yield ("spec",)
    elif kind == "ClusterExternalSecret":
        yield ("spec", "externalSecretSpec")


def _edit_yaml(text: str, outdated: Sequence[ParsedDocument]) -> str:
    lines = text.splitlines(keepends=True)
    # From the end on, so that the lines of what is still to be done stay where they are.
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
    """Puts an entry of a list under `extract`."""
    before, rest = lines[first][:indent], lines[first][indent:]
    if rest.startswith("{"):
        lines[first] = f"{before}extract: {rest}"
        return
    lines[first] = f"{before}extract:\n{' ' * (indent + 2)}{rest}"
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
    """Makes sure that every object asks for what it asked for."""
    pairs = [(documents.to_value(one), documents.to_value(other)) for one, other in zip(before, after, strict=False)]
    same = len(before) == len(after) and all(_normalize(one) == _normalize(other) for one, other in pairs)
    if not same:
        raise GateError("1:1: cannot be rewritten line by line; write its `dataFrom` one entry a line first")


def _normalize(value: Any) -> Any:
    """What an object asks for, whatever its version; itself, where it is another kind or cannot be read."""
    if get_field(value, ("kind",)) == "ExternalSecret":
        try:
            wanted = external_secret_spec.parse_external_secret(value)
        except FieldError:
            return "cannot be read"
        template = wanted.target.template
        target = wanted.target._replace(template=template and template._replace(engine=""))
        return wanted._replace(version="", target=target)
    return (
        {**value, "apiVersion": ""}
        if isinstance(value, dict) and get_field(value, ("kind",)) in MIGRATED_KINDS[2:]
        else None
    )
