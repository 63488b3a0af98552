"""Suites in gator's format: those of Gatekeeper's own library, and every way in which one can be wrong."""

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
def test_every_case_of_the_library_ends_as_its_suite_says() -> None:
    done = gator_suites.run_suites(LIBRARY, gator_suites.find_suites(LIBRARY, ["library"]), Config(), 2)
    assert len(done) == 270
    assert [trial for trial in done if not trial.passed] == []


@shared("corpora/policies/gatekeeper-library")
@needs("opa")
def test_and_with_a_real_opa_too() -> None:
    folder = ["library/general"]
    done = gator_suites.run_suites(LIBRARY, gator_suites.find_suites(LIBRARY, folder), Config(engine="opa"), 2)
    assert done and [trial for trial in done if not trial.passed] == []


def test_policy_test_runs_a_suite(folder: Path) -> None:
    assert command("policy", "test", folder) == (0, "3 passed, 0 failed, with embedded\n", "")


def test_what_fails_is_told_with_what_was_said(folder: Path) -> None:
    (folder / "suite.yaml").write_text(SUITE.replace("violations: 1", "violations: 2"))
    code, out, _ = command("policy", "test", folder)
    assert code == 1
    assert "suite.yaml: teams: not known: wanted 2 violations like 'no team w.e', got 1: ['no team wbe']" in out


def test_an_admission_review_is_judged_as_its_request(folder: Path) -> None:
    (folder / "bad.yaml").write_text(
        "apiVersion: admission.k8s.io/v1\nkind: AdmissionReview\nrequest:\n  operation: DELETE\n  oldObject:\n"
        + "".join(f"    {line}\n" for line in OBJECT.replace("TEAM", "wbe").splitlines())
    )
    assert command("policy", "test", folder)[0] == 0


def test_a_template_that_must_not_compile(folder: Path) -> None:
    (folder / "suite.yaml").write_text(SUITE.partition("  cases:")[0] + "  invalid: true\n")
    assert command("policy", "test", folder)[0] == 1
    (folder / "t.yaml").write_text(TEMPLATE.replace("violation[", "deny["))
    assert command("policy", "test", folder)[0] == 0


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("  cases:", "  case:", "a test knows no field `case`"),
        ("    object: bad", "    objects: bad", "a case knows no field `objects`"),
        ("      message: ", "      messages: ", "an assertion knows no field `messages`"),
        ("violations: 1", "violations: many", "`violations` is 'many'"),
        ("message: no team w.e", "message: '('", "no regular expression"),
        ("template: t.yaml", "template: gone.yaml", "gone.yaml: cannot be read"),
        ("template: t.yaml", "template: c.yaml", "a template needs the kind"),
        ("  cases:", "  expansion: e.yaml\n  cases:", "`expansion` is not known"),
        ("tests:", "tests: 7\nmore:", "a suite knows no field `more`"),
    ],
)
def test_a_suite_that_is_wrong_is_an_error_and_no_success(folder: Path, before: str, after: str, told: str) -> None:
    (folder / "suite.yaml").write_text(SUITE.replace(before, after, 1))
    code, out, err = command("policy", "test", folder)
    assert code == 3 and told in out
    assert "Traceback" not in err
