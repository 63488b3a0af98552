"""Measures which lines and rules of policies their tests evaluate, with either engine."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from gatekeeper.config import Config
from gatekeeper.engines.rego.loader import RULE_HEAD
from gatekeeper.engines.rego.model import PolicySet, RegoModule
from gatekeeper.engines.rego.opa import server
from gatekeeper.engines.rego.rego_text import CLOSING_BRACKETS, OPENING_BRACKETS, blank_literals
from gatekeeper.engines.rego.regorus.engine import RegorusEngine
from gatekeeper.errors import PolicyError
from gatekeeper.host.process import run_command
from gatekeeper.named_tuple import NamedTuple

# Inputs as JSON, each with the queries to evaluate on it.
QueryBatch = Sequence[tuple[bytes, Sequence[str]]]
# File, evaluated lines, lines that were not evaluated.
LineCoverage = tuple[str, list[int], list[int]]
OPA_TIMEOUT_SECONDS = 120.0
NON_RULE_KEYWORDS = ("package", "import")


class FileCoverage(NamedTuple):
    """The coverage of one file: line numbers, and rules as name and first line."""

    path: str
    reached_lines: frozenset[int]
    missed_lines: frozenset[int]
    rules: tuple[tuple[str, int], ...]
    untested_rules: tuple[tuple[str, int], ...]


def measure(runs: Sequence[tuple[PolicySet, QueryBatch]], config: Config) -> list[FileCoverage]:
    """Measures the coverage of several runs together; the modules of the tests themselves are left out.

    Raises:
        PolicyError: the engine reports no coverage.
    """
    reached: dict[str, set[int]] = {}
    known: dict[str, set[int]] = {}
    modules: dict[str, RegoModule] = {}
    for policies, batch in runs:
        modules.update({module.path: module for module in policies.modules if not module.is_test})
        if config.engine == "opa":
            line_coverages = _measure_with_opa(policies, batch, config)
        else:
            line_coverages = RegorusEngine(policies, config.policy_timeout, 1).trace_lines(batch)
        for path, reached_lines, missed_lines in line_coverages:
            reached.setdefault(path, set()).update(reached_lines)
            known.setdefault(path, set()).update(reached_lines, missed_lines)
    return [
        _build_file_coverage(modules[path], reached[path], known[path]) for path in sorted(modules) if path in known
    ]


def compute_percent(files: Sequence[FileCoverage]) -> float:
    """Computes the percentage of lines that are evaluated; 100 if there are no lines."""
    reached = sum(len(file.reached_lines) for file in files)
    missed = sum(len(file.missed_lines) for file in files)
    return 100 * reached / (reached + missed) if reached + missed else 100.0


def _build_file_coverage(module: RegoModule, reached: set[int], known: set[int]) -> FileCoverage:
    spans = list(list_rules(module.text))
    rules = tuple((name, start) for name, start, _ in spans)
    untested = tuple(
        (name, start)
        for name, start, end in spans
        if not any(line in reached for line in range(start, end + 1))
        and any(line in known for line in range(start, end + 1))
    )
    return FileCoverage(module.path, frozenset(reached), frozenset(known - reached), rules, untested)


def list_rules(text: str) -> Iterator[tuple[str, int, int]]:
    """Lists the rules of a module: name, first and last line."""
    lines = blank_literals(text).splitlines()
    depth, open_rule = 0, ("", 0)
    for number, line in enumerate(lines, 1):
        head = RULE_HEAD.match(line) if not depth and not line[:1].isspace() else None
        if head and head.group(1) not in NON_RULE_KEYWORDS and not re.match(r"else\b", line):
            if open_rule[0]:
                yield (*open_rule, number - 1)
            open_rule = (head.group(1), number)
        depth = max(0, depth + sum((letter in OPENING_BRACKETS) - (letter in CLOSING_BRACKETS) for letter in line))
    if open_rule[0]:
        yield (*open_rule, len(lines))


def _measure_with_opa(policies: PolicySet, batch: QueryBatch, config: Config) -> list[LineCoverage]:
    """Runs one `opa eval --coverage` for the whole batch."""
    queries = list(dict.fromkeys(query for _, wanted in batch for query in wanted))
    with tempfile.TemporaryDirectory(prefix="gatekeeper-opa-") as name:
        bundle, input_file = Path(name) / "bundle", Path(name) / "input.json"
        server.write_bundle(bundle, policies, server.build_collector(queries))
        input_file.write_bytes(
            orjson.dumps(
                {
                    "resources": [orjson.loads(json) for json, _ in batch],
                    "wanted": [list(wanted) for _, wanted in batch],
                }
            )
        )
        options = ["--coverage", "--format", "json", "--bundle", str(bundle), "--input", str(input_file)]
        query = f"data.{server.COLLECTOR_PACKAGE}.answers"
        program = config.toolchain.find("opa")
        code, out, errors = run_command([str(program), "eval", *options, query], OPA_TIMEOUT_SECONDS)
    try:
        files = orjson.loads(out)["coverage"]["files"] if code == 0 else None
    except (ValueError, KeyError) as error:
        raise PolicyError(f"opa eval --coverage: the output has no coverage: {error}") from error
    if files is None:
        raise PolicyError(f"opa eval --coverage failed: {errors.strip()[:500]}")
    paths = {f"{number}.rego": module.path for number, module in enumerate(policies.modules)}
    return [
        (paths[name], _expand_ranges(entry.get("covered")), _expand_ranges(entry.get("not_covered")))
        for file, entry in files.items()
        if (name := file.rpartition("/")[2]) in paths
    ]


def _expand_ranges(ranges: object) -> list[int]:
    entries = ranges if isinstance(ranges, list) else []
    return [line for entry in entries for line in range(entry["start"]["row"], entry["end"]["row"] + 1)]
