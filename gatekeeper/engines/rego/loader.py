"""Loads Rego policies: modules with their package, rules, Rego version and metadata, and the data that they read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gatekeeper.engines import policy_files
from gatekeeper.engines.rego.model import PolicySet, RegoModule
from gatekeeper.errors import PolicyError
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.workspace import documents
from gatekeeper.workspace.text_encoding import convert_to_utf8
from gatekeeper.workspace.tree import list_files_below

SEVERITY_BY_PREFIX = {"deny": "error", "violation": "error", "warn": "warning"}
PACKAGE_LINE = compile_lazily(r"^\s*package\s+([\w.\[\]\"-]+)", re.MULTILINE)
METADATA_LINE = compile_lazily(r"^#\s*METADATA[ \t]*$", re.MULTILINE)
# In a file of the library, each rule begins at the start of a line, and nothing else does except these words.
LIBRARY_RULE = compile_lazily(r"^(?!(?:package|import|else)\b)(?:default\s+)?([A-Za-z_]\w*)", re.MULTILINE)
RULE_HEAD = compile_lazily(r"(?:default\s+)?([A-Za-z_]\w*)")
TOKEN = compile_lazily(r'#[^\n]*|"(?:\\.|[^"\\\n])*"|`[^`]*`|[{}()\[\]\n]|[^#"`{}()\[\]\n]+')
V1_KEYWORD = compile_lazily(r"\b(if|contains)\b")
OTHER_POLICY_KINDS = compile_lazily(
    rb"\b(?:ConstraintTemplate|constraints\.gatekeeper\.sh|ValidatingAdmissionPolicy|kyverno\.io)\b"
)
NONDETERMINISTIC_CALL = compile_lazily(
    r"\b(?:time\.now_ns|rand\.intn|uuid\.rfc4122|http\.send|net\.lookup_ip_addr|opa\.runtime|time_now)\b"
)
# What ends a line before braces that are a value instead of the body of a rule.
LITERAL_BEFORE_BRACE = (":=", "=", "|", ",", "(", "[", ":", " in", "&", "==", "!=")


def load_policies(
    root: Path,
    folders: Sequence[str],
    data_paths: Sequence[str] = (),
    *,
    include_tests: bool = False,
    is_shipped: bool = False,
) -> PolicySet:
    """Loads all `.rego` files below folders (or the files themselves), and data files.

    Raises:
        PolicyError: a folder is missing or contains no policy, a file cannot be read, or data is not a JSON or YAML
            mapping.
    """
    modules: list[RegoModule] = []
    for folder in folders:
        files = _list_existing_files(root / folder, (".rego",), folder)
        if not files and not _has_other_policies(root / folder):
            raise PolicyError(f"{folder}: no policy in it (.rego, .schema.json, YAML); correct `policies.paths`")
        names = [(policy_files.format_name(path, root), path) for path in files]
        modules.extend(parse_modules([(name, policy_files.read_text(path, name)) for name, path in names], is_shipped))
    selected = tuple(module for module in modules if include_tests or not module.is_test)
    data: dict[str, Any] = {}
    for data_path in data_paths:
        for path in _list_existing_files(root / data_path, documents.EXTENSIONS, data_path):
            name = policy_files.format_name(path, root)
            _merge_data(data, policy_files.parse_mapping(policy_files.read_bytes(path, name), name), name)
    return PolicySet(selected, data)


def is_nondeterministic(text: str) -> bool:
    """Whether a policy may give another result for the same resource at another time: by clock, chance or network."""
    return NONDETERMINISTIC_CALL.search(text) is not None


def _has_other_policies(folder: Path) -> bool:
    """Whether a folder contains policies of other kinds than Rego, which other engines read."""
    files = list_files_below(folder, documents.EXTENSIONS)
    return any(".schema." in file.name or has_admission_policy(file.read_bytes()) for file in files)


def has_admission_policy(content: bytes) -> bool:
    """Whether the text of a file names a kind of policies that the admission engine evaluates; in UTF-16, too."""
    return OTHER_POLICY_KINDS.search(convert_to_utf8(content) or content) is not None


def _list_existing_files(start: Path, suffixes: tuple[str, ...], name: str) -> list[Path]:
    if not start.exists():
        raise PolicyError(f"{name}: no such file or folder; correct the config or `--policy`")
    return list_files_below(start, suffixes)


def parse_module(text: str, name: str) -> RegoModule:
    """Parses the outline of a module: package, rules, Rego version and metadata; `name` is its name in messages.

    Raises:
        PolicyError: the text has no `package` line.
    """
    [module] = parse_modules([(name, text)])
    return module


def parse_modules(texts: Sequence[tuple[str, str]], is_shipped: bool = False) -> list[RegoModule]:
    """Parses the outlines of several modules, each given as name and text.

    Args:
        is_shipped: whether the modules are part of Gatekeeper: all are v1, in a form that is read in less time.

    Raises:
        PolicyError: a text has no `package` line.
    """
    modules = []
    metadata_blocks = _parse_metadata([text for _, text in texts])
    for (name, text), metadata in zip(texts, metadata_blocks, strict=True):
        package = PACKAGE_LINE.search(text)
        if not package:
            raise PolicyError(f"{name}:1: no `package` line, so its rules have no name to query; add one")
        rules, has_v0_bodies, has_v1_keywords = (
            (LIBRARY_RULE.findall(text), False, True) if is_shipped else _parse_outline(text)
        )
        is_v0 = has_v0_bodies and not has_v1_keywords and "import rego.v1" not in text
        modules.append(
            RegoModule(
                path=name,
                text=text,
                package=package.group(1),
                rules=tuple(dict.fromkeys(rules)),
                is_v0=is_v0,
                metadata=metadata,
                is_shipped=is_shipped,
            )
        )
    return modules


def _parse_outline(text: str) -> tuple[list[str], bool, bool]:
    """Parses the names of the rules; whether a body opens as only v0 allows; whether a keyword of v1 occurs."""
    depth, line, rules = 0, "", list[str]()
    has_v0_bodies = has_v1_keywords = False
    for token in TOKEN.findall(text):
        if token.startswith("#"):
            continue
        if depth == 0 and token == "\n":
            rules.extend(_parse_rule_name(line))
            has_v1_keywords = has_v1_keywords or bool(V1_KEYWORD.search(line))
            line = ""
        elif token == "{":
            if depth == 0:
                head = line.rstrip()
                has_v1_keywords = has_v1_keywords or head.endswith(" if") or bool(re.search(r"\bcontains\b", head))
                has_v0_bodies = has_v0_bodies or not (head.endswith((*LITERAL_BEFORE_BRACE, " if")) or not head)
            depth += 1
        elif token in ("}", ")", "]"):
            depth = max(0, depth - 1)
        elif token in ("(", "["):
            depth += 1
        elif depth == 0:
            line += token if not token.startswith(('"', "`")) else '""'
        if depth == 1 and token in ("{", "[", "("):
            line += " "
    rules.extend(_parse_rule_name(line))
    return rules, has_v0_bodies, has_v1_keywords


def _parse_rule_name(line: str) -> Iterator[str]:
    head = RULE_HEAD.match(line.strip())
    if head and head.group(1) not in ("package", "import", "else", "not", "some", "every"):
        yield head.group(1)


def _parse_metadata(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Parses the first `# METADATA` block of each text.

    Source: https://www.openpolicyagent.org/docs/policy-language#metadata.
    """
    blocks = []
    for parsed, failure in documents.parse_all([_extract_metadata_block(text) for text in texts], 1):
        value = documents.to_value(parsed[0]) if parsed and failure is None else {}
        blocks.append(value if isinstance(value, dict) else {})
    return blocks


def _extract_metadata_block(text: str) -> bytes:
    start = METADATA_LINE.search(text)
    if not start:
        return b""
    block = []
    for line in text[start.end() :].lstrip("\r\n").splitlines():
        if not line.startswith("#"):
            break
        block.append(line[2:] if line.startswith("# ") else line[1:])
    return "\n".join(block).encode()


def _merge_data(target: dict[str, Any], source: dict[str, Any], name: str) -> None:
    for key, value in source.items():
        if isinstance(target.get(key), dict) and isinstance(value, dict):
            _merge_data(target[key], value, name)
        elif key in target and target[key] != value:
            raise PolicyError(f"{name}: `{key}` has different values in two data files; set it in only one")
        else:
            target[key] = value


def merge_policy_sets(sets: Iterable[PolicySet]) -> PolicySet:
    """Merges several sets into one.

    Raises:
        PolicyError: two sets give the same data key different values.
    """
    modules: list[RegoModule] = []
    data: dict[str, Any] = {}
    for policy_set in sets:
        modules.extend(policy_set.modules)
        _merge_data(data, policy_set.data, "policy data")
    return PolicySet(tuple(modules), data)
