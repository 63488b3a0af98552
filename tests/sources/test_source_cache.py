"""The cache: bytes by their digest, which are never returned when they were changed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.sources.source_cache import SourceCache, get_cache_path


def test_bytes_are_read_by_their_digest(tmp_path: Path) -> None:
    cache = SourceCache(tmp_path)
    digest = cache.add(b"chart")
    assert cache.read(digest) == b"chart" and cache.has(digest)
    assert cache.add(b"chart") == digest
    assert not (tmp_path / get_cache_path(digest)).stat().st_mode & 0o222


def test_changed_bytes_are_refused(tmp_path: Path) -> None:
    cache = SourceCache(tmp_path)
    digest = cache.add(b"chart")
    path = tmp_path / get_cache_path(digest)
    path.chmod(0o644)
    path.write_bytes(b"chast")
    with pytest.raises(ToolError, match=r"was changed after it was fetched: run `gatekeeper fetch`"):
        cache.read(digest)
    assert not cache.has(digest)
    # A fetch replaces them.
    assert cache.add(b"chart") == digest and cache.has(digest)


def test_missing_bytes_have_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"not fetched on this machine: run `gatekeeper fetch`"):
        SourceCache(tmp_path).read("sha256:" + "0" * 64)


@pytest.mark.parametrize("digest", ["", "sha256:../../etc/passwd", "md5:" + "0" * 64, "sha256:" + "0" * 63 + "G"])
def test_a_text_that_is_no_digest_is_no_path(digest: str, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"digest that is not `sha256:`"):
        get_cache_path(digest)


def test_a_folder_of_the_repository_is_read_first(tmp_path: Path) -> None:
    vendored = tmp_path / "vendored"
    cache = SourceCache(tmp_path / "user", (vendored,))
    digest = cache.add(b"chart", vendored)
    assert cache.read(digest) == b"chart"
    assert not (tmp_path / "user").exists()
    # Where that file was changed, the cache of the user still has it.
    cache.add(b"chart")
    (vendored / get_cache_path(digest)).chmod(0o644)
    (vendored / get_cache_path(digest)).write_bytes(b"")
    assert cache.read(digest) == b"chart"


def test_several_writers_leave_one_whole_file(tmp_path: Path) -> None:
    cache, content = SourceCache(tmp_path), b"x" * 1_000_000
    threads = [threading.Thread(target=cache.add, args=(content,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    digest = cache.add(content)
    assert cache.read(digest) == content
    assert [path.name for path in (tmp_path / get_cache_path(digest)).parent.iterdir()] == [digest[7:]]
