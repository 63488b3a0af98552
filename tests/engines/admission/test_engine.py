"""The admission engine: policies among the resources and in the policy folders, each evaluated once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.config import Config
from gatekeeper.engines.admission import engine
from tests.conftest import Repository, judge
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


def test_a_policy_in_utf_16_is_read_as_kubectl_reads_it(repository: Repository) -> None:
    files = {"policy/t.yaml": TEMPLATE.encode("utf-16"), "policy/c.yaml": CONSTRAINT.encode("utf-16")}
    root = repository({**files, "o.yaml": OBJECT})
    assert find(root, Config()._replace(policies=("policy",))) == [("TeamLabel/teams", "o.yaml")]
    # The Rego engine looks for policies, too.
    verdict = judge(repository({**files, "o.yaml": OBJECT, "gatekeeper.yaml": "policies: {paths: [policy]}\n"}))
    assert not [gap for gap in verdict.coverage.gaps if gap.is_fatal]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CONSTRAINT.encode("utf-16-le"), "UTF-16 without a byte order mark, which kubectl does not read"),
        (CONSTRAINT.encode("utf-32"), "UTF-32, which kubectl does not read"),
        (f"{CONSTRAINT}---\na: [\n".encode(), ": did not find expected node content"),
    ],
)
def test_a_policy_file_that_cannot_be_read_is_a_gap(repository: Repository, content: bytes, reason: str) -> None:
    """Its policies would be missing without a word."""
    root = repository({"policy/t.yaml": TEMPLATE, "policy/c.yaml": content, "o.yaml": OBJECT, "policy/x.yaml": "a: ["})
    result = engine.evaluate(build_context(root, Config()._replace(policies=("policy",))))
    [gap] = result.global_gaps
    assert (gap.file, gap.is_fatal) == ("policy/c.yaml", True)
    assert gap.reason.startswith("its policies could not be evaluated: ") and reason in gap.reason
