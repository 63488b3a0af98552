"""Rego on the embedded engine, regorus: all resources in one call, on all cores."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import orjson

from gatekeeper.engines.rego.model import PolicySet, RegoModule
from gatekeeper.engines.rego.regorus import dialect, guard, stack_limits
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
# Bytes that the evaluation of a rule may add to the memory of the process.
MEMORY_LIMIT = 1 << 30


def is_available() -> bool:
    """Whether the engine was built at install time."""
    return Rego is not None


class RegorusEngine:
    """Policies loaded into regorus.

    Args:
        timeout: seconds that one rule may take on one resource.
        jobs: the number of threads.
        memory_limit: bytes that one rule may add to the memory of the process on one resource.

    Raises:
        PolicyError: the engine was not built, or a policy does not compile or is not supported.
    """

    def __init__(self, policies: PolicySet, timeout: float, jobs: int, memory_limit: int = MEMORY_LIMIT) -> None:
        if Rego is None:
            raise PolicyError(NATIVE_MODULE_MISSING)
        self._policies = policies
        self._limit_ms = int(timeout * 1000)
        self._jobs = jobs
        self._memory_limit = memory_limit
        self._rego = self._load()

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.protocols.RegoEngine`."""
        return "regorus", REGORUS

    @cached_property
    def _lenient_rego(self) -> Rego:
        """The same policies with `rewrite_leniently`: a little slower, so loaded on first use."""
        rego = self._load(is_lenient=True)
        rego.add_policy(dialect.ITEMS_MODULE_NAME, dialect.ITEMS_MODULE, False)
        return rego

    def _load(self, is_lenient: bool = False) -> Rego:
        rego = Rego(self._limit_ms, self._memory_limit)
        modules = self._policies.modules
        if not is_lenient:
            # The library calls nothing outside of itself, as tests prove, and no rule of it is recursive.
            others = [module for module in modules if not module.is_shipped]
            stack_limits.reject_recursion(modules if any(module.can_use_library for module in others) else others)
        for module in modules:
            _add_module(rego, module, is_lenient)
        if self._policies.data:
            rego.add_data(orjson.dumps(self._policies.data).decode())
        return rego

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """See `gatekeeper.protocols.RegoEngine`."""
        results = self._evaluate_with(self._rego, inputs)
        if any(_needs_lenient_rewrite(result) for result in results):
            results = self._replace_results(results, inputs)
        return [result._replace(error=self._shorten(result.error)) if result.error else result for result in results]

    def _shorten(self, error: str) -> str:
        if "exceeded memory limit" in error:
            limit = f"needs more than {self._memory_limit >> 20} MB of memory: build smaller texts and collections"
            return _shorten_error(error, limit)
        return _shorten_error(error)

    def _replace_results(
        self, results: Sequence[QueryResult], inputs: Sequence[tuple[bytes, Sequence[str]]]
    ) -> list[QueryResult]:
        """Evaluates the rules that met a value that is not a collection again, with the lenient rewrite."""
        queries_by_input: dict[int, list[str]] = {}
        for result in results:
            if _needs_lenient_rewrite(result):
                queries_by_input.setdefault(result.input_index, []).append(result.query)
        numbers = list(queries_by_input)
        again = self._evaluate_with(
            self._lenient_rego, [(inputs[number][0], queries) for number, queries in queries_by_input.items()]
        )
        replaced = {(numbers[result.input_index], result.query): result for result in again}
        merged = []
        for result in results:
            if _needs_lenient_rewrite(result):
                lenient = replaced.get((result.input_index, result.query))
                # Without a result the rule is undefined.
                if lenient is not None:
                    merged.append(lenient._replace(input_index=result.input_index))
            else:
                merged.append(result)
        return merged

    def _evaluate_with(self, rego: Rego, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """Evaluates inputs; equal lists of queries are passed to the engine once, as lists of numbers."""
        numbers_by_query: dict[str, int] = {}
        groups: dict[tuple[str, ...], int] = {}
        grouped_inputs = [(json, groups.setdefault(tuple(queries), len(groups))) for json, queries in inputs]
        query_groups = [
            [numbers_by_query.setdefault(query, len(numbers_by_query)) for query in group] for group in groups
        ]
        names = list(numbers_by_query)
        return [
            QueryResult(number, names[query], orjson.loads(value) if value is not None else None, error)
            for number, query, value, error in rego.evaluate(grouped_inputs, query_groups, names, self._jobs)
        ]

    def trace_lines(self, batch: Sequence[tuple[bytes, Sequence[str]]]) -> list[tuple[str, list[int], list[int]]]:
        """Evaluates queries and returns, for each file, the lines that were evaluated and those that were not."""
        lines: list[tuple[str, list[int], list[int]]] = []
        # The engine accumulates the lines, so the last answer covers the whole batch.
        for json, queries in batch:
            _, lines = self._rego.trace(json, list(queries))
        return lines

    def close(self) -> None:
        """See `gatekeeper.protocols.RegoEngine`; the engine has nothing to end."""


def _needs_lenient_rewrite(result: QueryResult) -> bool:
    return dialect.NOT_A_COLLECTION_ERROR in result.error


def _add_module(rego: Rego, module: RegoModule, is_lenient: bool) -> None:
    """Adds a module as the Rego version that it seems to have, or else as the other."""
    text = module.text
    if not module.is_shipped:
        # Before the lenient load, the same modules have passed.
        if not is_lenient:
            guard.reject_external_calls(module, ())
            guard.reject_differences(module)
            stack_limits.reject_deep_nesting(module)
        text = dialect.rewrite(text)
    if is_lenient:
        text = dialect.rewrite_leniently(text)
    errors = []
    for is_v0 in (module.is_v0, not module.is_v0):
        try:
            rego.add_policy(module.path, text, is_v0)
            return
        except ValueError as error:
            errors.append(str(error))
    version = "v0" if module.is_v0 else "v1"
    raise PolicyError(f"{module.path}: does not compile (read as Rego {version}): {_shorten_error(errors[0])}")


def _shorten_error(error: str, message: str = "") -> str:
    """Shortens an error of regorus, which shows the line and a caret, to one line with position and hint."""
    if not error:
        return ""
    lines = [line.strip() for line in error.strip().splitlines()]
    position = next((line.removeprefix("--> ") for line in lines if line.startswith("--> ")), "")
    message = message or next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), lines[-1])
    if "execution time" in error or "time limit" in error:
        message = "took longer than `policies.timeout`"
    if "could not find function" in message:
        message += "; the embedded engine does not have it: set `engine: opa`"
    elif " expects " in message:
        message += "; in OPA the rule is undefined here: guard the rule, or set `engine: opa`"
    return f"{position}: {message}" if position else message
