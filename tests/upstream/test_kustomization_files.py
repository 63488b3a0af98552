"""Listings of folders: links inside and outside of the repository, files that cannot be read, any name."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.upstream.kustomization_files import KustomizationFiles, decode_name, encode_name


@given(st.binary().map(os.fsdecode))
def test_a_name_of_any_bytes_is_sent_and_read_back(name: str) -> None:
    assert decode_name(encode_name(name).encode().decode()) == name


def test_folders_are_listed_with_all_above_them(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/f.yaml").write_text("x")
    (tmp_path / "a/g.yaml").write_text("y")
    listings = KustomizationFiles(tmp_path)
    folders = listings.list_folders(["a/b"], ["a/b/f.yaml", "a/none.yaml"])
    entry = folders["/repository/a/b"].pop("f.yaml")
    assert folders == {"/repository": {"a": "d"}, "/repository/a": {"b": "d", "g.yaml": "f"}, "/repository/a/b": {}}
    assert listings.contents == {entry.removeprefix("f"): b"x"}


def test_a_link_out_of_the_repository_leads_nowhere(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (tmp_path / "secret").write_text("x")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "relative").symlink_to("../secret")
    (root / "in").symlink_to(root / "a")
    listings = KustomizationFiles(root)
    [listing] = listings.list_folders([], ["out", "relative"]).values()
    assert listing == {"a": "d", "in": "l/repository/a", "out": "l/outside", "relative": "l../secret"}
    assert listings.contents == {}


def test_a_folder_behind_a_link_is_listed_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert set(KustomizationFiles(tmp_path).list_folders(["link"], ["link/x"])) == {"/repository"}


def test_a_large_file_is_not_sent(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as handle:
        handle.truncate(21 * 1024 * 1024)
    listings = KustomizationFiles(tmp_path)
    assert listings.list_folders([], ["large"]) == {"/repository": {"large": "elarger than 20 MB"}}
    assert listings.list_small_files("") == []


def test_the_folders_below_a_folder_are_listed_without_links(tmp_path: Path) -> None:
    (tmp_path / "web/templates/tests").mkdir(parents=True)
    (tmp_path / "web/link").symlink_to("templates")
    (tmp_path / "web/Chart.yaml").write_text("")
    listings = KustomizationFiles(tmp_path)
    assert listings.list_folders_below("web") == ["web", "web/templates", "web/templates/tests"]
    assert listings.list_folders_below("gone") == []
