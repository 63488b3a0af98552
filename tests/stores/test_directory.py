"""A folder as a store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores import directory
from gatekeeper.stores.directory import DirectoryStore
from gatekeeper.stores.protocol import SecretNotFoundError, SecretQuery, SecretRef, StoreError


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    root = tmp_path / "root"
    (root / "prod").mkdir(parents=True)
    (root / "prod/db.json").write_bytes(b'{"a":"b"}')
    (root / "prod/web.txt").write_bytes(b"text")
    (root / "prod/raw").write_bytes(b"\x00")
    (tmp_path / "outside").write_bytes(b"x")
    return DirectoryStore(root)


def test_key_is_the_path_with_or_without_a_known_suffix(store: DirectoryStore) -> None:
    refs = [SecretRef("prod/db"), SecretRef("/prod/web/"), SecretRef("prod/raw"), SecretRef("prod/db.json")]
    values = [outcome.reveal() for outcome in store.fetch(refs) if isinstance(outcome, SecretBytes)]
    assert values == [b'{"a":"b"}', b"text", b"\x00", b'{"a":"b"}'] and store.request_count == 4
    [missing] = store.fetch([SecretRef("prod")])
    assert isinstance(missing, SecretNotFoundError)


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        (SecretRef("prod/db", "2"), "has no versions"),
        (SecretRef("prod/db", is_metadata=True), "no metadata"),
        (SecretRef("../outside"), "leads out of the folder"),
    ],
)
def test_unsupported_reference_is_an_error_and_not_a_missing_secret(
    store: DirectoryStore, ref: SecretRef, message: str
) -> None:
    [outcome] = store.fetch([ref])
    assert isinstance(outcome, StoreError) and not isinstance(outcome, SecretNotFoundError) and message in str(outcome)


def test_link_out_of_the_folder_is_refused(store: DirectoryStore, tmp_path: Path) -> None:
    (tmp_path / "root/link").symlink_to(tmp_path / "outside")
    [outcome] = store.fetch([SecretRef("link")])
    assert isinstance(outcome, StoreError) and "leads out of the folder" in str(outcome)
    with pytest.raises(StoreError, match="leads out of the folder"):
        store.find(SecretQuery("", "", {}))


def test_search_is_limited_to_its_path(store: DirectoryStore) -> None:
    assert sorted(store.find(SecretQuery("prod", "b", {}))) == ["prod/db", "prod/web"]
    for query in (SecretQuery("..", "", {}), SecretQuery("", "", {"a": "b"})):
        with pytest.raises(StoreError):
            store.find(query)


def test_large_file_and_missing_folder_are_errors(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "MAX_FILE_BYTES", 1)
    [outcome] = store.fetch([SecretRef("prod/web")])
    assert isinstance(outcome, StoreError) and "larger than" in str(outcome)
    with pytest.raises(StoreError, match="not a folder"):
        DirectoryStore(tmp_path / "outside")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_search_in_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "db").write_text("x")
    (tmp_path / "closed").chmod(0)
    script = """
import pathlib, sys
from gatekeeper.stores import directory, protocol
try:
    print(sorted(directory.DirectoryStore(pathlib.Path(sys.argv[1])).find(protocol.SecretQuery("", "", {}))))
except protocol.StoreError as error:
    print(error.is_transient, error)
"""
    # Root reads everything, unless it gives these two rights away.
    restricted = [
        "setpriv",
        "--bounding-set=-dac_override,-dac_read_search",
        sys.executable,
        "-c",
        script,
        str(tmp_path),
    ]
    done = subprocess.run(restricted, capture_output=True, text=True, timeout=60, check=False)
    (tmp_path / "closed").chmod(0o755)
    assert done.stdout == f"True {tmp_path / 'closed'}: cannot be read: Permission denied\n", done.stderr
