"""Post-renderers of a HelmRelease change what its chart renders, and the places of what they set."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.model import get_field
from tests.conftest import Repository, needs
from tests.render.rendering import CHART_CONTAINER, FILES, RELEASE, fatal, render, the

pytestmark = needs("gatekeeper-upstream", "helm", "kustomize")
PLAIN = RELEASE.replace("      valuesFiles: [chart/values.yaml, envs/prod.yaml]\n", "")
PATCHES = {
    "patches": '[{target: {kind: Deployment}, patch: \'[{"op": "add", "path": "/spec/template/spec/hostNetwork", "value": true}]\'}]',
    "patches without a target": "[{patch: '{apiVersion: apps/v1, kind: Deployment, metadata: {name: shop, namespace: prod}, spec: {template: {spec: {hostNetwork: true}}}}'}]",
    "patchesStrategicMerge": "[{apiVersion: apps/v1, kind: Deployment, metadata: {name: shop, namespace: prod}, spec: {template: {spec: {hostNetwork: true}}}}]",
    "patchesJson6902": "[{target: {kind: Deployment, name: shop}, patch: [{op: add, path: /spec/template/spec/hostNetwork, value: true}]}]",
}


def release(more: str) -> dict[str, str | bytes]:
    return {**FILES, "release.yaml": PLAIN + more}


@pytest.mark.parametrize("name", PATCHES)
def test_patches_of_every_form_are_applied(repository: Repository, name: str) -> None:
    more = f"  postRenderers:\n  - kustomize:\n      {name.partition(' ')[0]}: {PATCHES[name]}\n"
    root = repository(release(more))
    found = the(render(root), "Deployment")
    path = ("spec", "template", "spec", "hostNetwork")
    assert get_field(found.value, path) is True
    assert found.origin.find_location(path).file == "release.yaml"
    # What they do not set is still from the chart.
    assert found.origin.find_location((*CHART_CONTAINER, "name")).file == "chart/templates/web.yaml"


def test_images_are_replaced_in_the_order_of_the_renderers(repository: Repository) -> None:
    first = "  - kustomize: {images: [{name: web, newName: registry.example.com/web, newTag: v9}]}\n"
    second = "  - kustomize: {images: [{name: registry.example.com/web, newTag: latest}]}\n"
    root = repository(release(f"  postRenderers:\n{first}{second}"))
    found = the(render(root), "Deployment")
    assert get_field(found.value, (*CHART_CONTAINER, "image")) == "registry.example.com/web:latest"
    assert found.origin.find_location((*CHART_CONTAINER, "image")).file == "release.yaml"


def test_common_metadata_of_the_release_comes_last(repository: Repository) -> None:
    root = repository(release("  commonMetadata: {labels: {team: a}, annotations: {b: c}}\n"))
    metadata = the(render(root), "Deployment").value["metadata"]
    assert (metadata["labels"], metadata["annotations"]) == ({"team": "a"}, {"b": "c"})


def test_hooks_are_not_post_rendered(repository: Repository) -> None:
    hook = "apiVersion: v1\nkind: Pod\nmetadata: {name: h, annotations: {helm.sh/hook: pre-install}}\nspec: {}\n"
    patch = '[{target: {kind: Pod}, patch: \'[{"op": "add", "path": "/spec/hostNetwork", "value": true}]\'}]'
    files = {**release(f"  postRenderers: [{{kustomize: {{patches: {patch}}}}}]\n"), "chart/templates/hook.yaml": hook}
    assert the(render(repository(files)), "Pod").value["spec"] == {}


@pytest.mark.parametrize(
    "patch",
    [
        "[{patch: 'a: ['}]",
        "[{patch: '{apiVersion: v1, kind: Pod, metadata: {name: nobody}}'}]",
        '[{target: {kind: Deployment}, patch: \'[{"op": "remove", "path": "/spec/missing"}]\'}]',
    ],
)
def test_a_post_renderer_that_fails_is_an_error_and_a_fatal_gap(repository: Repository, patch: str) -> None:
    root = repository(release(f"  postRenderers: [{{kustomize: {{patches: {patch}}}}}]\n"))
    [finding] = [finding for finding in render(root).findings if finding.rule == "render/kustomize"]
    assert finding.location.file == "release.yaml"
    assert [gap.file for gap in fatal(root)] == ["release.yaml"]


def test_two_releases_of_one_chart_are_changed_each_by_its_own(repository: Repository) -> None:
    image = "  postRenderers: [{kustomize: {images: [{name: web, newTag: TAG}]}}]\n"
    other = PLAIN + image.replace("TAG", "b")
    root = repository({**release(image.replace("TAG", "a")), "other.yaml": other})
    images: set[Any] = {
        get_field(one.value, (*CHART_CONTAINER, "image"))
        for one in render(root).resources
        if one.ref.kind == "Deployment"
    }
    assert images == {"web:a", "web:b"}
