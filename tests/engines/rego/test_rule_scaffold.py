"""A new rule of the library has everything that the tests of the library ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.engines.rego import library, rule_scaffold
from gatekeeper.errors import UsageError
from tests import test_policies


@pytest.fixture
def library_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty library in a checkout, instead of the real one."""
    folder = tmp_path / "gatekeeper" / "policies"
    (folder / "lib").mkdir(parents=True)
    for name in ("standards.yaml", "lib/apis.yaml"):
        (folder / name).write_bytes((library.PACKAGED_FOLDER / name).read_bytes())
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.setattr(library, "PACKAGED_FOLDER", folder)
    monkeypatch.setattr(test_policies, "ROOT", folder)
    return folder


def test_a_new_rule_passes_the_tests_of_the_library(library_folder: Path) -> None:
    created = rule_scaffold.create_rule("workloads/has-owner")
    assert [path.relative_to(library_folder).as_posix() for path in created] == [
        "workloads/has-owner/bad.yaml",
        "workloads/has-owner/good.yaml",
        "workloads/has-owner/rule.rego",
    ]
    [rule] = library.load_rules()[0]
    assert (rule.name, rule.module.package) == ("workloads/has-owner", "gatekeeper.workloads.has_owner")
    test_policies.test_rule_finds_its_bad_case_and_accepts_its_good_case(rule)
    test_policies.test_a_rule_says_why_and_what_to_do(rule)
    test_policies.test_each_standard_can_be_read_somewhere(rule)


def test_an_installed_library_is_not_changed(library_folder: Path) -> None:
    (library_folder.parents[1] / "pyproject.toml").unlink()
    with pytest.raises(UsageError, match="--policy DIR"):
        rule_scaffold.create_rule("workloads/has-owner")
    assert not (library_folder / "workloads").exists()
