"""Rego by the engine that is compiled in: regorus, all resources in one call, on all cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import orjson

from gatekeeper.engines.rego import regorus_dialect, regorus_guard
from gatekeeper.engines.rego.loader import PolicySet, RegoModule
from gatekeeper.errors import PolicyError
from gatekeeper.protocols import QueryResult

try:
    from gatekeeper._native import REGORUS, Rego
except ImportError:
    Rego, REGORUS = None, ""  # type: ignore[assignment,misc]

NATIVE_MODULE_MISSING = (
    "the embedded Rego engine was not built (it needs a Rust compiler at install time): "
    "install Rust and reinstall, or set `engine: opa` in gatekeeper.yaml"
)


def is_available() -> bool:
    """Whether the compiled engine is there."""
    return Rego is not None


class RegorusEngine:
    """Policies loaded into regorus."""

    def __init__(self, policies: PolicySet, timeout: float, jobs: int) -> None:
        if Rego is None:
            raise PolicyError(NATIVE_MODULE_MISSING)
        self._policies = policies
        self._limit_ms = int(timeout * 1000)
        self._jobs = jobs
        self._rego = self._load(regorus_dialect.rewrite)

    @property
    def name(self) -> tuple[str, str]:
        """For the report."""
        return "regorus", REGORUS

    @cached_property
    def _lenient_rego(self) -> Rego:
        """The same policies, but what is no collection has no items, as in OPA; a little slower, so made if needed."""
        rego = self._load(regorus_dialect.rewrite_leniently)
        rego.add_policy(regorus_dialect.ITEMS_MODULE_NAME, regorus_dialect.ITEMS_MODULE, False)
        return rego

    def _load(self, rewrite: Callable[[str], str]) -> Rego:
        rego = Rego(self._limit_ms)
        for module in self._policies.modules:
            _add_module(rego, module, rewrite)
        if self._policies.data:
            rego.add_data(orjson.dumps(self._policies.data).decode())
        return rego

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """See `gatekeeper.protocols.RegoEngine`."""
        answers = self._evaluate_with(self._rego, inputs)
        stuck = [
            place for place, answer in enumerate(answers) if regorus_dialect.NOT_A_COLLECTION_ERROR in answer.error
        ]
        if not stuck:
            return [answer._replace(error=_shorten_error(answer.error)) for answer in answers]
        again: dict[int, list[str]] = {}
        for place in stuck:
            again.setdefault(answers[place].input_index, []).append(answers[place].query)
        second = self._evaluate_with(
            self._lenient_rego, [(inputs[number][0], queries) for number, queries in again.items()]
        )
        numbers = list(again)
        better = {(numbers[answer.input_index], answer.query): answer for answer in second}
        kept = []
        for answer in answers:
            if regorus_dialect.NOT_A_COLLECTION_ERROR in answer.error:
                found = better.get((answer.input_index, answer.query))
                if found is None:
                    continue
                answer = found._replace(input_index=answer.input_index)
            kept.append(answer._replace(error=_shorten_error(answer.error)))
        return kept

    def _evaluate_with(self, rego: Rego, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        queries: dict[str, int] = {}
        groups: dict[tuple[str, ...], int] = {}
        numbered = []
        for json, wanted in inputs:
            numbered.append((json, groups.setdefault(tuple(wanted), len(groups))))
        listed = [[queries.setdefault(query, len(queries)) for query in group] for group in groups]
        names = list(queries)
        return [
            QueryResult(number, names[query], orjson.loads(value) if value is not None else None, error)
            for number, query, value, error in rego.evaluate(numbered, listed, names, self._jobs)
        ]

    def trace_lines(self, batch: Sequence[tuple[bytes, Sequence[str]]]) -> list[tuple[str, list[int], list[int]]]:
        """The lines that some questions reach, and those that they do not, by file."""
        lines: list[tuple[str, list[int], list[int]]] = []
        for json, wanted in batch:
            _, lines = self._rego.trace(json, list(wanted))
        return lines

    def close(self) -> None:
        """Nothing was started."""


def _add_module(rego: Rego, module: RegoModule, rewrite: Callable[[str], str]) -> None:
    """Adds a module as the Rego version that it looks like, or else as the other."""
    text = module.text
    if not module.is_shipped or rewrite is regorus_dialect.rewrite_leniently:
        regorus_guard.reject_external_calls(module, ())
        regorus_guard.reject_differences(module)
        text = rewrite(text)
    errors = []
    for v0 in (module.is_v0, not module.is_v0):
        try:
            rego.add_policy(module.path, text, v0)
            return
        except ValueError as error:
            errors.append(str(error))
    version = "v0" if module.is_v0 else "v1"
    raise PolicyError(f"{module.path}: does not compile (read as Rego {version}): {_shorten_error(errors[0])}")


def _shorten_error(error: str) -> str:
    """regorus draws the line and a caret; one line is enough in a report."""
    if not error:
        return ""
    lines = [line.strip() for line in error.strip().splitlines()]
    place = next((line.removeprefix("--> ") for line in lines if line.startswith("--> ")), "")
    words = next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), lines[-1])
    if "execution time" in error or "time limit" in error:
        words = "took longer than `policies.timeout`"
    if "could not find function" in words:
        words += "; the embedded engine lacks it: set `engine: opa`"
    elif " expects " in words:
        words += "; OPA would take the rule as undefined here: guard the rule, or set `engine: opa`"
    return f"{place}: {words}" if place else words
