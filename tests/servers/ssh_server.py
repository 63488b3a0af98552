"""A Git host over SSH: the real `git-upload-pack` behind a server that accepts one key; a separate program."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncssh
import orjson


class Host(NamedTuple):
    """Where it listens, the private key that it lets in, and what it shows of itself."""

    port: int
    identity: str
    known_hosts: str


@contextmanager
def serving(folder: Path) -> Iterator[Host]:
    """Serves all repositories of this machine to clients with the key."""
    command = [sys.executable, "-m", "tests.servers.ssh_server", str(folder / "authorized_keys")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield Host(**orjson.loads(process.stdout.readline()))
        finally:
            process.terminate()
            process.wait(15)


async def _answer(process: Any) -> None:
    words = shlex.split(process.command or "")
    if len(words) != 2 or words[0] != "git-upload-pack":
        process.exit(1)
        return
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL)
    await process.redirect(stdin=program.stdin, stdout=program.stdout)
    process.exit(await program.wait())


async def _serve(let: Path) -> None:
    own, theirs = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    let.write_bytes(theirs.export_public_key())
    server = await asyncssh.create_server(
        asyncssh.SSHServer,
        "127.0.0.1",
        0,
        server_host_keys=[own],
        authorized_client_keys=str(let),
        process_factory=_answer,
        encoding=None,
    )
    port = server.sockets[0].getsockname()[1]
    known = f"[127.0.0.1]:{port} {own.export_public_key().decode()}"
    host = Host(port, theirs.export_private_key().decode(), known)
    sys.stdout.write(orjson.dumps(host._asdict()).decode() + "\n")
    sys.stdout.flush()
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
