"""`gatekeeper policy test`: tests in Rego and folders with cases, with an exit status that CI can use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Repository, command, needs
from tests.engines.admission.kyverno.test_evaluator import POD, POLICY
from tests.engines.admission.kyverno.test_suites import SUITE

RULE = """package team
import rego.v1

deny contains "bad name" if startswith(input.metadata.name, "x-")
"""
TEST = """package team_test
import rego.v1

test_finds if count(data.team.deny) == 1 with input as {"metadata": {"name": "x-a"}}
test_lets_pass if count(data.team.deny) == WANTED with input as {"metadata": {"name": "a"}}
"""
CASE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n"


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)


def test_all_pass(tmp_path: Path) -> None:
    files = {"team.rego": RULE, "team_test.rego": TEST.replace("WANTED", "0")}
    write(tmp_path, {**files, "bad.yaml": CASE.replace("NAME", "x-a"), "good.yaml": CASE.replace("NAME", "a")})
    assert command("policy", "test", tmp_path)[:2] == (0, "4 passed, 0 failed, with embedded\n")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"team_test.rego": TEST.replace("WANTED", "7")}, "team_test.rego: test_lets_pass"),
        ({"bad.yaml": CASE.replace("NAME", "a")}, "bad.yaml"),
        ({"good.yaml": CASE.replace("NAME", "x-a")}, "good.yaml"),
    ],
    ids=["a test that fails", "a bad case that is not found", "a good case that is"],
)
def test_failed_item_is_named(tmp_path: Path, files: dict[str, str], told: str) -> None:
    write(tmp_path, {"team.rego": RULE, **files})
    code, out, _ = command("policy", "test", tmp_path)
    assert code == 1
    assert f"{told}\n" in out and out.splitlines()[0].startswith("FAIL")


def test_a_rego_file_is_tested_together_with_gator_suites(tmp_path: Path) -> None:
    suite = "apiVersion: test.gatekeeper.sh/v1alpha1\nkind: Suite\ntests: []\n"
    write(tmp_path, {"suite.yaml": suite, "team.rego": RULE + TEST.partition("v1\n")[2].replace("WANTED", "7")})
    code, out, err = command("policy", "test", "suite.yaml", "team.rego", cwd=tmp_path)
    assert (code, err) == (1, "") and "FAIL  team.rego: test_lets_pass\n1 passed, 1 failed" in out


def test_no_test_at_all_is_not_a_success(tmp_path: Path) -> None:
    write(tmp_path, {"team.rego": RULE})
    code, _, err = command("policy", "test", tmp_path)
    assert (code, "contains no test; tests are `test_...` rules" in err) == (3, True)


def test_new_creates_a_rule_that_passes_its_tests(tmp_path: Path) -> None:
    code, out, err = command("policy", "new", "--policy", tmp_path, "images/signed-by-us")
    folder = tmp_path / "images" / "signed-by-us"
    assert (code, err) == (0, "")
    created, hints = out.split("next ", 1)
    assert created == "".join(f"created  {folder / name}\n" for name in ("bad.yaml", "good.yaml", "rule.rego"))
    assert f"`gatekeeper policy test {folder}`\n" in hints and f"add `{tmp_path}` to `policies.paths`" in hints
    assert "package images.signed_by_us\n" in (folder / "rule.rego").read_text()
    assert (folder / "bad.yaml").read_text().startswith("# finding: ")
    assert command("policy", "test", tmp_path)[:2] == (0, "2 passed, 0 failed, with embedded\n")


def test_new_uses_the_policy_folder_of_the_repository_and_check_finds_the_remedy(repository: Repository) -> None:
    root = repository({"gatekeeper.yaml": "library: {profile: 'off'}\npolicies: {paths: [../team, rules/own]}\n"})
    (root.parent / "team").mkdir()
    write(root.parent / "team", {"team.rego": RULE})
    (root / "apps").mkdir()
    code, out, err = command("policy", "new", "workloads/owner", cwd=root / "apps")
    assert (code, err) == (0, "") and "policies.paths" not in out
    assert "created  ../rules/own/workloads/owner/rule.rego\n" in out
    rule = (root / "rules" / "own" / "workloads" / "owner" / "rule.rego").read_text()
    assert "remedy:" in rule and not any(word in rule for word in ("profile:", "standards:", "kinds:", "severity:"))
    bad = (root / "rules" / "own" / "workloads" / "owner" / "bad.yaml").read_text()
    (root / "apps" / "web.yaml").write_text(bad)
    code, out, _ = command("check", cwd=root)
    assert code == 1 and "[workloads.owner/deny]" in out
    assert "= help: add the label `owner` with the name of a team" in out


def test_new_without_a_policy_folder_changes_nothing(repository: Repository) -> None:
    root = repository({"gatekeeper.yaml": ""})
    code, _, err = command("policy", "new", "workloads/owner", cwd=root)
    assert code == 2 and "--policy DIR" in err and "`policies.paths`" in err
    assert [path.name for path in root.iterdir()] == ["gatekeeper.yaml"]


def test_new_never_overwrites_a_rule(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    code, _, err = command("policy", "new", "--policy", tmp_path, "a/b")
    assert code == 2 and f"{tmp_path}/a/b: already exists" in err
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize(
    "name", ["signed", "Images/signed", "../signed", "images/../signed", "images/signed/now", "a/-b"]
)
def test_new_refuses_a_malformed_name(tmp_path: Path, name: str) -> None:
    code, _, err = command("policy", "new", "--policy", tmp_path, name)
    assert code == 2 and "use CATEGORY/RULE" in err and list(tmp_path.iterdir()) == []


def test_new_needs_a_name() -> None:
    code, _, err = command("policy", "new")
    assert code == 2 and "policy new needs a name" in err


@needs("gatekeeper-kyverno")
def test_suites_of_kyverno_are_run(tmp_path: Path) -> None:
    suite = SUITE.replace("RESULT", "pass")
    write(tmp_path, {"p.yaml": POLICY, "o.yaml": POD.replace("IMAGE", "a:1"), "kyverno-test.yaml": suite})
    assert command("policy", "test", str(tmp_path))[:2] == (0, "1 passed, 0 failed, with embedded\n")
    write(tmp_path, {"o.yaml": POD.replace("IMAGE", "a:latest")})
    status, out, _ = command("policy", "test", str(tmp_path))
    assert status == 1 and "FAIL" in out and "Want pass, got fail" in out
