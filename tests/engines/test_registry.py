"""The contract of all policy engines: each is complete, checks its targets, and has reproducible results."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.config import Config
from gatekeeper.engines.registry import ENGINES, evaluate_engines, sort_by_end
from gatekeeper.errors import UsageError
from gatekeeper.gate import pipeline
from tests.conftest import Repository
from tests.engines.contexts import build_context
from tests.gate.test_pipeline import DEPLOYMENT

BAD: dict[str, str | bytes] = {
    "web.yaml": DEPLOYMENT.replace("spec:", "spek: 1\nspec:", 1),
    "secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: correct horse battery}\n",
    "key.env": "GITHUB_TOKEN=ghp_" + "x7Kd92LmQ0aZs81TbVwY3nPqRe5UiOcG4hJf\n",
}


@pytest.fixture
def root(repository: Repository) -> Path:
    return repository(BAD)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_has_a_step_and_a_scope(name: str) -> None:
    engine = ENGINES[name]
    assert engine.STEP == engine.STEP.strip() != "" and engine.STEP in pipeline.STEPS
    assert engine.SCOPE in ("resources", "repository")


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_says_the_same_each_time(name: str, root: Path) -> None:
    context = build_context(root)
    first, second = (ENGINES[name].evaluate(context._replace(jobs=jobs)) for jobs in (1, 2))
    assert (list(first.findings), list(first.gaps)) == (list(second.findings), list(second.gaps))
    assert first.policy_digests == second.policy_digests


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_finds_nothing_in_an_empty_repository(name: str, repository: Repository) -> None:
    result = ENGINES[name].evaluate(build_context(repository({"notes.txt": "nothing"})))
    assert not result.findings and not result.gaps and not result.global_gaps and not result.checked_count


@pytest.mark.parametrize("name", [name for name, engine in ENGINES.items() if engine.SCOPE == "resources"])
def test_an_engine_of_single_resources_checks_only_its_targets(name: str, root: Path) -> None:
    context = build_context(root)
    [web] = [resource for resource in context.resources if resource.origin.file == "web.yaml"]
    result = ENGINES[name].evaluate(context._replace(targets=[web]))
    assert {finding.location.file for finding in result.findings} <= {"web.yaml"}
    assert not ENGINES[name].evaluate(context._replace(targets=[])).findings


def test_the_engines_find_what_they_are_for(root: Path) -> None:
    context = build_context(root)
    found = {name: {finding.rule for finding in engine.evaluate(context).findings} for name, engine in ENGINES.items()}
    assert found["schema"] == {"schema/unknown-field"}
    assert "images/latest-tag" in found["rego"]
    assert found["plaintext"] == {"plaintext/secret", "plaintext/github-token"}


@pytest.mark.parametrize("name", ENGINES)
def test_a_finding_has_a_rule_a_severity_and_a_message_without_the_value(name: str, root: Path) -> None:
    for finding in ENGINES[name].evaluate(build_context(root, Config())).findings:
        assert finding.severity in ("error", "warning", "info")
        assert "/" in finding.rule and finding.message and finding.location.file in BAD
        assert "correct horse" not in f"{finding}" and "x7Kd92" not in f"{finding}"


def test_engines_that_run_together_return_what_each_returns_alone(root: Path) -> None:
    context, steps = build_context(root), list[str]()
    results = evaluate_engines(ENGINES.values(), context, steps.append)
    assert [engine for engine, _ in results] == list(ENGINES.values())
    assert [result for _, result in results] == [engine.evaluate(context) for engine in ENGINES.values()]
    assert steps == [engine.STEP for engine in sort_by_end(ENGINES.values())]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (Config(crds=("missing",), enable=("no-such/rule",)), "missing"),
        (Config(crds=("missing",)), "missing"),
        (Config(enable=("no-such/rule",)), "no-such/rule"),
    ],
)
def test_an_error_of_the_config_is_that_of_the_first_engine(config: Config, words: str, root: Path) -> None:
    with pytest.raises(UsageError, match=words):
        evaluate_engines(ENGINES.values(), build_context(root, config), lambda step: None)
