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


def test_a_path_that_is_a_link_is_found_if_its_controller_does_not_follow_it(repository: Repository) -> None:
    application = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: NAME, namespace: argocd}
spec:
  project: default
  destination: {namespace: x, server: "https://kubernetes.default.svc"}
  source: {repoURL: "https://git.example/r.git", path: PATH}
"""
    files: dict[str, str | bytes] = {
        "gatekeeper.yaml": "library: {profile: 'off'}\n",
        "flux.yaml": flux("apps", "./linked"),
        "one.yaml": application.replace("NAME", "one").replace("PATH", "linked"),
        "two.yaml": application.replace("NAME", "two").replace("PATH", "built"),
        "apps/a.yaml": config_map("a", "x"),
        "base/kustomization.yaml": "resources: [b.yaml]\n",
        "base/b.yaml": config_map("b", "x"),
    }
    root = repository(files)
    (root / "linked").symlink_to("apps")
    (root / "built").symlink_to("base")
    found = [finding for finding in judge(root).findings if finding.rule == "references/path"]
    assert [(finding.location.file, finding.hint) for finding in found] == [
        ("flux.yaml", "name the folder itself: apps"),
        ("one.yaml", "name the folder itself: apps"),
    ]
