"""The library: every rule finds its bad case, at the named field, and nothing in its good case."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.config import Config
from gatekeeper.engines.rego import evaluation as rego
from gatekeeper.engines.rego import library, loader, policy_tests, query_plan
from gatekeeper.engines.rego.library import LibraryRule
from gatekeeper.engines.rego.regorus.engine import RegorusEngine
from gatekeeper.model import format_path
from tests.conftest import command, needs

ROOT = library.find_folder()
RULES = library.load_rules()[0]


def found(rule: LibraryRule, case: Path) -> list[tuple[str, str]]:
    """What one rule alone finds in a case: the field and the message."""
    data = case.parent / "data.yaml"
    own = loader.load_policies(ROOT, [], [str(data.relative_to(ROOT))] if data.exists() else [])
    plan = query_plan.build_plan(Config(library="off", enable=(rule.name,)), own)
    resources = policy_tests.read_case(case, case.name)
    engine = RegorusEngine(plan.policies, 5, 1)
    findings, gaps = rego.evaluate_resources(resources, plan, engine)
    assert not gaps
    return [(format_path(finding.field_path), finding.message) for finding in findings]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule_finds_its_bad_case_and_accepts_its_good_case(rule: LibraryRule) -> None:
    folder = ROOT / rule.name
    [bad] = folder.glob("bad.*")
    wanted = bad.read_text().splitlines()[0].removeprefix("# finding: ")
    fields = [field for field, _ in found(rule, bad)]
    assert fields == [wanted]
    assert found(rule, bad.with_stem("good")) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_says_why_and_what_to_do(rule: LibraryRule) -> None:
    assert rule.title and rule.description and rule.remedy and rule.standards
    assert rule.severity in ("error", "warning", "info")
    assert rule.profile in ("default", "strict")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_standard_can_be_read_somewhere(rule: LibraryRule) -> None:
    known = library.load_standard_links()
    assert rule.standards
    assert all(library.find_standard_link(standard, known).startswith("https://") for standard in rule.standards)


def test_there_are_at_least_forty_rules() -> None:
    assert len(RULES) >= 40


@pytest.mark.parametrize("engine", [pytest.param("embedded"), pytest.param("opa", marks=needs("opa"))])
def test_the_library_passes_its_own_tests_with_both_engines(engine: str) -> None:
    code, out, err = command("policy", "test", "--engine", engine, "--data", ROOT / "lib", ROOT)
    assert (code, err) == (0, "")
    assert out == f"{2 * len(RULES)} passed, 0 failed, with {engine}\n"
