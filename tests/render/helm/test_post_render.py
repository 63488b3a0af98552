"""Post-renderers of a HelmRelease change what its chart renders, and the places of what they set."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from gatekeeper.host.process import run_command
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.model import get_field
from tests.conftest import Repository, needs
from tests.render.rendering import CHART_CONTAINER, FILES, RELEASE, fatal, render, the

pytestmark = needs("gatekeeper-upstream")
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


# A chart of several kinds; what a random post-renderer does to them, which does not always work.
OBJECTS = """\
{{- range $name := list "b" "a" }}
---
apiVersion: v1
kind: Service
metadata: {name: {{ $name }}, annotations: {note: "1e3"}}
spec: {ports: [{port: 80, name: http}], selector: {app: web}}
{{- end }}
---
apiVersion: example.org/v1
kind: Widget
metadata: {name: w, namespace: other}
spec: {size: 1.50, count: 10000000000, text: "yes", list: [1, 2]}
"""
HOOK = "apiVersion: v1\nkind: Pod\nmetadata: {name: h, annotations: {helm.sh/hook: pre-install}}\nspec: {}\n"
SPECS: tuple[dict[str, Any], ...] = (
    {"images": [{"name": "web", "newTag": "v9"}]},
    {"images": [{"name": "web", "newName": "r.example/web", "digest": "sha256:0"}, {"name": "gone", "newTag": "1"}]},
    {
        "patches": [
            {"target": {"kind": "Service"}, "patch": '[{"op": "replace", "path": "/spec/ports/0/port", "value": 81}]'}
        ]
    },
    {
        "patches": [
            {
                "target": {"kind": "Widget", "name": "w"},
                "patch": '[{"op": "add", "path": "/spec/list/-", "value": 3.0}]',
            }
        ]
    },
    {"patches": [{"target": {"name": ".*"}, "patch": '[{"op": "test", "path": "/spec/count", "value": 1}]'}]},
    {
        "patches": [
            {"target": {"kind": "Service", "name": "a"}, "patch": "$patch: delete\nkind: Service\nmetadata: {name: a}"}
        ]
    },
    {"patches": [{"patch": "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 443}]}"}]},
    {
        "patchesStrategicMerge": [
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b"}, "spec": {"selector": None}}
        ]
    },
    {"patchesStrategicMerge": [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "c"}}]},
    {
        "patchesJson6902": [
            {
                "target": {"version": "v1", "kind": "Service", "name": "b"},
                "patch": [{"op": "remove", "path": "/spec/selector"}],
            }
        ]
    },
    {
        "patchesJson6902": [
            {"target": {"version": "v1", "kind": "Service", "name": "z"}, "patch": [{"op": "remove", "path": "/a"}]}
        ]
    },
)


def render_with_programs(root: Path, fields: dict[str, Any]) -> list[Any] | None:
    """The objects of `helm template` with kustomize as its post-renderer; None if it fails."""
    folder, script = root.parent / "renderer", root.parent / "renderer.sh"
    folder.mkdir()
    settings = {"resources": ["all.yaml"], **fields}
    for word, key in (("patchesStrategicMerge", ""), ("patchesJson6902", "patch")):
        # Patches are objects in a HelmRelease, and texts in a kustomization.
        if word in fields:
            settings[word] = [
                {**one, key: orjson.dumps(one[key]).decode()} if key else orjson.dumps(one).decode() + "\n"
                for one in fields[word]
            ]
    (folder / "kustomization.yaml").write_bytes(orjson.dumps(settings))
    kustomize = DEFAULT_TOOLCHAIN.find("kustomize")
    script.write_text(f"#!/bin/sh\ncat > {folder}/all.yaml && exec {kustomize} build {folder}\n")
    script.chmod(0o755)
    command: list[str | Path] = [DEFAULT_TOOLCHAIN.find("helm"), "template", "shop", root / "chart", "-n", "prod"]
    command += ["--kube-version", "1.34", "--set", "image.tag=v3", "--post-renderer", script]
    code, out, _ = run_command(command, 60)
    return [one for one in yaml.safe_load_all(out) if one] if code == 0 else None


@needs("helm", "kustomize")
@pytest.mark.parametrize("number", range(16))
def test_random_post_renderers_do_what_the_programs_do(repository: Repository, number: int) -> None:
    chance = random.Random(number)
    fields: dict[str, Any] = {}
    for spec in chance.sample(SPECS, chance.randint(1, 3)):
        fields |= spec
    more = f"  postRenderers: [{{kustomize: {orjson.dumps(fields).decode()}}}]\n"
    root = repository({**release(more), "chart/templates/more.yaml": OBJECTS, "chart/templates/hook.yaml": HOOK})
    expected = render_with_programs(root, fields)
    rendered = render(root)
    if expected is None:
        assert [gap.file for gap in rendered.gaps if gap.is_fatal] == ["release.yaml"]
        return
    assert [one.message for one in rendered.findings if one.rule == "render/kustomize"] == []
    assert [one.value for one in rendered.resources if one.ref.kind != "HelmRelease"] == expected


def test_a_patch_in_a_file_is_refused(repository: Repository) -> None:
    """There are no files beside a HelmRelease in the cluster."""
    root = repository(
        {**release("  postRenderers: [{kustomize: {patches: [{path: ../repository/p.yaml}]}}]\n"), "p.yaml": "a"}
    )
    [finding] = [finding for finding in render(root).findings if finding.rule == "render/kustomize"]
    assert "p.yaml" in finding.message and "/tmp" not in finding.message
