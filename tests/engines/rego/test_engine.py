"""The Rego engine: policies that cannot be used are a fatal gap, and cached results are those of a fresh run."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.config import Config
from gatekeeper.engines.rego import engine, evaluation
from gatekeeper.host.cache import Cache
from tests.conftest import Repository
from tests.engines.contexts import build_context

RULE = (
    'package team\nimport rego.v1\ndeny contains sprintf("no %s", [input.metadata.name]) if input.kind == "ConfigMap"\n'
)
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n"
SETTINGS = Config()._replace(library="off", policies=("policy",))


@pytest.fixture
def root(repository: Repository) -> Path:
    return repository(
        {"policy/team.rego": RULE, "a.yaml": MAP.replace("NAME", "a"), "b.yaml": MAP.replace("NAME", "b")}
    )


@pytest.mark.parametrize(
    "text", ["package team\ndeny contains x if {\n", "deny := 1\n", "package team\ndeny[x] { x := http.send({}) }\n"]
)
def test_policies_that_cannot_be_used_are_one_fatal_gap(root: Path, text: str) -> None:
    (root / "policy" / "broken.rego").write_text(text)
    result = engine.evaluate(build_context(root, SETTINGS))
    [gap] = result.gaps
    assert gap.is_fatal and gap.reason.startswith("no Rego policy could be evaluated") and "broken.rego" in gap.reason
    assert not result.findings and not result.is_cacheable


def test_a_bundle_that_cannot_be_used_is_a_gap_next_to_the_findings(root: Path) -> None:
    settings = SETTINGS._replace(bundles=({"source": "none", "digest": f"sha256:{'0' * 64}"},))
    result = engine.evaluate(build_context(root, settings))
    assert [gap.is_fatal for gap in result.gaps] == [True] and len(result.findings) == 2
    assert not result.is_cacheable


def test_cached_results_are_those_of_a_fresh_run_in_the_order_of_resources(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MIN_CACHED_RESOURCES", 1)
    cache = Cache(tmp_path / "cache", b"k" * 32, b"1")
    context = build_context(root, SETTINGS)
    [first, second] = sorted(context.targets, key=lambda resource: resource.ref.name)
    fresh = engine.evaluate(context._replace(targets=[first, second]))
    engine.evaluate(context._replace(targets=[second], cache=cache))
    assert engine.evaluate(context._replace(targets=[first, second], cache=cache)) == fresh
    monkeypatch.setattr(evaluation, "start_engine", None)
    assert engine.evaluate(context._replace(targets=[first, second], cache=cache)) == fresh


def test_results_for_few_resources_are_not_cached(root: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", b"k" * 32, b"1")
    context = build_context(root, SETTINGS)
    assert engine.evaluate(context._replace(cache=cache)) == engine.evaluate(context)
    assert not (tmp_path / "cache").exists()


def test_a_policy_that_reads_the_clock_is_never_cached(root: Path, tmp_path: Path) -> None:
    (root / "policy" / "clock.rego").write_text("package clock\nimport rego.v1\ndeny contains 1 if time.now_ns() < 0\n")
    cache = Cache(tmp_path / "cache", b"k" * 32, b"1")
    assert not engine.evaluate(build_context(root, SETTINGS)._replace(cache=cache)).is_cacheable
    assert not (tmp_path / "cache").exists()
