"""Resolves the reference of a GitRepository to a commit, from the references of the repository alone.

Source: source-controller `docs/spec/v1/gitrepositories.md` (reference), fluxcd/pkg `version/version.go`; RFC-0005 of
Flux (format of a revision).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gatekeeper.errors import ToolError
from gatekeeper.gocompat import client
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.repositories.git_repository_spec import DEFAULT_BRANCH, GitReference
from gatekeeper.secret_value import SecretBytes

# https://semver.org, with an optional `v`.
SEMVER = re.compile(r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
FULL_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# `git ls-remote` lists an annotated tag a second time with this suffix and the commit that it points to.
PEELED_SUFFIX = "^{}"

# Characters of the list of references in a message.
MAX_SHOWN = 300


class Revision(NamedTuple):
    """A commit, and the reference that it was resolved from.

    Attributes:
        ref_name: the branch, tag or name; empty for a commit without one.
        fetch_ref: what git fetches to get the commit.
    """

    ref_name: str
    commit: str
    fetch_ref: str

    def __str__(self) -> str:
        algorithm = "sha1" if len(self.commit) == 40 else "sha256"
        return f"{self.ref_name}{'@' if self.ref_name else ''}{algorithm}:{self.commit}"


class UnresolvedRevisionError(ToolError):
    """A repository does not have a reference: which one, and which ones it has."""

    exit_code = 1


def resolve_reference(ref: GitReference, refs: Mapping[str, str]) -> Revision:
    """The commit that a reference points to.

    Args:
        refs: the references of the repository and their commits, as `git ls-remote` lists them.

    Raises:
        UnresolvedRevisionError: the repository does not have it.
    """
    if ref.commit:
        if not FULL_COMMIT.fullmatch(ref.commit):
            raise UnresolvedRevisionError(f"`{ref.commit}` is not a full commit ID: write all 40 digits")
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
    """The commit that the `targetRevision` of an Argo CD Application points to: a name, a commit, or a version range.

    Source: argo-cd `docs/user-guide/tracking_strategies.md`, `util/git/client.go` (`lsRemote`).

    Args:
        refs: the references of the repository and their commits, as `git ls-remote` lists them.

    Raises:
        UnresolvedRevisionError: the repository does not have it.
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
        raise UnresolvedRevisionError(f"`{target_revision}` is not a full commit ID: write all 40 digits")
    return Revision(
        target_revision,
        _find_commit(refs, f"refs/heads/{target_revision}", "branch or tag"),
        f"refs/heads/{target_revision}",
    )


def _find_commit(refs: Mapping[str, str], name: str, ref_kind: str) -> str:
    commit = refs.get(f"{name}{PEELED_SUFFIX}") or refs.get(name)
    if commit is None:
        prefix = name.rpartition("/")[0]
        others = sorted(ref.removeprefix(f"{prefix}/") for ref in refs if ref.startswith(f"{prefix}/"))
        existing = ", ".join(f"`{ref}`" for ref in others if not ref.endswith(PEELED_SUFFIX)) or "none"
        raise UnresolvedRevisionError(
            f"{ref_kind} `{name.removeprefix(f'{prefix}/')}` not found; the repository has {existing[:MAX_SHOWN]}"
        )
    return commit


def find_newest_tag(version_range: str, tags: list[str]) -> str:
    """The highest version in a range among the tags, by the semver library of Flux.

    Raises:
        UnresolvedRevisionError: no tag is in the range, or the range is malformed.
    """
    versions = sorted({tag for tag in tags if SEMVER.fullmatch(tag)}, key=_version_sort_key, reverse=True)
    data = {
        "range": SecretBytes(version_range.encode()),
        **{f"v{at}": SecretBytes(tag.encode()) for at, tag in enumerate(versions)},
    }
    comparisons = [f"{{{{ semverCompare .range .v{at} }}}}" for at in range(len(versions))]
    answers = client.fill_templates(comparisons, data)
    for tag, answer in zip(versions, answers, strict=True):
        if isinstance(answer, SecretBytes) and answer.reveal() == b"true":
            return tag
    if versions and not any(isinstance(answer, SecretBytes) for answer in answers):
        raise UnresolvedRevisionError(f"`{version_range}` is not a version range")
    raise UnresolvedRevisionError(
        f"no tag is a version in the range `{version_range}`; the repository has {len(versions)} versions"
    )


def _version_sort_key(tag: str) -> tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]:
    """The precedence of a version; a release follows its pre-releases (https://semver.org, 11)."""
    match = SEMVER.fullmatch(tag)
    assert match is not None
    major, minor, patch, prerelease = match.groups()
    parts = prerelease.split(".") if prerelease else []
    ranked = tuple((not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts)
    return int(major), int(minor), int(patch), not prerelease, ranked
