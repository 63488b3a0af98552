"""Rego by the engine that is compiled in: regorus, all resources in one call, on all cores."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from gatekeeper.engines import guard
from gatekeeper.engines.policies import Module, PolicySet
from gatekeeper.errors import PolicyError
from gatekeeper.roles import Answer

try:
    from gatekeeper._native import REGORUS, Rego
except ImportError:
    Rego, REGORUS = None, ""  # type: ignore[assignment,misc]

MISSING = (
    "the embedded Rego engine was not built (it needs a Rust compiler at install time): "
    "install Rust and reinstall, or set `engine: opa` in gatekeeper.yaml"
)


def available() -> bool:
    """Whether the compiled engine is there."""
    return Rego is not None


class Embedded:
    """Policies loaded into regorus."""

    def __init__(self, policies: PolicySet, timeout: float, jobs: int) -> None:
        if Rego is None:
            raise PolicyError(MISSING)
        self._rego = Rego(int(timeout * 1000))
        self._jobs = jobs
        for module in policies.modules:
            self._add(module)
        if policies.data:
            self._rego.add_data(orjson.dumps(policies.data).decode())

    @property
    def name(self) -> tuple[str, str]:
        """For the report."""
        return "regorus", REGORUS

    def _add(self, module: Module) -> None:
        """Adds a module as the Rego version that it looks like, or else as the other."""
        guard.closed(module, ())
        guard.check(module)
        text = guard.taken(module.text)
        errors = []
        for v0 in (module.v0, not module.v0):
            try:
                self._rego.add_policy(module.path, text, v0)
                return
            except ValueError as error:
                errors.append(str(error))
        version = "v0" if module.v0 else "v1"
        raise PolicyError(f"{module.path}: does not compile (read as Rego {version}): {_brief(errors[0])}")

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[Answer]:
        """See `gatekeeper.roles.RegoEngine`."""
        queries: dict[str, int] = {}
        groups: dict[tuple[str, ...], int] = {}
        numbered = []
        for json, wanted in inputs:
            numbered.append((json, groups.setdefault(tuple(wanted), len(groups))))
        listed = [[queries.setdefault(query, len(queries)) for query in group] for group in groups]
        names = list(queries)
        answers = self._rego.evaluate(numbered, listed, names, self._jobs)
        return [
            Answer(number, names[query], orjson.loads(value) if value is not None else None, _brief(error))
            for number, query, value, error in answers
        ]

    def close(self) -> None:
        """Nothing was started."""


def _brief(error: str) -> str:
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
    return f"{place}: {words}" if place else words
