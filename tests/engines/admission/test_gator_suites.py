"""Suites of gator: those of OPA Gatekeeper's library, and malformed ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.config import Config
from gatekeeper.engines.admission import gator_suites
from tests.conftest import SHARED, command, needs, shared
from tests.engines.admission.test_constraints import CONSTRAINT, OBJECT, TEMPLATE

LIBRARY = SHARED / "corpora" / "policies" / "gatekeeper-library"
SUITE = """\
apiVersion: test.gatekeeper.sh/v1alpha1
kind: Suite
tests:
- name: teams
  template: t.yaml
  constraint: c.yaml
  cases:
  - name: known
    object: good.yaml
    assertions:
    - violations: no
  - name: not known
    object: bad.yaml
    assertions:
    - violations: 1
      message: no team w.e
    - violations: yes
  - name: by default there is none
    object: good.yaml
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "suite.yaml": SUITE,
        "t.yaml": TEMPLATE,
        "c.yaml": CONSTRAINT,
        "good.yaml": OBJECT.replace("TEAM", "web"),
        "bad.yaml": OBJECT.replace("TEAM", "wbe"),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@shared("corpora/policies/gatekeeper-library")
def test_the_library_of_opa_gatekeeper_passes_its_suites() -> None:
    done = gator_suites.run_suites(LIBRARY, gator_suites.find_suites(LIBRARY, ["library"]), Config(), 2)
    assert len(done) == 270
    assert [trial for trial in done if not trial.passed] == []


@shared("corpora/policies/gatekeeper-library")
@needs("opa")
def test_the_library_passes_its_suites_with_opa() -> None:
    folder = ["library/general"]
    done = gator_suites.run_suites(LIBRARY, gator_suites.find_suites(LIBRARY, folder), Config(engine="opa"), 2)
    assert done and [trial for trial in done if not trial.passed] == []


def test_policy_test_runs_a_suite(folder: Path) -> None:
    assert command("policy", "test", folder) == (0, "3 passed, 0 failed, with embedded\n", "")


def test_a_failed_case_shows_the_messages(folder: Path) -> None:
    (folder / "suite.yaml").write_text(SUITE.replace("violations: 1", "violations: 2"))
    code, out, _ = command("policy", "test", folder)
    assert code == 1
    assert "suite.yaml: teams: not known: expected 2 violations like 'no team w.e', got 1: ['no team wbe']" in out


def test_an_admission_review_is_evaluated_as_its_request(folder: Path) -> None:
    (folder / "bad.yaml").write_text(
        "apiVersion: admission.k8s.io/v1\nkind: AdmissionReview\nrequest:\n  operation: DELETE\n  oldObject:\n"
        + "".join(f"    {line}\n" for line in OBJECT.replace("TEAM", "wbe").splitlines())
    )
    assert command("policy", "test", folder)[0] == 0


def test_an_invalid_template_must_not_compile(folder: Path) -> None:
    (folder / "suite.yaml").write_text(SUITE.partition("  cases:")[0] + "  invalid: true\n")
    assert command("policy", "test", folder)[0] == 1
    (folder / "t.yaml").write_text(TEMPLATE.replace("violation[", "deny["))
    assert command("policy", "test", folder)[0] == 0


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("  cases:", "  case:", "unknown field `case` in a test"),
        ("    object: bad", "    objects: bad", "unknown field `objects` in a case"),
        ("      message: ", "      messages: ", "unknown field `messages` in an assertion"),
        ("violations: 1", "violations: many", "`violations` is 'many'"),
        ("message: no team w.e", "message: '('", "not a Go regular expression"),
        ("template: t.yaml", "template: gone.yaml", "gone.yaml: cannot be read"),
        ("template: t.yaml", "template: c.yaml", "a template needs the kind"),
        ("  cases:", "  expansion: e.yaml\n  cases:", "`expansion` is not supported"),
        ("tests:", "tests: 7\nmore:", "unknown field `more` in the suite"),
    ],
)
def test_a_malformed_suite_is_an_error(folder: Path, before: str, after: str, told: str) -> None:
    (folder / "suite.yaml").write_text(SUITE.replace(before, after, 1))
    code, out, err = command("policy", "test", folder)
    assert code == 3 and told in out
    assert "Traceback" not in err
