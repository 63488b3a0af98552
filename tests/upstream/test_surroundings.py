"""A process gets the options and the environment that are given, and a folder that no longer exists."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from gatekeeper.errors import ToolError
from gatekeeper.host.process import start_process
from gatekeeper.upstream.surroundings import Surroundings
from tests.upstream.programs import Fake

SHOW = """
try:
    folder = os.getcwd()
except FileNotFoundError:
    folder = ""
names = {name: value for name, value in os.environ.items() if name != "LC_CTYPE"}
print(json.dumps([sys.argv[1:], names, folder, os.getpgrp() == os.getpid()]))
"""


@pytest.mark.parametrize("surroundings", [Surroundings(), Surroundings(("-fetch=/a b",), {"HOME": "/home/a"})])
def test_a_process_gets_what_is_given_and_no_more(fake: Fake, surroundings: Surroundings) -> None:
    # It must not report before its folder is gone.
    program = fake(f"sys.stdin.readline(){SHOW}")
    process = start_process(program, "fake", surroundings.options, surroundings.environment)
    out, _ = process.communicate(b"\n", 30)
    assert orjson.loads(out) == [list(surroundings.options), dict(surroundings.environment), "", True]


def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="missing cannot be started: No such file"):
        start_process(tmp_path / "missing", "missing", [], {})
