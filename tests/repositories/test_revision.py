"""References and target revisions are resolved to commits."""

from __future__ import annotations

import pytest

from gatekeeper.repositories import revision as repositories_revision
from gatekeeper.repositories.git_repository_spec import GitReference
from gatekeeper.repositories.revision import UnresolvedRevisionError
from tests.conftest import needs

LISTED = {
    "HEAD": "0" * 40,
    "refs/heads/master": "1" * 40,
    "refs/heads/main": "2" * 40,
    "refs/tags/v1.0.0": "3" * 40,
    "refs/tags/v1.0.0^{}": "4" * 40,
    "refs/tags/v1.2.0-rc.1": "5" * 40,
    "refs/tags/1.1.9": "6" * 40,
    "refs/tags/v1.10.0": "7" * 40,
    "refs/tags/latest": "8" * 40,
    "refs/pull/7/head": "9" * 40,
}


@needs("gotemplate")
@pytest.mark.parametrize(
    ("ref", "text"),
    [
        (GitReference("main"), f"main@sha1:{'2' * 40}"),
        (GitReference("main", tag="v1.0.0"), f"v1.0.0@sha1:{'4' * 40}"),
        (GitReference("main", "v1.0.0", "1.1.x"), f"1.1.9@sha1:{'6' * 40}"),
        (GitReference(semver=">=1.0.0"), f"v1.10.0@sha1:{'7' * 40}"),
        (GitReference(semver="~1.2.0-0"), f"v1.2.0-rc.1@sha1:{'5' * 40}"),
        (GitReference(semver="1.0.0 - 1.1.9 || 3.x"), f"1.1.9@sha1:{'6' * 40}"),
        (GitReference("main", semver="1.x", name="refs/pull/7/head"), f"refs/pull/7/head@sha1:{'9' * 40}"),
        (GitReference(name="refs/pull/7/head", commit="a" * 40), f"sha1:{'a' * 40}"),
        (GitReference("main", commit="a" * 40), f"main@sha1:{'a' * 40}"),
    ],
)
def test_of_several_references_the_last_counts(ref: GitReference, text: str) -> None:
    assert str(repositories_revision.resolve_reference(ref, LISTED)) == text


@needs("gotemplate")
@pytest.mark.parametrize(
    ("ref", "words"),
    [
        (GitReference("gone"), "branch `gone` not found; the repository has `main`, `master`"),
        (GitReference(tag="v9"), "tag `v9` not found"),
        (GitReference(semver=">=2.0.0"), "no tag is a version in the range `>=2.0.0`"),
        (GitReference(semver="nonsense"), "is not a version range"),
        (GitReference(commit="abc"), "is not a full commit ID"),
        (GitReference(name="refs/x/y"), "reference `[^`]*` not found"),
    ],
)
def test_missing_item_is_reported_with_the_available_ones(ref: GitReference, words: str) -> None:
    with pytest.raises(UnresolvedRevisionError, match=words):
        repositories_revision.resolve_reference(ref, LISTED)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("HEAD", f"HEAD@sha1:{'1' * 40}"),
        ("main", f"main@sha1:{'1' * 40}"),
        ("v1.1.0", f"v1.1.0@sha1:{'3' * 40}"),
        ("refs/heads/main", f"refs/heads/main@sha1:{'1' * 40}"),
        ("1.*", f"v1.1.0@sha1:{'3' * 40}"),
        (">=1.0 <1.1", f"v1.0.0@sha1:{'2' * 40}"),
        ("a" * 40, f"sha1:{'a' * 40}"),
    ],
)
def test_folder_of_an_application_is_found(wanted: str, text: str) -> None:
    listed = {
        "HEAD": "1" * 40,
        "refs/heads/main": "1" * 40,
        "refs/tags/v1.0.0": "2" * 40,
        "refs/tags/v1.1.0": "4" * 40,
        "refs/tags/v1.1.0^{}": "3" * 40,
    }
    assert str(repositories_revision.resolve_target_revision(wanted, listed)) == text


@pytest.mark.parametrize(
    ("wanted", "words"), [("nowhere", "branch or tag `nowhere` not found"), ("abcdef1", "not a full commit ID")]
)
def test_missing_folder_of_an_application_is_reported(wanted: str, words: str) -> None:
    with pytest.raises(repositories_revision.UnresolvedRevisionError, match=words):
        repositories_revision.resolve_target_revision(wanted, {"HEAD": "1" * 40, "refs/heads/main": "1" * 40})
