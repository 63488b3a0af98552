"""OPA's own conformance cases, with both engines: what would differ is refused; docs/rego.md says how much that is."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from gatekeeper.config import Config
from gatekeeper.engines.rego.model import PolicySet
from gatekeeper.engines.rego.opa.engine import OpaEngine
from gatekeeper.engines.rego.regorus.engine import RegorusEngine
from gatekeeper.protocols import RegoEngine
from tests.conftest import needs, running_opa
from tests.engines.rego import conformance

DOCS = Path(__file__).parents[3] / "docs" / "rego.md"
STRICT = "baseandvirtualdocs/enumerate virtual errors"
# docs/rego.md names it.
KNOWN = {STRICT}


@pytest.fixture(scope="module")
def folder() -> Path:
    found = conformance.source()
    if found is None:
        if os.environ.get("GATEKEEPER_CI"):
            raise RuntimeError("OPA's source must be there in CI: it needs Go and a module proxy")
        pytest.skip("no Go, or no module proxy, to get OPA's cases from")
    return found


def tally(folder: Path, version: int, start: Callable[[PolicySet, str], RegoEngine]) -> tuple[Counter[str], set[str]]:
    """How many cases have which outcome, and the notes of those that differ."""
    counted = Counter[str]()
    differing = set()
    for case in conformance.cases(folder, version):
        word, _, how = conformance.outcome(case, start).partition(": ")
        counted[word] += 1
        if word == "differs":
            differing.add(f"{case.note}: {how}")
    return counted, differing


def row(engine: str, version: int, counted: Counter[str]) -> str:
    """The line of the table in the docs."""
    figures = " | ".join(str(counted[word]) for word in ("agrees", "refuses", "differs"))
    return f"| {engine} | v{version} | {figures} |"


@pytest.mark.parametrize("version", [0, 1])
def test_the_embedded_engine_agrees_with_opa_or_refuses(folder: Path, version: int) -> None:
    counted, differing = tally(folder, version, lambda loaded, _: RegorusEngine(loaded, 5, 1))
    assert {note.partition(": ")[0] for note in differing} <= KNOWN, differing
    assert row("embedded", version, counted) in DOCS.read_text(encoding="utf-8"), counted


@needs("opa")
@pytest.mark.parametrize("version", [0, 1])
def test_real_opa_returns_all_results(folder: Path, version: int) -> None:
    """The same cases through the product's own way to OPA: JSON both ways, one request for all."""
    with running_opa(*(["--v0-compatible"] if version == 0 else [])) as url:
        counted, differing = tally(
            folder, version, lambda loaded, query: OpaEngine(loaded, (query,), Config(opa_url=url))
        )
    assert {note.partition(": ")[0] for note in differing} == {STRICT}, differing
    assert row("opa", version, counted) in DOCS.read_text(encoding="utf-8"), counted
