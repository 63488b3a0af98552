"""Both Rego engines answer through the same protocol."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gatekeeper.config import Config
from gatekeeper.engines.rego import loader
from gatekeeper.engines.rego.model import PolicySet
from gatekeeper.engines.rego.opa.engine import OpaEngine
from gatekeeper.engines.rego.regorus.engine import RegorusEngine
from gatekeeper.protocols import RegoEngine
from tests.conftest import needs

MODULE = """package team
import rego.v1

deny contains "bad name" if input.name == "x"
limit := 7 if input.limited
"""
DENY, LIMIT = "data.team.deny", "data.team.limit"


def open_embedded(policies: PolicySet) -> RegoEngine:
    return RegorusEngine(policies, 5, 1)


def open_opa(policies: PolicySet) -> RegoEngine:
    return OpaEngine(policies, [DENY, LIMIT], Config(engine="opa"))


@pytest.mark.parametrize(
    ("open_engine", "name"), [(open_embedded, "regorus"), pytest.param(open_opa, "opa", marks=needs("opa"))]
)
def test_results_are_in_the_order_of_the_inputs_without_undefined_and_empty_ones(
    tmp_path: Path, open_engine: Callable[[PolicySet], RegoEngine], name: str
) -> None:
    (tmp_path / "team.rego").write_text(MODULE)
    with closing(open_engine(loader.load_policies(tmp_path, ["."]))) as engine:
        assert engine.name[0] == name and any(letter.isdigit() for letter in engine.name[1])
        results = engine.evaluate(
            [
                (b'{"name": "x"}', [DENY, LIMIT]),
                (b'{"name": "a"}', [DENY, LIMIT]),
                (b'{"name": "x", "limited": true}', [DENY, LIMIT]),
            ]
        )
    values = [(result.input_index, result.query, result.value, result.error) for result in results]
    assert values == [(0, DENY, ["bad name"], ""), (2, DENY, ["bad name"], ""), (2, LIMIT, 7, "")]
