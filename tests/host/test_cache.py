"""The cache folder: entries are authenticated, and the key belongs to the user alone."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.host import cache
from gatekeeper.host.cache import Cache

SECRET = b"k" * 32


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home with an own cache folder and no environment that changes it."""
    monkeypatch.setenv("GATEKEEPER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GATEKEEPER_CACHE_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def test_an_entry_is_read_as_it_was_written_and_a_missing_one_is_none(tmp_path: Path) -> None:
    store = Cache(tmp_path, SECRET, b"1")
    store.write_entry("abcd", b"content")
    assert store.read_entry("abcd") == b"content"
    assert store.read_entry("abce") is None


@pytest.mark.parametrize(
    ("secret", "installation"), [(b"x" * 32, b"1"), (SECRET, b"2")], ids=["other key", "other installation"]
)
def test_an_entry_of_another_key_or_installation_is_ignored(tmp_path: Path, secret: bytes, installation: bytes) -> None:
    Cache(tmp_path, secret, installation).write_entry("abcd", b"content")
    assert Cache(tmp_path, SECRET, b"1").read_entry("abcd") is None


def test_an_entry_under_the_name_of_another_is_ignored(tmp_path: Path) -> None:
    store = Cache(tmp_path, SECRET, b"1")
    store.write_entry("abcd", b"accepted")
    (tmp_path / "ab" / "abcd").rename(tmp_path / "ab" / "abff")
    assert store.read_entry("abff") is None


@settings(deadline=None)
@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_other_parts_have_another_key(left: list[bytes], right: list[bytes]) -> None:
    store = Cache(Path("/nowhere"), SECRET, b"1")
    assert (store.derive_key(left) == store.derive_key(right)) == (left == right)


def test_the_oldest_entries_go_first_once_the_folder_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Cache(tmp_path, SECRET, b"1")
    for age, key in enumerate(("aa1", "bb2", "cc3")):
        store.write_entry(key, b"x" * 10)
        os.utime(tmp_path / key[:2] / key, (1000 + age, 1000 + age))
    monkeypatch.setattr(cache, "MAX_CACHE_BYTES", 3 * (10 + cache.MAC_BYTES))
    store.write_entry("dd4", b"x" * 10)
    assert store.read_entry("aa1") is not None, "not each entry is worth reading the folder"
    (tmp_path / "dd" / "dd4").unlink()
    store.write_entry("dd0", b"x" * 10)
    assert store.read_entry("aa1") is None
    assert all(store.read_entry(key) for key in ("bb2", "cc3", "dd0"))


@settings(deadline=None)
@given(st.binary(max_size=9))
def test_keys_of_every_run_clean_the_folder_sooner_or_later(part: bytes) -> None:
    keys = [Cache(Path("/nowhere"), SECRET, b"1").derive_key([part, bytes([number])]) for number in range(200)]
    assert any(key.endswith(cache.KEYS_THAT_CLEAN) for key in keys)


def test_the_users_key_is_created_once_and_private(home: Path) -> None:
    first = cache.open_cache(b"1")
    assert first is not None
    first.write_entry("abcd", b"content")
    path = home / "config" / "gatekeeper" / "cache.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    second = cache.open_cache(b"1")
    assert second is not None and second.read_entry("abcd") == b"content"
    path.chmod(0o640)
    assert cache.open_cache(b"1") is None


def test_a_short_shared_key_is_not_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEKEEPER_CACHE_KEY", "short")
    assert cache.open_cache(b"1") is not None
    assert (home / "config" / "gatekeeper" / "cache.key").exists(), "the user's own key"


def test_no_cache_is_opened_where_it_is_off_or_the_key_is_damaged(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "config" / "gatekeeper").mkdir(parents=True)
    (home / "config" / "gatekeeper" / "cache.key").write_bytes(b"too short")
    assert cache.open_cache(b"1") is None
    monkeypatch.setenv("GATEKEEPER_CACHE", "off")
    monkeypatch.setenv("GATEKEEPER_CACHE_KEY", "k" * 32)
    assert cache.open_cache(b"1") is None


def test_a_user_without_a_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in containers that run with a number that no user has."""

    def find_nobody(number: int) -> None:
        raise KeyError(number)

    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "GATEKEEPER_CACHE", "GATEKEEPER_CACHE_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", find_nobody)
    assert cache.user_cache_dir() == Path("/dev/null/gatekeeper")
    assert cache.open_cache(b"") is None
