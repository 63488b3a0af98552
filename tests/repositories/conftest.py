"""A repository of a developer, a Git host that serves it, and files in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gatekeeper.host.memory_files import MemoryFiles
from tests.repositories.git_work import Work
from tests.servers import git_server
from tests.servers.git_server import Host


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """An empty repository."""
    return Work(tmp_path / "host" / "shop")


@pytest.fixture
def host(work: Work) -> Iterator[Host]:
    """A Git host that serves it, with a name and a password."""
    with git_server.serving(work.root.parent) as found:
        yield found


@pytest.fixture
def handed() -> Iterator[MemoryFiles]:
    """Files in memory, for credentials."""
    found = MemoryFiles()
    yield found
    found.close()
