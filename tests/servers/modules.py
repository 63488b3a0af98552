"""Modules of Go as they were published, for the test cases of other projects."""

from __future__ import annotations

import shutil
import sys
from functools import cache
from pathlib import Path

import orjson
import pytest

from gatekeeper.host import toolchain
from gatekeeper.host.process import run_command

SECONDS = 300.0


@cache
def module(name: str, version: str) -> Path:
    """Its files, fetched if need be and checked against Go's checksum database; without Go a test is skipped."""
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if go is None:
        pytest.skip("no Go")
    command = [go, "mod", "download", "-json", f"{name}@{version}"]
    code, out, words = run_command(command, SECONDS, environment=toolchain.get_build_environment())
    assert code == 0, words
    return Path(orjson.loads(out)["Dir"])
