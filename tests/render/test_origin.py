"""The origin of each field: the line of a file, a patch, a transformer or a generator that set it."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.model import FieldPath, Location
from gatekeeper.render import origin
from gatekeeper.workspace import documents
from tests.conftest import Repository, needs
from tests.render.rendering import CONTAINER, WEB, render, the

OVERLAY: list[tuple[str, str, dict[str, str], FieldPath, Location]] = [
    ("the base itself", "", {}, (*CONTAINER, "image"), Location("base/web.yaml", 13, 16)),
    (
        "a patch in a file",
        "patches: [{path: p.yaml}]\n",
        {
            "over/p.yaml": WEB.replace("web:1", "web:2").replace("      - name: side\n        image: side:1\n", ""),
        },
        ("spec", "template", "spec", "containers", 0, "image"),
        Location("over/p.yaml", 11, 16),
    ),
    (
        "an operation",
        "patches:\n- path: p.yaml\n  target: {kind: Deployment}\n",
        {
            "over/p.yaml": "- op: replace\n  path: /spec/replicas\n  value: 7\n",
        },
        ("spec", "replicas"),
        Location("over/p.yaml", 3, 10),
    ),
    (
        "images",
        "images:\n- name: web\n  newTag: '9'\n",
        {},
        (*CONTAINER, "image"),
        Location("over/kustomization.yaml", 4, 11),
    ),
    (
        "replicas",
        "replicas:\n- name: web\n  count: 3\n",
        {},
        ("spec", "replicas"),
        Location("over/kustomization.yaml", 4, 10),
    ),
    ("a namespace", "namespace: prod\n", {}, ("metadata", "namespace"), Location("over/kustomization.yaml", 2, 12)),
    (
        "a label",
        "labels:\n- pairs:\n    team: a\n",
        {},
        ("metadata", "labels", "team"),
        Location("over/kustomization.yaml", 4, 11),
    ),
]


@needs("gatekeeper-upstream")
@pytest.mark.parametrize(
    ("overlay", "files", "path", "place"), [pytest.param(*case[1:], id=case[0]) for case in OVERLAY]
)
def test_a_field_leads_back_to_the_line_that_set_it(
    repository: Repository, overlay: str, files: dict[str, str | bytes], path: FieldPath, place: Location
) -> None:
    base: dict[str, str | bytes] = {"base/kustomization.yaml": "resources: [web.yaml]\n", "base/web.yaml": WEB}
    root = repository({**base, **files, "over/kustomization.yaml": f"resources: [../base]\n{overlay}"})
    assert the(render(root), "Deployment").origin.find_location(path) == place


@needs("gatekeeper-upstream")
def test_generated_object_is_located_at_its_generator(repository: Repository) -> None:
    root = repository(
        {
            "kustomization.yaml": "configMapGenerator:\n- name: first\n  literals: [a=b]\n- name: c\n  files: [x.txt]\n",
            "x.txt": "1",
        }
    )
    assert the(render(root), "ConfigMap", "c-").origin.find_location(("data",)) == Location("kustomization.yaml", 4, 9)


DEPLOYED: Any = {"spec": {"containers": [{"name": "side"}, {"name": "web", "image": "x"}], "args": ["1", "2"]}}


@pytest.mark.parametrize(
    ("path", "source", "translated"),
    [
        (
            ("spec", "containers", 1, "image"),
            {"spec": {"containers": [{"name": "web"}]}},
            ("spec", "containers", 0, "image"),
        ),
        (("spec", "containers", 1), {"spec": {"containers": [{"name": "x"}]}}, ("spec", "containers", 1)),
        (("spec", "args", 1), {"spec": {"args": ["2"]}}, ("spec", "args", 1)),
    ],
    ids=["same name", "no such item", "plain list"],
)
def test_an_item_of_a_list_is_found_by_its_merge_key(path: FieldPath, source: Any, translated: FieldPath) -> None:
    assert origin.translate_path(path, DEPLOYED, source) == translated


@pytest.mark.parametrize(
    ("operations", "path", "location"),
    [
        ("- {op: add, path: /metadata/annotations/a~1b~0c, value: x}", ("metadata", "annotations", "a/b~c"), (1, 57)),
        ("- {op: remove, path: /spec}\n- op: replace\n  path: /spec\n  value:\n    a: 1", ("spec", "a"), (5, 8)),
        ("- {op: add, path: /spec/args/-, value: '2'}", ("spec", "args", 1), (1, 40)),
        ("- {op: add, path: /spec/args/-, value: '2'}", ("spec", "args", 0), None),
        ("- {op: add, path: /spec/args/-, value: '2'}", ("spec", "args"), None),
        ("- {op: remove, path: /spec/a}", ("spec", "a"), None),
        ("- {op: replace, path: /other, value: 1}", ("spec", "a"), None),
    ],
)
def test_the_last_json_patch_operation_that_sets_a_field_is_its_place(
    operations: str, path: FieldPath, location: tuple[int, int] | None
) -> None:
    [document], _ = documents.parse(operations.encode())
    assert origin.locate_in_patch(document, path, "Deployment", DEPLOYED) == location


def test_a_merge_patch_is_the_place_only_where_it_set_the_rendered_value() -> None:
    [document], _ = documents.parse(b"kind: Deployment\nspec:\n  replicas: 2\n")
    path: FieldPath = ("spec", "replicas")
    assert origin.locate_in_patch(document, path, "Deployment", {"spec": {"replicas": 2}}) == (3, 13)
    assert origin.locate_in_patch(document, path, "Deployment", {"spec": {"replicas": 3}}) is None
    assert origin.locate_in_patch(document, path, "StatefulSet", {"spec": {"replicas": 2}}) is None


def test_patches_are_listed_with_their_paths_and_other_values_ignored() -> None:
    value = {
        "patches": [{"path": "a"}, {"patch": "b", "target": {}}],
        "patchesStrategicMerge": ["c"],
        "patchesJson6902": 7,
    }
    assert list(origin.list_patches(value)) == [
        (("patchesStrategicMerge", 0), "c"),
        (("patches", 0, "path"), "a"),
        (("patches", 1, "patch"), "b"),
    ]
