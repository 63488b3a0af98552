"""What all tests share: a repository written from a table of files, checked by the real gate."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import jsonschema
import orjson
import pytest

import gatekeeper
from gatekeeper import config
from gatekeeper.errors import ToolError
from gatekeeper.gate import pipeline
from gatekeeper.host import toolchain
from gatekeeper.model import Verdict
from gatekeeper.workspace import config_loader, file_selection
from tests.servers import builds
from tests.servers.programs import BuildError
from tests.servers.requirements import programs_of

# Generated cases are the same in each run and have no deadline: a result depends on neither chance nor load.
hypothesis.settings.register_profile("gatekeeper", deadline=None, derandomize=True)
hypothesis.settings.register_profile("random", deadline=None)
hypothesis.settings.load_profile("gatekeeper")

SHARED = Path(__file__).parent.parent.parent / "shared"
VERDICT = jsonschema.Draft202012Validator(
    orjson.loads((Path(gatekeeper.__file__).parent / "report" / "verdict.schema.json").read_bytes())
)
# No run reads the results of another; tests/gate/test_verdict_cache.py switches the cache on.
os.environ["GATEKEEPER_CACHE"] = "off"
Repository = Callable[[dict[str, str | bytes]], Path]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Writes files below a fresh folder and returns it."""

    def write(files: dict[str, str | bytes]) -> Path:
        root = tmp_path / "repository"
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        if not (root / config.CONFIG_FILE).exists():
            (root / config.CONFIG_FILE).write_text("library: {profile: 'off'}\n")
        return root

    return write


def judge(root: Path, jobs: int = 2) -> Verdict:
    """Checks a folder with its own config."""
    settings = config_loader.load(root, None)
    return pipeline.check_tree(
        file_selection.build_tree([root], root, settings.exclude, settings.policies),
        settings,
        pipeline.CheckOptions(jobs),
    )


def rules(verdict: Verdict) -> set[str]:
    """The names of the rules that found something."""
    return {finding.rule for finding in verdict.findings}


def command(*arguments: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Runs `gatekeeper` as a user does: exit status, output, errors."""
    done = subprocess.run(
        [sys.executable, "-m", "gatekeeper", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=env,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def verdict_of(*arguments: str | Path, cwd: Path | None = None) -> tuple[int, Any]:
    """`gatekeeper check --format json` with some arguments: exit status and the verdict, valid by its schema."""
    code, out, err = command("check", "--format", "json", *arguments, cwd=cwd)
    assert out, err
    verdict = orjson.loads(out)
    VERDICT.validate(verdict)
    return code, verdict


def needs(*names: str) -> pytest.MarkDecorator:
    """Skips where a tool is missing; CI sets GATEKEEPER_CI and fails instead. A tool that is being built is awaited."""
    return pytest.mark.needs_program(*names)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Awaits, or skips for, the tools that a test needs."""
    for mark in item.iter_markers("needs_program"):
        for name in mark.args:
            _require(name)


def _require(name: str) -> None:
    try:
        if name in builds.being_built():
            builds.obtain(name)
        toolchain.DEFAULT_TOOLCHAIN.find(name)
    except BuildError as error:
        pytest.fail(str(error), pytrace=False)
    except ToolError:
        if os.environ.get("GATEKEEPER_CI"):
            pytest.fail(f"{name} must be installed in CI: gatekeeper tools install {name}", pytrace=False)
        pytest.skip(f"not installed: {name}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """While programs are built: the files that need none of them first, then the others in the order of the builds."""
    building = builds.being_built()
    if building:
        rank = {
            file: max((building.index(name) + 1 for name in programs_of([file]) if name in building), default=0)
            for file in {item.path for item in items}
        }
        items.sort(key=lambda item: rank[item.path])


class FailuresAtOnce:
    """Shows each failure when it happens, in one line; pytest shows all of them in full at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for each phase of each test."""
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal:
            crash = getattr(report.longrepr, "reprcrash", None)
            cause = crash.message.partition("\n")[0] if crash else report.longreprtext.partition("\n")[0]
            terminal.write("\n")
            terminal.write_line(f"FAILED {report.nodeid}: {cause}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Registers `FailuresAtOnce` in the process that has the terminal."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailuresAtOnce(config))


def shared(name: str) -> pytest.MarkDecorator:
    """Skips where the corpora are not at hand."""
    return pytest.mark.skipif(not (SHARED / name).exists(), reason=f"no {name} beside this checkout")


@contextmanager
def running_opa(*arguments: str) -> Iterator[str]:
    """An OPA server as a team would run its own: the URL."""
    from opa_client.opa import OpaClient

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(toolchain.DEFAULT_TOOLCHAIN.find("opa")),
        "run",
        "--server",
        "--addr",
        f"127.0.0.1:{port}",
        "--log-level",
        "error",
        *arguments,
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        OpaClient(host="127.0.0.1", port=port).wait_for_ready(30)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
