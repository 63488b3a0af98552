"""The owner, environment and age of a finding, which reports group findings by."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gatekeeper.host import git_history, git_state
from gatekeeper.host.regular_file import read_regular_file
from gatekeeper.model import Finding, Location
from gatekeeper.named_tuple import NamedTuple

NO_OWNER = "no owner"
SHARED_ENVIRONMENT = "shared"
# The paths where GitHub and GitLab look for the file, in their order.
CODEOWNERS_FILES = ("CODEOWNERS", ".github/CODEOWNERS", ".gitlab/CODEOWNERS", "docs/CODEOWNERS")
# A folder in one of these folders is an environment.
ENVIRONMENT_PARENTS = {"clusters", "environments", "envs", "env", "overlays", "stages"}
ENVIRONMENT_NAMES = {
    "production",
    "prod",
    "staging",
    "stage",
    "development",
    "dev",
    "test",
    "testing",
    "qa",
    "uat",
    "preprod",
    "pre-production",
    "sandbox",
}
# `git blame` of all files could take longer than a reader waits for a report.
MAX_BLAME_SECONDS = 10.0
SECONDS_PER_DAY = 86_400


class CodeOwners:
    """The CODEOWNERS of a repository: who owns which files.

    Source: https://docs.github.com/repositories/managing-your-repositorys-settings-and-features/customizing-your-repository/about-code-owners.
    """

    def __init__(self, text: str) -> None:
        self._rules: list[tuple[re.Pattern[str], str]] = []
        for line in text.splitlines():
            # GitLab's sections (`[Docs] @team`) group rules; GitHub has none.
            words = line.split("#")[0].split()
            if words and not words[0].startswith(("[", "^[")):
                self._rules.append((_compile_pattern(words[0]), " ".join(words[1:])))

    def find_owner(self, file: str) -> str:
        """The owners of a file: those of the last rule that matches."""
        owners = next((names for pattern, names in reversed(self._rules) if pattern.fullmatch(file)), "")
        return owners or NO_OWNER


def load_owners(root: Path) -> CodeOwners:
    """Reads the CODEOWNERS file of a repository; without a readable file, no file has an owner."""
    for name in CODEOWNERS_FILES:
        try:
            return CodeOwners(read_regular_file(root / name).decode("utf-8", "replace"))
        except OSError:
            continue
    return CodeOwners("")


def _compile_pattern(glob: str) -> re.Pattern[str]:
    """Compiles a pattern in the syntax of `.gitignore` to a regular expression for whole paths."""
    is_rooted = "/" in glob.rstrip("/")
    body = glob.strip("/")
    text = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?)", body):
        text += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
    # `dir/*` matches the files directly in a folder; all other patterns include its subfolders.
    below = "" if body.endswith("/*") or (body == "*" and is_rooted) else "(?:/.*)?"
    return re.compile(f"{'' if is_rooted else '(?:.*/)?'}{text}{below}")


def find_environment(file: str) -> str:
    """The environment of a file, by the names of its folders; `shared` if none of them is an environment."""
    folders = file.split("/")[:-1]
    for before, folder in zip(["", *folders], folders, strict=False):
        if before in ENVIRONMENT_PARENTS or folder.lower() in ENVIRONMENT_NAMES:
            return folder
    return SHARED_ENVIRONMENT


class LineAge(NamedTuple):
    """The days since a line changed; None if Git was not called or has no answer."""

    days: int | None

    @property
    def group(self) -> str:
        """The age group, such as `up to a month`."""
        if self.days is None:
            return "unknown"
        for most, words in ((7, "a week"), (30, "a month"), (90, "three months"), (365, "a year")):
            if self.days <= most:
                return f"up to {words}"
        return "more than a year"


AGE_GROUPS = ("up to a week", "up to a month", "up to three months", "up to a year", "more than a year", "unknown")


def find_ages(root: Path, findings: Sequence[Finding], now: float | None = None) -> dict[Location, LineAge]:
    """Finds the age of each finding's line with `git blame`, within a time limit."""
    files = dict.fromkeys(finding.location.file for finding in findings if finding.location.line is not None)
    end = time.monotonic() + MAX_BLAME_SECONDS
    known: Mapping[str, Mapping[int, int]] = {}
    if files and git_state.describe_revision(root) is not None:
        with ThreadPoolExecutor() as pool:
            known = dict(zip(files, pool.map(lambda file: _read_line_times(root, file, end), files), strict=True))
    today = now if now is not None else datetime.datetime.now(tz=datetime.UTC).timestamp()
    return {
        finding.location: LineAge(
            _count_days_since(known.get(finding.location.file, {}).get(finding.location.line or 0), today)
        )
        for finding in findings
    }


def _read_line_times(root: Path, file: str, deadline: float) -> Mapping[int, int]:
    return git_history.read_line_times(root, file) if time.monotonic() < deadline else {}


def _count_days_since(changed_at: int | None, now: float) -> int | None:
    return None if changed_at is None else max(0, int((now - changed_at) // SECONDS_PER_DAY))


def count_names(names: Iterable[str], order: Sequence[str] = ()) -> list[tuple[str, int]]:
    """Counts each name, in a given order or the most frequent first."""
    counts: dict[str, int] = dict.fromkeys(order, 0)
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    listed = [(name, count) for name, count in counts.items() if count]
    return listed if order else sorted(listed, key=lambda item: (-item[1], item[0]))
