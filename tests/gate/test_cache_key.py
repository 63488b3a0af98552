"""What a cached verdict depends on: each file that can be read, as it is now."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gatekeeper import __version__, config
from gatekeeper.gate import cache_key
from gatekeeper.gate.cache_key import CacheInput
from gatekeeper.host import git_state
from gatekeeper.host.toolchain import TOOLS, get_built_path
from tests.conftest import Repository
from tests.workspace.test_file_selection import run_git


@pytest.fixture
def root(repository: Repository) -> Path:
    """A repository with a commit and an ignored file."""
    root = repository({"a.yaml": "a: 1\n", "b.yaml": "b: 1\n", ".gitignore": "values.env\n", "values.env": "x=1\n"})
    run_git(root, "init", "-q")
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "first")
    return root


def collect(root: Path, is_staged: bool = False, settings: config.Config | None = None) -> CacheInput:
    found = cache_key.collect_input(
        root, settings or config.Config(), git_state.read_staged(root) if is_staged else None
    )
    assert found is not None
    return found


def test_a_changed_a_new_and_a_deleted_file_are_read_from_the_work_tree(root: Path) -> None:
    assert collect(root).differing_files == frozenset()
    (root / "a.yaml").write_text("a: 2\n")
    (root / "b.yaml").unlink()
    (root / "new.yaml").write_text("n: 1\n")
    found = collect(root)
    assert found.differing_files == {"a.yaml", "b.yaml", "new.yaml"}
    assert found.differing_contents == (b"a.yaml", b"a: 2\n", b"b.yaml", b"gone", b"new.yaml", b"n: 1\n")


def test_the_index_is_the_only_input_of_a_staged_run(root: Path) -> None:
    before = collect(root, is_staged=True)
    (root / "a.yaml").write_text("a: 2\n")
    after = collect(root, is_staged=True)
    assert after == before
    run_git(root, "add", "a.yaml")
    assert collect(root, is_staged=True) != before


def test_a_symbolic_link_counts_by_its_target_and_is_not_followed(root: Path) -> None:
    (root / "link.yaml").symlink_to("/etc/hostname")
    assert collect(root).differing_contents == (b"link.yaml", b"-> /etc/hostname")


def test_an_ignored_file_counts_because_kustomize_can_read_it(root: Path) -> None:
    before = collect(root)
    assert len(before.surrounding_inputs) == 1
    (root / "values.env").write_text("x=22\n")
    assert collect(root).surrounding_inputs != before.surrounding_inputs
    assert collect(root).digest_parts != before.digest_parts


def test_policies_outside_of_the_repository_count_with_name_and_content(root: Path, tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "a.rego").write_text("package a\n")
    settings = config.Config()._replace(policies=(str(policies),))
    before = collect(root, settings=settings)
    assert before.surrounding_inputs[-2:] == (os.fsencode(policies / "a.rego"), b"package a\n")
    (policies / "a.rego").rename(policies / "b.rego")
    assert collect(root, settings=settings) != before


def test_nothing_is_cached_without_git_or_where_git_hides_changes(root: Path, repository: Repository) -> None:
    run_git(root, "update-index", "--assume-unchanged", "a.yaml")
    assert cache_key.collect_input(root, config.Config(), None) is None
    assert cache_key.collect_input(root / "sub", config.Config(), None) is None


def test_nothing_is_cached_where_a_changed_file_cannot_be_read(root: Path) -> None:
    (root / "a.yaml").unlink()
    (root / "a.yaml").mkdir()
    (root / "a.yaml" / "inner.yaml").write_text("x: 1\n")
    found = cache_key.collect_input(root, config.Config(), None)
    assert found is None


def test_nothing_is_cached_where_there_are_too_many_ignored_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_key, "MAX_IGNORED_FILES", 0)
    assert cache_key.collect_input(root, config.Config(), None) is None


def test_an_installation_is_identified_by_version_and_files() -> None:
    identity = cache_key.identify_installation()
    assert identity.startswith(__version__.encode() + b" ")
    assert b"cache_key.py" in identity
    assert identity == cache_key.identify_installation()


@pytest.mark.parametrize("name", ["gatekeeper-upstream", "gatekeeper-kyverno"])
def test_an_installation_is_identified_by_the_programs_that_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """By their version, and by whether they are there; another build of the same version counts, too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    identities = [cache_key.identify_installation()]
    assert TOOLS[name].version.encode() in identities[0]
    path = get_built_path(TOOLS[name])
    path.parent.mkdir(parents=True)
    for content in ("a", "ab"):
        path.write_text(content)
        identities.append(cache_key.identify_installation())
    assert len(set(identities)) == 3
