"""The admission engine: policies among the resources and in the policy folders, each evaluated once."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.config import Config
from gatekeeper.engines.admission import engine
from tests.conftest import Repository
from tests.engines.admission.test_constraints import CONSTRAINT, OBJECT, TEMPLATE
from tests.engines.contexts import build_context


def find(root: Path, settings: Config | None = None) -> list[tuple[str, str]]:
    result = engine.evaluate(build_context(root, settings))
    assert not result.global_gaps, result.global_gaps
    return [(finding.rule, finding.location.file) for finding in result.findings]


def test_without_policies_nothing_is_evaluated(repository: Repository) -> None:
    result = engine.evaluate(build_context(repository({"o.yaml": OBJECT})))
    assert not result.findings and not result.policy_digests and result.is_cacheable


def test_a_policy_of_a_folder_of_the_config_counts_like_one_of_the_repository(repository: Repository) -> None:
    root = repository({"policy/t.yaml": TEMPLATE, "policy/c.yaml": CONSTRAINT, "o.yaml": OBJECT})
    settings = Config()._replace(policies=("policy",))
    assert find(root, settings) == [("TeamLabel/teams", "o.yaml")]
    assert find(root, settings._replace(exclude=("policy/*",))) == [("TeamLabel/teams", "o.yaml")]


def test_duplicate_policy_is_evaluated_once(repository: Repository) -> None:
    root = repository({"t.yaml": TEMPLATE, "c.yaml": CONSTRAINT, "copy.yaml": CONSTRAINT, "o.yaml": OBJECT})
    assert find(root) == [("TeamLabel/teams", "o.yaml")]


def test_the_digest_changes_with_a_policy_and_a_clock_is_not_cached(repository: Repository) -> None:
    files: dict[str, str | bytes] = {"t.yaml": TEMPLATE, "c.yaml": CONSTRAINT, "o.yaml": OBJECT}
    before = engine.evaluate(build_context(repository(files)))
    changed = engine.evaluate(build_context(repository({**files, "c.yaml": CONSTRAINT.replace("[web]", "[db]")})))
    assert before.is_cacheable and len(before.policy_digests) == 2
    assert before.policy_digests != changed.policy_digests
    clock = TEMPLATE.replace("team := input", "time.now_ns() > 0\n        team := input")
    assert not engine.evaluate(build_context(repository({**files, "t.yaml": clock}))).is_cacheable
