"""The built program and a client of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.upstream.client import UpstreamClient, get_program_version
from gatekeeper.upstream.worker import PROGRAM
from tests.upstream.broken_programs import build_program
from tests.upstream.programs import Fake


@pytest.fixture(scope="session")
def program() -> Path:
    """The path of the program; a test is skipped where it is not built, and fails in CI."""
    try:
        return DEFAULT_TOOLCHAIN.find(PROGRAM)
    except ToolError as error:
        if os.environ.get("GATEKEEPER_CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def client(program: Path) -> Iterator[UpstreamClient]:
    """A client for the newest version of Kubernetes."""
    made = UpstreamClient(lambda: program, get_program_version())
    yield made
    made.close()


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Writes a program of some Python."""

    def write(code: str) -> Path:
        path = tmp_path / "fake"
        build_program(path, code)
        return path

    return write
