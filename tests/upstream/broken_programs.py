"""Cache folders in which one program is missing or broken; the others are the real ones."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN, get_cache_folder
from tests.upstream.programs import HEAD, HELLO

# What a program does after it has said hello; the first call waits to be read.
FAULTS = {
    "killed": "read(); os.kill(os.getpid(), 9)",
    "garbage": "read(); sys.stdout.write('this is no frame, ' * 9); sys.stdout.flush(); time.sleep(600)",
    "another form": "while True: write({'id': read()['id'], 'result': 'hunter2'})",
    "no result": "while True: write({'id': read()['id'], 'result': None})",
    "too few results": "while True: write({'id': read()['id'], 'result': []})",
    "out of memory": "read(); os._exit(9)",
    "refusal": "while True: write({'id': read()['id'], 'error': 'it is broken'})",
}
OTHER_VERSION = """write({"id": read()["id"], "error": "it has version 1, and Gatekeeper has 2"})"""


def build_program(path: Path, code: str) -> None:
    """Writes a program of some Python that speaks the protocol."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable} -S\n{HEAD}{code}\n")
    path.chmod(0o755)


def greet_and(code: str) -> str:
    """The code of a program that says hello, and then something else."""
    return f"{HELLO}\n{code}"


def break_program(folder: Path, name: str, code: str | None) -> dict[str, str]:
    """An environment in which a program runs some Python code, or is missing for None.

    Args:
        folder: a folder that does not exist yet.
    """
    tools = folder / "gatekeeper" / "tools"
    tools.mkdir(parents=True)
    own = DEFAULT_TOOLCHAIN.find(name)
    for entry in get_cache_folder().iterdir():
        if entry != own.parent:
            (tools / entry.name).symlink_to(entry)
    if code is not None:
        build_program(tools / own.parent.name / name, code)
    return {**os.environ, "XDG_CACHE_HOME": str(folder)}
