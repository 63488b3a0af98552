"""`commonMetadata` of Flux: labels and annotations of everything that a Kustomization applies."""

from __future__ import annotations

from typing import Any

from gatekeeper.render.common_metadata import set_common_metadata
from tests.conftest import Repository, needs
from tests.engines.resources import build_resource
from tests.render.rendering import WEB, flux, render, the


@needs("gatekeeper-upstream")
def test_common_metadata_of_a_kustomization_is_added_to_everything(repository: Repository) -> None:
    more = "  commonMetadata: {labels: {team: a, tier: b}, annotations: {c: d}}\n"
    web = WEB.replace("  name: web\nspec", "  name: web\n  labels: {tier: own}\nspec")
    root = repository({"clusters/a.yaml": flux("a", "./apps", more), "apps/web.yaml": web})
    metadata = the(render(root), "Deployment").value["metadata"]
    assert metadata == {"name": "web", "labels": {"team": "a", "tier": "b"}, "annotations": {"c": "d"}}


def test_metadata_without_labels_and_annotations_changes_nothing() -> None:
    resource = build_resource({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}})
    unusable: list[Any] = [None, {}, {"labels": {}}, {"labels": "a", "annotations": ["b"]}]
    for metadata in unusable:
        assert set_common_metadata([resource], metadata) == [resource]
