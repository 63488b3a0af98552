"""Which lines and rules of policies their tests reach, with either engine."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson

from gatekeeper.config import Config
from gatekeeper.engines.rego import regorus_guard
from gatekeeper.engines.rego.loader import RULE_HEAD, PolicySet, RegoModule
from gatekeeper.errors import PolicyError

QueryBatch = Sequence[tuple[bytes, Sequence[str]]]
OPA_TIMEOUT_SECONDS = 120.0
NON_RULE_KEYWORDS = ("package", "import")


class FileCoverage(NamedTuple):
    """What tests reach of one file: line numbers, and names of rules with the line where each begins."""

    path: str
    reached_lines: frozenset[int]
    missed_lines: frozenset[int]
    rules: tuple[tuple[str, int], ...]
    untested_rules: tuple[tuple[str, int], ...]


def measure(runs: Sequence[tuple[PolicySet, QueryBatch]], config: Config) -> list[FileCoverage]:
    """What some runs, each of questions to policies, reach together; tests themselves are left out.

    Raises:
        PolicyError: the engine cannot tell.
    """
    reached: dict[str, set[int]] = {}
    seen: dict[str, set[int]] = {}
    modules: dict[str, RegoModule] = {}
    lines_of = _measure_with_opa if config.engine == "opa" else _measure_with_regorus
    for policies, asked in runs:
        modules.update({module.path: module for module in policies.modules if not module.is_test})
        for path, hit, missed in lines_of(policies, asked, config):
            reached.setdefault(path, set()).update(hit)
            seen.setdefault(path, set()).update(hit, missed)
    return [
        _build_file_coverage(modules[path], reached.get(path, set()), seen.get(path, set()))
        for path in sorted(modules)
        if path in seen or path in reached
    ]


def compute_percent(files: Sequence[FileCoverage]) -> float:
    """Lines that are reached, of a hundred; 100 where there are none."""
    reached = sum(len(file.reached_lines) for file in files)
    missed = sum(len(file.missed_lines) for file in files)
    return 100 * reached / (reached + missed) if reached + missed else 100.0


def _build_file_coverage(module: RegoModule, reached: set[int], seen: set[int]) -> FileCoverage:
    spans = list(list_rules(module.text))
    rules = tuple((name, start) for name, start, _ in spans)
    untried = tuple(
        (name, start)
        for name, start, end in spans
        if not any(line in reached for line in range(start, end + 1))
        and any(line in seen for line in range(start, end + 1))
    )
    return FileCoverage(module.path, frozenset(reached), frozenset(seen - reached), rules, untried)


def list_rules(text: str) -> Iterator[tuple[str, int, int]]:
    """The rules of a module: name, first and last line."""
    code = regorus_guard.blank_literals(text).splitlines()
    depth, open_rule = 0, ("", 0)
    for number, line in enumerate(code, 1):
        found = RULE_HEAD.match(line) if not depth and not line[:1].isspace() else None
        if found and found.group(1) not in NON_RULE_KEYWORDS and not re.match(r"else\b", line):
            if open_rule[0]:
                yield (*open_rule, number - 1)
            open_rule = (found.group(1), number)
        depth = max(0, depth + sum((letter in "([{") - (letter in ")]}") for letter in line))
    if open_rule[0]:
        yield (*open_rule, len(code))


def _measure_with_regorus(
    policies: PolicySet, batch: QueryBatch, config: Config
) -> list[tuple[str, list[int], list[int]]]:
    from gatekeeper.engines.rego.embedded import RegorusEngine

    return RegorusEngine(policies, config.policy_timeout, 1).trace_lines(batch)


def _measure_with_opa(policies: PolicySet, batch: QueryBatch, config: Config) -> list[tuple[str, list[int], list[int]]]:
    """One `opa eval --coverage` for all questions."""
    from gatekeeper.engines.rego import opa_server
    from gatekeeper.host.process import run_command

    queries = list(dict.fromkeys(query for _, wanted in batch for query in wanted))
    with tempfile.TemporaryDirectory(prefix="gatekeeper-opa-") as name:
        bundle, question = Path(name) / "bundle", Path(name) / "input.json"
        opa_server.write_bundle(bundle, policies, opa_server.build_collector(queries))
        question.write_bytes(
            orjson.dumps(
                {"resources": [orjson.loads(json) for json, _ in batch], "wanted": [list(w) for _, w in batch]}
            )
        )
        command = [
            config.toolchain.find("opa"),
            "eval",
            "--coverage",
            "--format",
            "json",
            "--bundle",
            bundle,
            "--input",
            question,
            f"data.{opa_server.COLLECTOR_PACKAGE}.answers",
        ]
        code, out, words = run_command([str(part) for part in command], OPA_TIMEOUT_SECONDS)
    try:
        files = orjson.loads(out)["coverage"]["files"] if code == 0 else None
    except (ValueError, KeyError) as error:
        raise PolicyError(f"opa tells no coverage: {error}") from error
    if files is None:
        raise PolicyError(f"opa tells no coverage: {words.strip()[:500]}")
    by_number = {f"{number}.rego": module.path for number, module in enumerate(policies.modules)}
    return [
        (
            by_number[file.rpartition("/")[2]],
            _expand_ranges(about.get("covered")),
            _expand_ranges(about.get("not_covered")),
        )
        for file, about in files.items()
        if file.rpartition("/")[2] in by_number
    ]


def _expand_ranges(ranges: object) -> list[int]:
    listed = ranges if isinstance(ranges, list) else []
    return [line for part in listed for line in range(part["start"]["row"], part["end"]["row"] + 1)]
