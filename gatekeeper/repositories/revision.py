"""Which commit a GitRepository means, out of what a repository has; without fetching any of it.

Source: source-controller `docs/spec/v1/gitrepositories.md` (reference), fluxcd/pkg `version/version.go`; RFC-0005 of
Flux for how a revision is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from gatekeeper.errors import ToolError
from gatekeeper.gocompat import client
from gatekeeper.repositories.git_repository_spec import DEFAULT_BRANCH, GitReference
from gatekeeper.secret_value import SecretBytes

# https://semver.org, with a `v` before it if need be.
SEMVER = re.compile(r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
FULL_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# Names and their commits; a tag that is an object of its own is listed a second time, with the commit that it marks.
PEELED_SUFFIX = "^{}"


class Revision(NamedTuple):
    """A commit, and how it was come by.

    Attributes:
        ref_name: the branch, tag or name; empty where a commit alone is named.
        fetch_ref: what is asked of the repository to get it.
    """

    ref_name: str
    commit: str
    fetch_ref: str

    def __str__(self) -> str:
        algorithm = "sha1" if len(self.commit) == 40 else "sha256"
        return f"{self.ref_name}{'@' if self.ref_name else ''}{algorithm}:{self.commit}"


class UnresolvedRevisionError(ToolError):
    """A repository has not what is asked for: what, and what there is."""

    exit_code = 1


def resolve_reference(ref: GitReference, refs: Mapping[str, str]) -> Revision:
    """The commit that is meant.

    Args:
        refs: the names of the repository, as `git ls-remote` gives them.

    Raises:
        Unresolved: there is none.
    """
    if ref.commit:
        if not FULL_COMMIT.fullmatch(ref.commit):
            raise UnresolvedRevisionError(f"`{ref.commit}` is no commit in full")
        return Revision(ref.branch, ref.commit, f"refs/heads/{ref.branch}" if ref.branch else ref.commit)
    if ref.name:
        return Revision(ref.name, _find_commit(refs, ref.name, "reference"), ref.name)
    if ref.semver:
        tag = find_newest_tag(
            ref.semver, [name.removeprefix("refs/tags/") for name in refs if name.startswith("refs/tags/")]
        )
        return Revision(tag, _find_commit(refs, f"refs/tags/{tag}", "tag"), f"refs/tags/{tag}")
    if ref.tag:
        return Revision(ref.tag, _find_commit(refs, f"refs/tags/{ref.tag}", "tag"), f"refs/tags/{ref.tag}")
    branch = ref.branch or DEFAULT_BRANCH
    return Revision(branch, _find_commit(refs, f"refs/heads/{branch}", "branch"), f"refs/heads/{branch}")


SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")
VERSION_RANGE = re.compile(r"[<>=!~^*|,]|\.[xX]\b|^\d+(\.\d+)?$| - ")


def resolve_target_revision(target_revision: str, refs: Mapping[str, str]) -> Revision:
    """The commit that the `targetRevision` of an Argo CD Application means: a name, a tag, a commit, or a range.

    Source: argo-cd `docs/user-guide/tracking_strategies.md`, `util/git/client.go` (`lsRemote`).

    Args:
        refs: the names of the repository, as `git ls-remote` gives them.

    Raises:
        Unresolved: there is none.
    """
    if FULL_COMMIT.fullmatch(target_revision):
        return Revision("", target_revision, target_revision)
    for name in (target_revision, f"refs/heads/{target_revision}", f"refs/tags/{target_revision}"):
        if name in refs and (name == "HEAD" or name.startswith("refs/")):
            return Revision(target_revision, _find_commit(refs, name, "reference"), name)
    if VERSION_RANGE.search(target_revision):
        tag = find_newest_tag(
            target_revision, [name.removeprefix("refs/tags/") for name in refs if name.startswith("refs/tags/")]
        )
        return Revision(tag, _find_commit(refs, f"refs/tags/{tag}", "tag"), f"refs/tags/{tag}")
    if SHORT_COMMIT.fullmatch(target_revision):
        raise UnresolvedRevisionError(f"`{target_revision}` is no commit in full: write all 40 digits")
    return Revision(
        target_revision,
        _find_commit(refs, f"refs/heads/{target_revision}", "branch or tag"),
        f"refs/heads/{target_revision}",
    )


def _find_commit(refs: Mapping[str, str], name: str, ref_kind: str) -> str:
    found = refs.get(f"{name}{PEELED_SUFFIX}") or refs.get(name)
    if found is None:
        prefix = name.rpartition("/")[0]
        others = sorted(one.removeprefix(f"{prefix}/") for one in refs if one.startswith(f"{prefix}/"))
        there = ", ".join(f"`{one}`" for one in others if not one.endswith(PEELED_SUFFIX)) or "none"
        raise UnresolvedRevisionError(
            f"there is no {ref_kind} `{name.removeprefix(f'{prefix}/')}`; there is {there[:300]}"
        )
    return found


def find_newest_tag(version_range: str, tags: list[str]) -> str:
    """The highest version among tags that a range lets, by the library that Flux has.

    Raises:
        Unresolved: none is; or the range is none.
    """
    versions = sorted({tag for tag in tags if SEMVER.fullmatch(tag)}, key=_version_sort_key, reverse=True)
    data = {
        "wanted": SecretBytes(version_range.encode()),
        **{f"v{at}": SecretBytes(tag.encode()) for at, tag in enumerate(versions)},
    }
    asked = [f"{{{{ semverCompare .wanted .v{at} }}}}" for at in range(len(versions))]
    answers = client.fill_templates(asked, data)
    for tag, answer in zip(versions, answers, strict=True):
        if isinstance(answer, SecretBytes) and answer.reveal() == b"true":
            return tag
    if versions and not any(isinstance(answer, SecretBytes) for answer in answers):
        raise UnresolvedRevisionError(f"`{version_range}` is no range of versions")
    raise UnresolvedRevisionError(
        f"no tag is a version that `{version_range}` lets; there are {len(versions)} versions"
    )


def _version_sort_key(tag: str) -> tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]:
    """How a version stands to others; a release comes after what was before it (https://semver.org, 11)."""
    found = SEMVER.fullmatch(tag)
    assert found is not None
    major, minor, patch, before = found.groups()
    parts = before.split(".") if before else []
    ranked = tuple((not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts)
    return int(major), int(minor), int(patch), not before, ranked
