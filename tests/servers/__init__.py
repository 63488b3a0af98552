"""Real programs that tests run against: built from source, kept by a checksum, and awaited while they are built."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.servers import builds, programs
from tests.servers.programs import BuildError


def server(name: str) -> Path:
    """The program for a test; the test is skipped where it cannot be built, and fails in CI."""
    if not programs.path_of(name).is_file() and programs.go() is None:
        if os.environ.get("GATEKEEPER_CI"):
            pytest.fail(f"{name} must be built in CI, and Go is missing")
        pytest.skip(f"{name} is built with Go, which is missing")
    try:
        return builds.obtain(name)
    except BuildError as error:
        pytest.fail(str(error), pytrace=False)
