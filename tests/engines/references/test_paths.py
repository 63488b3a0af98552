"""Paths that do not exist in the repository."""

from __future__ import annotations

from tests.conftest import Repository, judge
from tests.engines.references.objects import config_map, flux, list_places


def test_a_missing_path_is_found_if_its_source_is_this_repository(repository: Repository) -> None:
    files: dict[str, str | bytes] = {
        "gatekeeper.yaml": "library: {profile: 'off'}\n",
        "clusters/a.yaml": flux("apps", "./apps") + flux("gone", "./appz"),
        "apps/a.yaml": config_map("a", "x"),
    }
    assert ("path", "clusters/a.yaml", 10) in list_places(list(judge(repository(files)).findings))
    files["clusters/a.yaml"] = flux("gone", "./appz")
    found_alone = list_places(list(judge(repository(files)).findings))
    assert "path" not in {one[0] for one in found_alone}, "the source may be another repository"
