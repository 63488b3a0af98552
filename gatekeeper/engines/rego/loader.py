"""Loading policies: Rego modules with their packages, rules and version, and the data they read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gatekeeper.errors import PolicyError
from gatekeeper.workspace import documents

SEVERITY_BY_PREFIX = {"deny": "error", "violation": "error", "warn": "warning"}
PACKAGE_LINE = re.compile(r"^\s*package\s+([\w.\[\]\"-]+)", re.MULTILINE)
METADATA_LINE = re.compile(r"^#\s*METADATA[ \t]*$", re.MULTILINE)
RULE_HEAD = re.compile(r"(?:default\s+)?([A-Za-z_]\w*)")
VERDICT_RULE = re.compile(r"(deny|violation|warn)(_\w+)?")
TOKEN = re.compile(r'#[^\n]*|"(?:\\.|[^"\\\n])*"|`[^`]*`|[{}()\[\]\n]|[^#"`{}()\[\]\n]+')
OTHER_POLICY_KINDS = re.compile(
    rb"\b(?:ConstraintTemplate|constraints\.gatekeeper\.sh|ValidatingAdmissionPolicy|kyverno\.io)\b"
)
NONDETERMINISTIC_CALL = re.compile(
    r"\b(?:time\.now_ns|rand\.intn|uuid\.rfc4122|http\.send|net\.lookup_ip_addr|opa\.runtime|time_now)\b"
)
LITERAL_BEFORE_BRACE = (":=", "=", "|", ",", "(", "[", ":", " in", "&", "==", "!=")


class RegoModule(NamedTuple):
    """One Rego file.

    Attributes:
        is_shipped: whether it comes with this package: its tests prove that the embedded engine takes it as it is.
    """

    path: str
    text: str
    package: str
    rules: tuple[str, ...]
    is_v0: bool
    metadata: dict[str, Any]
    is_shipped: bool = False

    @property
    def is_test(self) -> bool:
        """Whether the module holds tests, which judge no resource."""
        return self.path.endswith("_test.rego")

    @property
    def exception_query(self) -> str | None:
        """What asks for the package's exceptions, as conftest has them; None where the module has none."""
        return f"data.{self.package}.exception" if "exception" in self.rules else None

    def list_queries(self) -> tuple[str, ...]:
        """The rules that judge resources, as `data.package.rule`."""
        return tuple(f"data.{self.package}.{rule}" for rule in self.rules if VERDICT_RULE.fullmatch(rule))


class PolicySet(NamedTuple):
    """All modules and data of a run."""

    modules: tuple[RegoModule, ...]
    data: dict[str, Any]

    @property
    def digest(self) -> str:
        """A digest over everything that decides: texts, versions and data."""
        import orjson

        parts = hashlib.sha256()
        for module in sorted(self.modules, key=lambda module: (module.package, module.text)):
            parts.update(f"{module.is_v0}\0{module.text}\0".encode())
        parts.update(orjson.dumps(self.data, option=orjson.OPT_SORT_KEYS))
        return f"sha256:{parts.hexdigest()}"


def load_policies(
    root: Path, folders: Sequence[str], data_paths: Sequence[str] = (), include_tests: bool = False
) -> PolicySet:
    """All `.rego` files below the folders (or the files themselves), and data files.

    Raises:
        PolicyError: a folder is missing or holds no policy, a file cannot be read, data is no JSON or YAML mapping.
    """
    modules: list[RegoModule] = []
    for folder in folders:
        files = _list_files(root / folder, {".rego"})
        if not files and not _has_other_policies(root / folder):
            raise PolicyError(f"{folder}: no policy there (.rego, .schema.json, YAML); correct `policies.paths`")
        names = [(_to_relative_name(path, root), path) for path in files]
        modules.extend(parse_modules([(name, _read_text(path, name)) for name, path in names]))
    kept = tuple(found for found in modules if include_tests or not found.is_test)
    merged: dict[str, Any] = {}
    for name in data_paths:
        for path in _list_files(root / name, {".json", ".yaml", ".yml"}, name):
            _merge_data(merged, _read_data(path, _to_relative_name(path, root)), _to_relative_name(path, root))
    return PolicySet(kept, merged)


def is_nondeterministic(text: str) -> bool:
    """Whether a policy may say something else of the same resource another time: by clock, by chance, by network."""
    return NONDETERMINISTIC_CALL.search(text) is not None


def _has_other_policies(start: Path) -> bool:
    """Whether policies of another kind are there, which other engines read."""
    listed = [path for path in start.rglob("*") if path.suffix in (".json", ".yaml", ".yml") and path.is_file()]
    return any(".schema." in path.name or OTHER_POLICY_KINDS.search(path.read_bytes()) for path in listed)


def _to_relative_name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _list_files(start: Path, suffixes: set[str], name: str = "") -> list[Path]:
    if start.is_file():
        return [start]
    if not start.is_dir():
        raise PolicyError(f"{name or start}: no such file or folder; correct the config or `--policy`")
    return sorted(path for path in start.rglob("*") if path.suffix in suffixes and path.is_file())


def _read_text(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{name}: cannot be read: {error}") from error


def parse_module(text: str, name: str) -> RegoModule:
    """A module's outline: enough to know what to ask and which Rego version it is, without an engine.

    Raises:
        PolicyError: the text names no package.
    """
    [found] = parse_modules([(name, text)])
    return found


def parse_modules(texts: Sequence[tuple[str, str]]) -> list[RegoModule]:
    """The outlines of several modules, each with its name.

    Raises:
        PolicyError: a text names no package.
    """
    found = []
    about = _parse_metadata([text for _, text in texts])
    for (name, text), metadata in zip(texts, about, strict=True):
        package = PACKAGE_LINE.search(text)
        if not package:
            raise PolicyError(f"{name}:1: no `package` line, so no rule in it could be asked; add one")
        heads, old_bodies, new_words = _parse_outline(text)
        v0 = old_bodies and not new_words and "import rego.v1" not in text
        found.append(RegoModule(name, text, package.group(1), tuple(dict.fromkeys(heads)), v0, metadata))
    return found


def _parse_outline(text: str) -> tuple[list[str], bool, bool]:
    """Names of the rules; whether a body opens as only v0 allows; whether v1's `if` opens one."""
    depth, line, heads = 0, "", list[str]()
    old = new = False
    for token in TOKEN.findall(text):
        if token.startswith("#"):
            continue
        if depth == 0 and token == "\n":
            heads.extend(_parse_rule_name(line))
            new = new or bool(re.search(r"\b(if|contains)\b", line))
            line = ""
        elif token == "{":
            if depth == 0:
                before = line.rstrip()
                new = new or before.endswith(" if") or bool(re.search(r"\bcontains\b", before))
                old = old or not (before.endswith((*LITERAL_BEFORE_BRACE, " if")) or not before)
            depth += 1
        elif token in ("}", ")", "]"):
            depth = max(0, depth - 1)
        elif token in ("(", "["):
            depth += 1
        elif depth == 0:
            line += token if not token.startswith(('"', "`")) else '""'
        if depth > 0 and token in ("{", "[", "(") and depth == 1:
            line += " "
    heads.extend(_parse_rule_name(line))
    return heads, old, new


def _parse_rule_name(line: str) -> Iterator[str]:
    stripped = line.strip()
    found = RULE_HEAD.match(stripped)
    if found and found.group(1) not in ("package", "import", "else", "not", "some", "every"):
        yield found.group(1)


def _parse_metadata(texts: Sequence[str]) -> list[dict[str, Any]]:
    """The first `# METADATA` block of each (https://www.openpolicyagent.org/docs/policy-language#metadata)."""
    found = []
    for parsed, failure in documents.parse_all([_extract_metadata_block(text) for text in texts], 1):
        value = documents.to_value(parsed[0]) if parsed and failure is None else {}
        found.append(value if isinstance(value, dict) else {})
    return found


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


def _read_data(path: Path, name: str) -> dict[str, Any]:
    try:
        found, failure = documents.parse(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PolicyError(f"{name}: cannot be read: {error}") from error
    if failure is not None:
        raise PolicyError(f"{name}:{failure[1]}:{failure[2]}: is no JSON or YAML: {failure[0]}")
    value = documents.to_value(found[0]) if found else None
    if not isinstance(value, dict):
        raise PolicyError(f"{name}: policy data must be a mapping at its top")
    return value


def _merge_data(target: dict[str, Any], source: dict[str, Any], name: str) -> None:
    for key, value in source.items():
        if isinstance(target.get(key), dict) and isinstance(value, dict):
            _merge_data(target[key], value, name)
        elif key in target and target[key] != value:
            raise PolicyError(f"{name}: `{key}` is set to something else by another data file")
        else:
            target[key] = value


def merge_policy_sets(sets: Iterable[PolicySet]) -> PolicySet:
    """Several sets as one."""
    modules: list[RegoModule] = []
    data: dict[str, Any] = {}
    for part in sets:
        modules.extend(part.modules)
        _merge_data(data, part.data, "policy data")
    return PolicySet(tuple(modules), data)
