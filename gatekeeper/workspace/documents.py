"""From a file's bytes to documents with positions, and what kind of file it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import orjson

from gatekeeper.model import Gap, Place
from gatekeeper.protocols import Positions
from gatekeeper.workspace.tree import Tree

try:
    from gatekeeper import _native
except ImportError:  # no Rust compiler at install time: the slower reader does the same
    _native = None  # type: ignore[assignment]

COMPILED = _native is not None

Role = Literal["documents", "helm template", "template", "encrypted", "unreadable", "other"]

Outcome = tuple[list[Positions], tuple[str, int, int] | None]

EXTENSIONS = (".yaml", ".yml", ".json")
KUSTOMIZATIONS = {"kustomization.yaml", "kustomization.yml", "Kustomization"}
ENCRYPTED = (
    (b"\0GITCRYPT\0", "encrypted by git-crypt"),
    (b"age-encryption.org/v1", "encrypted by age"),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", "encrypted by age"),
    (b"-----BEGIN PGP MESSAGE-----", "encrypted by PGP"),
    (b"$ANSIBLE_VAULT;", "encrypted by Ansible Vault"),
)
MARKS = tuple(mark for mark, _ in ENCRYPTED)
ACTION = re.compile(rb"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


class Source(NamedTuple):
    """One file as read: its documents, or why there are none."""

    file: str
    role: Role
    documents: tuple[Positions, ...] = ()
    note: str = ""
    broken: Place | None = None

    @property
    def folder(self) -> str:
        """The file's folder, empty for the root."""
        return self.file.rpartition("/")[0]


def read(tree: Tree, jobs: int) -> tuple[list[Source], list[Gap]]:
    """Every YAML and JSON file of a tree, in the tree's order, and the files that cannot be read."""
    charts = {file[: -len("/Chart.yaml")] for file in tree.files if f"/{file}".endswith("/Chart.yaml")}
    gaps: list[Gap] = []
    sources: dict[str, Source] = {}
    waiting: list[tuple[str, bytes]] = []
    for file in tree.files:
        if not file.endswith(EXTENSIONS) and file.rpartition("/")[2] not in KUSTOMIZATIONS:
            continue
        content = tree.read(file)
        if isinstance(content, Gap):
            gaps.append(content)
        elif in_chart_templates(file, charts):
            sources[file] = Source(file, "helm template")
        elif early := _by_its_bytes(file, content):
            sources[file] = early
        else:
            waiting.append((file, content))
    parsed = parse_all([content for _, content in waiting], jobs)
    for (file, content), (documents, failure) in zip(waiting, parsed, strict=True):
        sources[file] = _parsed(file, content, tuple(documents), failure)
    return [sources[file] for file in tree.files if file in sources], gaps


def in_chart_templates(file: str, charts: set[str]) -> bool:
    """Whether a file is a template of a Helm chart: no manifest before Helm has rendered it."""
    before = f"/{file}"
    while charts and (cut := before.rfind("/templates/")) >= 0:
        before = before[:cut]
        if before[1:] in charts:
            return True
    return False


def parse(text: bytes) -> tuple[list[Positions], tuple[str, int, int] | None]:
    """The documents of one text, and where reading stopped, if it did: (message, line, column)."""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        before = text[: error.start]
        return [], (f"not UTF-8 at byte {error.start}", before.count(b"\n") + 1, len(before) - before.rfind(b"\n"))
    [outcome] = parse_all([text], 1)
    return outcome


def parse_all(texts: Sequence[bytes], jobs: int) -> list[Outcome]:
    """The documents of each text, in order.

    What the fast reader refuses gets a second opinion from libyaml, the ancestor of Kubernetes' own reader, which
    takes a few things that YAML 1.2 forbids (continuation lines of quoted texts that are not indented, for one).
    """
    if not COMPILED:
        return [_second_opinion(text) for text in texts]
    found: list[Outcome] = []
    for text, (documents, failure) in zip(texts, _native.parse_yaml(texts, jobs), strict=True):
        found.append((list(documents), None) if failure is None else _second_opinion(text))
    return found


def _second_opinion(text: bytes) -> Outcome:
    from gatekeeper.workspace import yaml_fallback

    [(documents, failure)] = yaml_fallback.parse_yaml([text], 1)
    return list(documents), failure


def encrypted_by(content: bytes) -> str:
    """What encrypted a file as a whole (`encrypted by age`), by its first bytes; empty where nothing did."""
    if not content.startswith(MARKS):
        return ""
    return next(note for mark, note in ENCRYPTED if content.startswith(mark))


def _by_its_bytes(file: str, content: bytes) -> Source | None:
    if note := encrypted_by(content):
        return Source(file, "encrypted", note=note)
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return Source(file, "unreadable", note=f"not UTF-8 at byte {error.start}", broken=Place(file))
    return None


def _parsed(
    file: str, content: bytes, documents: tuple[Positions, ...], failure: tuple[str, int, int] | None
) -> Source:
    if failure is None:
        return Source(file, "documents", documents)
    message, line, column = failure
    if ACTION.search(content):
        return Source(file, "template", documents, "a template outside of a Helm chart: nothing here renders it")
    if file.endswith(".json") and not (b'"apiVersion"' in content and b'"kind"' in content):
        return Source(file, "other", (), "not strict JSON, and no Kubernetes resource")
    return Source(file, "documents", documents, message, Place(file, line, column))


def value_of(document: Positions) -> Any:
    """A document's value as Python values, made anew."""
    return orjson.loads(document.json)


def is_resource(value: Any) -> bool:
    """Whether a value is a Kubernetes object: both words, both texts."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("apiVersion"), str)
        and isinstance(value.get("kind"), str)
        and bool(value["kind"])
    )
