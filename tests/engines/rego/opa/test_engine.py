"""Rego on OPA: a server that ends, a remote one, and failures of single rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.config import Config
from gatekeeper.engines.rego import evaluation as rego
from gatekeeper.engines.rego import loader, query_plan
from gatekeeper.engines.rego.model import PolicySet
from gatekeeper.engines.rego.opa import engine as opa_engine
from gatekeeper.engines.rego.opa.engine import OpaEngine
from gatekeeper.errors import PolicyError
from tests.conftest import needs, running_opa
from tests.engines.rego.test_evaluation import resources

pytestmark = needs("opa")


@needs("opa")
def test_a_killed_opa_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.rego").write_text('package a\nimport rego.v1\ndeny contains "x" if input\n')
    plan = query_plan.build_plan(Config(library="off"), loader.load_policies(tmp_path, ["."]))
    engine = OpaEngine(plan.policies, tuple(plan.rules), Config(policy_timeout=2))
    server = engine._server
    assert server and server._process
    server._process.kill()
    server._process.wait()
    with pytest.raises(PolicyError, match="OPA ended"):
        rego.evaluate_resources(resources(), plan, engine)
    engine.close()


@needs("opa")
def test_a_server_of_ones_own_is_used_and_left_as_it_was(tmp_path: Path) -> None:
    """Modules that need each other in any order, data of any type, and nothing that stays behind."""
    (tmp_path / "a.rego").write_text("package a\ndeny contains w if { some w in data.words; data.z.fits(w) }\n")
    (tmp_path / "z.rego").write_text('package z\nfits(w) if w != "y"\n')
    (tmp_path / "data.json").write_text('{"words": ["x", "y"]}')
    plan = query_plan.build_plan(Config(library="off"), loader.load_policies(tmp_path, ["."], ["data.json"]))
    with running_opa() as url:
        engine = OpaEngine(plan.policies, tuple(plan.rules), Config(policy_timeout=2, opa_url=url))
        findings, gaps = rego.evaluate_resources(resources(), plan, engine)
        engine.close()
        again = OpaEngine(PolicySet((), {}), (), Config(policy_timeout=2, opa_url=url))
        left = again._client.get_policies_list(), again._client.get_data("")
        again.close()
    assert [found.message for found in findings] == ["x"] and not gaps
    assert left == (["gatekeeper/collect"], {"result": {"gatekeeper_batch": {}}})


@needs("opa")
def test_unreachable_opa_address_has_a_clear_message() -> None:
    with pytest.raises(PolicyError, match="does not answer"):
        OpaEngine(PolicySet((), {}), (), Config(opa_url="http://127.0.0.1:1"))
    with pytest.raises(PolicyError, match="must look like"):
        OpaEngine(PolicySet((), {}), (), Config(opa_url="localhost:8181"))


QUERY = "data.team.deny"


def open_engine(text: str, **settings: object) -> OpaEngine:
    policies = PolicySet((loader.parse_module(text, "team.rego"),), {})
    return OpaEngine(policies, [QUERY], Config()._replace(**settings))  # type: ignore[arg-type]


def test_a_failure_is_isolated_to_the_resource_that_causes_it() -> None:
    text = """package team
import rego.v1
level := 1 if input.a
level := 2 if input.b
deny contains "yes" if level
"""
    engine = open_engine(text)
    try:
        inputs = [b'{"a": true}', b'{"a": true, "b": true}', b'{"b": true}', b"{}"]
        results = engine.evaluate([(json, [QUERY]) for json in inputs])
    finally:
        engine.close()
    assert [(result.input_index, result.value) for result in results] == [(0, ["yes"]), (1, None), (2, ["yes"])]
    assert "conflict" in results[1].error or "multiple" in results[1].error


def test_a_rule_that_takes_too_long_is_given_up_after_some_resources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opa_engine, "MAX_TIMEOUTS", 1)
    text = "package team\nimport rego.v1\ndeny contains a if { some a in numbers.range(1, 9000); some b in numbers.range(1, 9000); a * b == -1 }\n"
    engine = open_engine(text, policy_timeout=0.1)
    try:
        first, second = engine.evaluate([(b"{}", [QUERY])]), engine.evaluate([(b"{}", [QUERY])])
    finally:
        engine.close()
    assert [result.error for result in first] == [opa_engine.TIMEOUT_REASON]
    assert [result.error for result in second] == ["not evaluated: it took too long on other resources"]


def test_a_builtin_with_access_to_the_network_is_refused_before_a_server_starts() -> None:
    with pytest.raises(PolicyError, match=r"team\.rego:3: `http\.send` accesses the network"):
        open_engine("package team\n\ndeny[x] { x := http.send({}) }\n")


def test_server_that_rejects_a_policy_keeps_nothing_of_it() -> None:
    with running_opa() as url:
        with pytest.raises(PolicyError, match=r"team\.rego: the OPA server refused it"):
            open_engine("package team\ndeny contains x if { y }\n", opa_url=url)
        rest = OpaEngine(PolicySet((), {}), (), Config(opa_url=url))
        names = rest._client.get_policies_list()
        rest.close()
    assert names == ["gatekeeper/collect"]
