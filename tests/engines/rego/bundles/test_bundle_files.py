"""Files of policy bundles: complete and inside of the bundle, or an error."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.engines.rego.bundles import bundle_files
from gatekeeper.engines.rego.bundles.bundle_files import Bundle
from gatekeeper.errors import PolicyError
from tests.host import commit_files

NAMES = st.text("ab/.", min_size=1, max_size=5)


def pack(*members: tuple[str, bytes], link: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo("link.rego")
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
    return buffer.getvalue()


@settings(deadline=None)
@given(
    st.dictionaries(NAMES, st.binary(max_size=4), max_size=3), st.dictionaries(NAMES, st.binary(max_size=4), max_size=3)
)
def test_only_equal_bundles_have_one_digest(left: dict[str, bytes], right: dict[str, bytes]) -> None:
    is_same = bundle_files.compute_digest(left) == bundle_files.compute_digest(right)
    assert is_same == (left == right)


def test_an_archive_is_unpacked_without_links_and_absolute_names() -> None:
    content = pack(("/team/a.rego", b"package a"), ("./b.rego", b"package b"), link="/etc/passwd")
    assert bundle_files.unpack(content, "x") == {"team/a.rego": b"package a", "b.rego": b"package b"}


@pytest.mark.parametrize("name", ["../a.rego", "a/../../b", "/../x"])
def test_an_archive_with_a_path_that_leads_out_is_refused(name: str) -> None:
    with pytest.raises(PolicyError, match="leads out of the archive"):
        bundle_files.unpack(pack((name, b"")), "x")


@pytest.mark.parametrize(
    "content", [b"", b"no archive", pack(("a", b"x" * 2000))[:60]], ids=["empty", "no archive", "cut off"]
)
def test_a_damaged_archive_is_an_error(content: bytes) -> None:
    with pytest.raises(PolicyError, match="x: not a valid bundle archive"):
        bundle_files.unpack(content, "x")


def test_an_archive_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_files, "MAX_FILES", 1)
    with pytest.raises(PolicyError, match="more than 50 MB or 1 files"):
        bundle_files.unpack(pack(("a", b""), ("b", b"")), "x")
    monkeypatch.setattr(bundle_files, "MAX_BYTES", 3)
    with pytest.raises(PolicyError, match="contains more than"):
        bundle_files.unpack(pack(("a", b"1234")), "x")


def test_a_folder_is_read_without_git_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("x")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.rego").write_bytes(b"package a")
    assert bundle_files.read_folder(tmp_path, "x") == {"sub/a.rego": b"package a"}
    with pytest.raises(PolicyError, match="no such folder"):
        bundle_files.read_folder(tmp_path / "none", "x")


def test_a_git_revision_is_read_as_it_was_committed(tmp_path: Path) -> None:
    root = commit_files(tmp_path / "r", {"p/a.rego": "package a", "b.rego": "package b"})
    (root / "p" / "a.rego").write_text("package changed")
    read = {
        folder: dict(bundle_files.read_git_revision(tmp_path, Bundle(f"git+r@main{folder}", "", ""), False))
        for folder in ("", "//p", "//p/")
    }
    assert read[""] == {"p/a.rego": b"package a", "b.rego": b"package b"}
    assert read["//p"] == read["//p/"] == {"a.rego": b"package a"}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("git+r", "must look like"),
        ("git+@main", "must look like"),
        ("git+r@none", "Git cannot read this revision"),
        ("git+r@main//none", "contains no files"),
        ("git+https://example.com/r@v1", "`check` fetches nothing"),
    ],
)
def test_a_revision_that_cannot_be_read_is_an_error(source: str, reason: str, tmp_path: Path) -> None:
    commit_files(tmp_path / "r", {"a.rego": "package a"})
    with pytest.raises(PolicyError, match=reason):
        bundle_files.read_git_revision(tmp_path, Bundle(source, "", ""), False)


def test_a_cached_bundle_counts_only_as_long_as_it_has_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    files = {"a.rego": b"package a"}
    bundle = Bundle("x", bundle_files.compute_digest(files), "")
    assert bundle_files.find_cached(bundle) is None
    folder = bundle_files.store_in_cache(files, bundle.digest)
    assert bundle_files.find_cached(bundle) == folder == bundle_files.store_in_cache(files, bundle.digest)
    (folder / "more.rego").write_text("package b")
    assert bundle_files.find_cached(bundle) is None
