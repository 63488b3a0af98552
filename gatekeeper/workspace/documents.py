"""Parses YAML and JSON files into documents with positions, and finds out the role of each file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatekeeper.errors import UsageError
from gatekeeper.model import Gap, Location, ParsedDocument
from gatekeeper.workspace import json_text, links, template_detection
from gatekeeper.workspace.text_encoding import decode_marked_utf16, describe_encoding
from gatekeeper.workspace.tree import ParsedFile, Tree

try:
    from gatekeeper import _native
except ImportError:  # no Rust compiler at install time: the slower parser gives the same result
    _native = None  # type: ignore[assignment]

HAS_NATIVE_PARSER = _native is not None


ParseOutcome = tuple[list[ParsedDocument], tuple[str, int, int] | None]

# All of it is in memory at once, with the values several times.
MAX_PARSED_BYTES = 1024 * 1024 * 1024
EXTENSIONS = (".yaml", ".yml", ".json")
KUSTOMIZATION_NAMES = {"kustomization.yaml", "kustomization.yml", "Kustomization"}
ENCRYPTION_MARKERS = (
    (b"\0GITCRYPT\0", "encrypted by git-crypt"),
    (b"age-encryption.org/v1", "encrypted by age"),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", "encrypted by age"),
    (b"-----BEGIN PGP MESSAGE-----", "encrypted by PGP"),
    (b"$ANSIBLE_VAULT;", "encrypted by Ansible Vault"),
)
ENCRYPTION_PREFIXES = tuple(mark for mark, _ in ENCRYPTION_MARKERS)


def parse_tree(tree: Tree, jobs: int) -> tuple[list[ParsedFile], list[Gap]]:
    """Parses every YAML and JSON file of a tree, in its order; and the gaps of files that cannot be read.

    Raises:
        UsageError: the files are too large together.
    """
    charts = {file[: -len("/Chart.yaml")] for file in tree.files if f"/{file}".endswith("/Chart.yaml")}
    gaps: list[Gap] = []
    sources: dict[str, ParsedFile] = {}
    waiting: list[tuple[str, bytes]] = []
    free_bytes = MAX_PARSED_BYTES
    files = [file for file in tree.files if file.endswith(EXTENSIONS) or file.rpartition("/")[2] in KUSTOMIZATION_NAMES]
    if HAS_NATIVE_PARSER:
        tree.read_ahead(files, lambda part: _native.read_files(str(tree.root), part, jobs))
    for file in files:
        content = tree.read_file(file)
        if isinstance(content, Gap):
            gaps.append(content)
        elif is_chart_template(file, charts):
            sources[file] = ParsedFile(file, "helm template")
        elif early := _classify_content(file, content):
            sources[file] = early
        else:
            waiting.append((file, content))
            free_bytes -= len(content)
            if free_bytes < 0:
                size = f"{MAX_PARSED_BYTES >> 20:,} MB"
                advice = "name folders to check one after the other, or list others under `files.exclude`"
                raise UsageError(f"{tree.root}: more than {size} of YAML and JSON; {advice}")
    parsed = parse_all([content for _, content in waiting], jobs)
    for (file, content), (documents, failure) in zip(waiting, parsed, strict=True):
        parsed_file = _build_parsed_file(file, content, tuple(documents), failure)
        sources[file] = parsed_file._replace(is_utf16=True) if file in tree.utf16_files else parsed_file
        if b"\n" not in content and (gap := links.find_flattened_link(tree.root, file, content)):
            gaps.append(gap)
    return [sources[file] for file in files if file in sources], gaps


def is_chart_template(file: str, chart_folders: set[str]) -> bool:
    """Whether a file is a template of a Helm chart, and so no manifest until Helm renders it."""
    before = f"/{file}"
    while chart_folders and (cut := before.rfind("/templates/")) >= 0:
        before = before[:cut]
        if before[1:] in chart_folders:
            return True
    return False


def parse(text: bytes) -> tuple[list[ParsedDocument], tuple[str, int, int] | None]:
    """Parses one text; its documents, and (message, line, column) if parsing stopped."""
    text = decode_marked_utf16(text) or text
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        before = text[: error.start]
        return [], (f"not UTF-8 at byte {error.start}", before.count(b"\n") + 1, len(before) - before.rfind(b"\n"))
    [outcome] = parse_all([text], 1)
    return outcome


def parse_all(texts: Sequence[bytes], jobs: int) -> list[ParseOutcome]:
    """Parses several texts, with the result of each in order.

    A text that the fast parser rejects is parsed again by libyaml, from which Kubernetes' own parser descends: it
    accepts a few things that YAML 1.2 forbids, such as continuation lines of quoted texts without indentation.
    """
    if not HAS_NATIVE_PARSER:
        return [_parse_with_fallback(text) for text in texts]
    outcomes: list[ParseOutcome] = []
    for text, (documents, failure) in zip(texts, _native.parse_yaml(texts, jobs), strict=True):
        outcomes.append((list(documents), None) if failure is None else _parse_again(text))
    return outcomes


def _parse_again(text: bytes) -> ParseOutcome:
    rewritten = json_text.rewrite_for_yaml(text)
    if rewritten is not None:
        [(documents, failure)] = _native.parse_yaml([rewritten], 1)
        if failure is None:
            return list(documents), None
    return _parse_with_fallback(text)


def _parse_with_fallback(text: bytes) -> ParseOutcome:
    # Imported here: PyYAML is the fallback where the Rust parser is missing.
    from gatekeeper.workspace import yaml_fallback

    [(documents, failure)] = yaml_fallback.parse_yaml([text], 1)
    return list(documents), failure


def detect_encryption(content: bytes) -> str:
    """The tool that encrypted a whole file (`encrypted by age`), by its first bytes; empty if it is not encrypted."""
    if not content.startswith(ENCRYPTION_PREFIXES):
        return ""
    return next(note for mark, note in ENCRYPTION_MARKERS if content.startswith(mark))


def _classify_content(file: str, content: bytes) -> ParsedFile | None:
    if note := detect_encryption(content):
        return ParsedFile(file, "encrypted", reason=note)
    if content.isascii():
        return None
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return ParsedFile(file, "unreadable", reason=describe_encoding(content), error_location=Location(file))
    return None


def _build_parsed_file(
    file: str, content: bytes, documents: tuple[ParsedDocument, ...], failure: tuple[str, int, int] | None
) -> ParsedFile:
    if failure is None:
        return ParsedFile(file, "documents", documents)
    message, line, column = failure
    if template_detection.is_template(content, line, _find_error_line):
        return ParsedFile(file, "template", documents, "a template outside of a Helm chart: nothing renders it")
    if file.endswith(".json") and not (b'"apiVersion"' in content and b'"kind"' in content):
        return ParsedFile(file, "other", (), "not strict JSON, and not a Kubernetes resource")
    return ParsedFile(file, "documents", documents, message, Location(file, line, column))


def _find_error_line(text: bytes) -> int | None:
    [(_, failure)] = parse_all([text], 1)
    return failure[1] if failure else None


def to_value(document: ParsedDocument) -> Any:
    """The value of a document as new Python values."""
    # Slow to load: a hook whose verdict is cached does without it.
    import orjson

    return orjson.loads(document.json)


def is_resource(value: Any) -> bool:
    """Whether a value is a Kubernetes object: `apiVersion` and `kind` are texts."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("apiVersion"), str)
        and isinstance(value.get("kind"), str)
        and bool(value["kind"])
    )
