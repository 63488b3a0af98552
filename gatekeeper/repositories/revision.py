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
from gatekeeper.repositories.git_repository_spec import DEFAULT_BRANCH, Ref
from gatekeeper.secret_value import Hidden

# https://semver.org, with a `v` before it if need be.
VERSION = re.compile(r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# Names and their commits; a tag that is an object of its own is listed a second time, with the commit that it marks.
PEELED = "^{}"


class Revision(NamedTuple):
    """A commit, and how it was come by.

    Attributes:
        pointer: the branch, tag or name; empty where a commit alone is named.
        fetched: what is asked of the repository to get it.
    """

    pointer: str
    commit: str
    fetched: str

    def __str__(self) -> str:
        algorithm = "sha1" if len(self.commit) == 40 else "sha256"
        return f"{self.pointer}{'@' if self.pointer else ''}{algorithm}:{self.commit}"


class Unresolved(ToolError):
    """A repository has not what is asked for: what, and what there is."""

    exit_code = 1


def resolve(ref: Ref, listed: Mapping[str, str]) -> Revision:
    """The commit that is meant.

    Args:
        listed: the names of the repository, as `git ls-remote` gives them.

    Raises:
        Unresolved: there is none.
    """
    if ref.commit:
        if not COMMIT.fullmatch(ref.commit):
            raise Unresolved(f"`{ref.commit}` is no commit in full")
        return Revision(ref.branch, ref.commit, f"refs/heads/{ref.branch}" if ref.branch else ref.commit)
    if ref.name:
        return Revision(ref.name, _commit(listed, ref.name, "reference"), ref.name)
    if ref.semver:
        tag = newest(ref.semver, [name.removeprefix("refs/tags/") for name in listed if name.startswith("refs/tags/")])
        return Revision(tag, _commit(listed, f"refs/tags/{tag}", "tag"), f"refs/tags/{tag}")
    if ref.tag:
        return Revision(ref.tag, _commit(listed, f"refs/tags/{ref.tag}", "tag"), f"refs/tags/{ref.tag}")
    branch = ref.branch or DEFAULT_BRANCH
    return Revision(branch, _commit(listed, f"refs/heads/{branch}", "branch"), f"refs/heads/{branch}")


SHORT = re.compile(r"[0-9a-f]{7,39}")
RANGE = re.compile(r"[<>=!~^*|,]|\.[xX]\b|^\d+(\.\d+)?$| - ")


def targeted(wanted: str, listed: Mapping[str, str]) -> Revision:
    """The commit that the `targetRevision` of an Argo CD Application means: a name, a tag, a commit, or a range.

    Source: argo-cd `docs/user-guide/tracking_strategies.md`, `util/git/client.go` (`lsRemote`).

    Args:
        listed: the names of the repository, as `git ls-remote` gives them.

    Raises:
        Unresolved: there is none.
    """
    if COMMIT.fullmatch(wanted):
        return Revision("", wanted, wanted)
    for name in (wanted, f"refs/heads/{wanted}", f"refs/tags/{wanted}"):
        if name in listed and (name == "HEAD" or name.startswith("refs/")):
            return Revision(wanted, _commit(listed, name, "reference"), name)
    if RANGE.search(wanted):
        tag = newest(wanted, [name.removeprefix("refs/tags/") for name in listed if name.startswith("refs/tags/")])
        return Revision(tag, _commit(listed, f"refs/tags/{tag}", "tag"), f"refs/tags/{tag}")
    if SHORT.fullmatch(wanted):
        raise Unresolved(f"`{wanted}` is no commit in full: write all 40 digits")
    return Revision(wanted, _commit(listed, f"refs/heads/{wanted}", "branch or tag"), f"refs/heads/{wanted}")


def _commit(listed: Mapping[str, str], name: str, what: str) -> str:
    found = listed.get(f"{name}{PEELED}") or listed.get(name)
    if found is None:
        prefix = name.rpartition("/")[0]
        others = sorted(one.removeprefix(f"{prefix}/") for one in listed if one.startswith(f"{prefix}/"))
        there = ", ".join(f"`{one}`" for one in others if not one.endswith(PEELED)) or "none"
        raise Unresolved(f"there is no {what} `{name.removeprefix(f'{prefix}/')}`; there is {there[:300]}")
    return found


def newest(wanted: str, tags: list[str]) -> str:
    """The highest version among tags that a range lets, by the library that Flux has.

    Raises:
        Unresolved: none is; or the range is none.
    """
    versions = sorted({tag for tag in tags if VERSION.fullmatch(tag)}, key=_precedence, reverse=True)
    data = {"wanted": Hidden(wanted.encode()), **{f"v{at}": Hidden(tag.encode()) for at, tag in enumerate(versions)}}
    asked = [f"{{{{ semverCompare .wanted .v{at} }}}}" for at in range(len(versions))]
    answers = client.ask(data=data, templates=asked).templates
    for tag, answer in zip(versions, answers, strict=True):
        if isinstance(answer, Hidden) and answer.reveal() == b"true":
            return tag
    if versions and not any(isinstance(answer, Hidden) for answer in answers):
        raise Unresolved(f"`{wanted}` is no range of versions")
    raise Unresolved(f"no tag is a version that `{wanted}` lets; there are {len(versions)} versions")


def _precedence(tag: str) -> tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]:
    """How a version stands to others; a release comes after what was before it (https://semver.org, 11)."""
    found = VERSION.fullmatch(tag)
    assert found is not None
    major, minor, patch, before = found.groups()
    parts = before.split(".") if before else []
    ranked = tuple((not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts)
    return int(major), int(minor), int(patch), not before, ranked
