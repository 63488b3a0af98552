"""Whose a finding is, where it takes effect, and how old it is: what a reader of a report sorts by."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from gatekeeper.host import git
from gatekeeper.model import Finding, Place

NOBODY = "nobody named"
EVERYWHERE = "shared"
# Where GitHub and GitLab look for the file, in their order.
OWNER_FILES = ("CODEOWNERS", ".github/CODEOWNERS", ".gitlab/CODEOWNERS", "docs/CODEOWNERS")
# A folder below one of these is an environment.
HOLDERS = {"clusters", "environments", "envs", "env", "overlays", "stages"}
NAMES = {
    "production", "prod", "staging", "stage", "development", "dev", "test", "testing", "qa", "uat", "preprod",
    "pre-production", "sandbox",
}  # fmt: skip
# Looking into the past of more files would take longer than people wait for a report.
MOST_SECONDS = 10.0
DAY = 86_400


class Owners:
    """Who answers for which files: the CODEOWNERS of a repository.

    Source: https://docs.github.com/repositories/managing-your-repositorys-settings-and-features/customizing-your-repository/about-code-owners.
    """

    def __init__(self, text: str) -> None:
        self._rules: list[tuple[re.Pattern[str], str]] = []
        for line in text.splitlines():
            # GitLab's sections (`[Docs] @team`) group rules; GitHub has none.
            words = line.split("#")[0].split()
            if words and not words[0].startswith(("[", "^[")):
                self._rules.append((_pattern(words[0]), " ".join(words[1:])))

    def of(self, file: str) -> str:
        """Who answers for a file: the last rule that fits counts."""
        found = next((names for pattern, names in reversed(self._rules) if pattern.fullmatch(file)), "")
        return found or NOBODY


def owners(root: Path) -> Owners:
    """The owners that a repository names; nobody where it has no file for them, or it cannot be read."""
    for name in OWNER_FILES:
        try:
            return Owners((root / name).read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
    return Owners("")


def _pattern(glob: str) -> re.Pattern[str]:
    """A pattern of `.gitignore`'s kind as a regular expression over whole paths."""
    is_rooted = "/" in glob.rstrip("/")
    body = glob.strip("/")
    text = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?)", body):
        text += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
    # `dir/*` means the files right in a folder; all other patterns take in what lies below.
    below = "" if body.endswith("/*") or (body == "*" and is_rooted) else "(?:/.*)?"
    return re.compile(f"{'' if is_rooted else '(?:.*/)?'}{text}{below}")


def environment(file: str) -> str:
    """The environment that a file is of, by its folders; `shared` where they name none."""
    folders = file.split("/")[:-1]
    for before, folder in zip(["", *folders], folders, strict=False):
        if before in HOLDERS or folder.lower() in NAMES:
            return folder
    return EVERYWHERE


class Age(NamedTuple):
    """How long a line has been as it is, in days; None where Git was not asked or does not know."""

    days: int | None

    @property
    def group(self) -> str:
        """Ages as people compare them."""
        if self.days is None:
            return "not known"
        for most, words in ((7, "a week"), (30, "a month"), (90, "three months"), (365, "a year")):
            if self.days <= most:
                return f"up to {words}"
        return "more than a year"


GROUPS = ("up to a week", "up to a month", "up to three months", "up to a year", "more than a year", "not known")


def ages(root: Path, findings: Sequence[Finding], now: float | None = None) -> dict[Place, Age]:
    """How old the line of each finding is, by `git blame`, as far as there is time."""
    files = dict.fromkeys(finding.place.file for finding in findings if finding.place.line is not None)
    end = time.monotonic() + MOST_SECONDS
    known: Mapping[str, Mapping[int, int]] = {}
    if files and git.revision(root) is not None:
        with ThreadPoolExecutor() as pool:
            known = dict(zip(files, pool.map(lambda file: _times(root, file, end), files), strict=True))
    today = now if now is not None else datetime.datetime.now(tz=datetime.UTC).timestamp()
    return {
        finding.place: Age(_days(known.get(finding.place.file, {}).get(finding.place.line or 0), today))
        for finding in findings
    }


def _times(root: Path, file: str, end: float) -> Mapping[int, int]:
    return git.line_times(root, file) if time.monotonic() < end else {}


def _days(written: int | None, now: float) -> int | None:
    return None if written is None else max(0, int((now - written) // DAY))


def counted(names: Iterable[str], order: Sequence[str] = ()) -> list[tuple[str, int]]:
    """How often each name occurs, in a given order or the most frequent first."""
    counts: dict[str, int] = dict.fromkeys(order, 0)
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    listed = [(name, count) for name, count in counts.items() if count]
    return listed if order else sorted(listed, key=lambda item: (-item[1], item[0]))
