"""Rendering a repository: who applies what, with which changes, and where each field of the outcome was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper import config
from gatekeeper.model import FieldPath, Location, Resource
from gatekeeper.render import pipeline
from gatekeeper.render.pipeline import RenderedTree
from gatekeeper.workspace import documents, file_selection
from tests.conftest import Repository, needs

pytestmark = needs("kustomize")

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
  template:
    spec:
      containers:
      - name: side
        image: side:1
      - name: web
        image: web:1
"""
FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: {name}, namespace: flux-system}}
spec:
  interval: 1m
  prune: true
  path: {path}
  sourceRef: {{kind: GitRepository, name: r}}
"""
CONTAINER: FieldPath = ("spec", "template", "spec", "containers", 1)


def render(root: Path) -> RenderedTree:
    tree = file_selection.build_tree([root], root, ())
    read, _ = documents.parse_tree(tree, 2)
    return pipeline.render_tree(tree, read, config.Config(), 2)


def the(rendered: RenderedTree, kind: str, name: str = "") -> Resource:
    [found] = [one for one in rendered.resources if one.ref.kind == kind and one.ref.name.startswith(name)]
    return found


def flux(name: str, path: str, more: str = "") -> str:
    return FLUX.format(name=name, path=path) + more


def test_a_base_is_judged_once_where_an_overlay_uses_it(repository: Repository) -> None:
    root = repository(
        {
            "base/kustomization.yaml": "resources: [web.yaml]\n",
            "base/web.yaml": WEB,
            "over/kustomization.yaml": "resources: [../base]\nnamespace: prod\n",
        }
    )
    rendered = render(root)
    assert the(rendered, "Deployment").ref.namespace == "prod"
    assert not [gap for gap in rendered.gaps if gap.is_fatal]


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


@pytest.mark.parametrize(
    ("overlay", "files", "path", "place"), [pytest.param(*case[1:], id=case[0]) for case in OVERLAY]
)
def test_a_field_leads_back_to_the_line_that_set_it(
    repository: Repository, overlay: str, files: dict[str, str | bytes], path: FieldPath, place: Location
) -> None:
    base: dict[str, str | bytes] = {"base/kustomization.yaml": "resources: [web.yaml]\n", "base/web.yaml": WEB}
    root = repository({**base, **files, "over/kustomization.yaml": f"resources: [../base]\n{overlay}"})
    assert the(render(root), "Deployment").origin.find_location(path) == place


def test_what_a_generator_made_leads_back_to_the_generator(repository: Repository) -> None:
    root = repository(
        {
            "kustomization.yaml": "configMapGenerator:\n- name: first\n  literals: [a=b]\n- name: c\n  files: [x.txt]\n",
            "x.txt": "1",
        }
    )
    assert the(render(root), "ConfigMap", "c-").origin.find_location(("data",)) == Location("kustomization.yaml", 4, 9)


def test_a_flux_kustomizations_patches_images_and_namespace_change_plain_files(repository: Repository) -> None:
    more = """\
  targetNamespace: prod
  images:
  - {name: web, newTag: "5"}
  patches:
  - patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: any}
      spec:
        replicas: 4
    target: {kind: Deployment}
"""
    root = repository({"apps/web.yaml": WEB, "clusters/apps.yaml": flux("apps", "./apps", more)})
    web = the(render(root), "Deployment")
    assert (web.ref.namespace, web.value["spec"]["replicas"]) == ("prod", 4)
    assert web.origin.find_location(("spec", "replicas")).line == 18
    assert web.origin.find_location((*CONTAINER, "image"))[:2] == ("clusters/apps.yaml", 11)
    assert web.origin.find_location(("metadata", "namespace"))[:2] == ("clusters/apps.yaml", 9)
    assert web.origin.find_location((*CONTAINER, "name"))[:2] == ("apps/web.yaml", 12)


def test_a_parents_patch_changes_what_its_children_apply(repository: Repository) -> None:
    """The parent gives its children their variables, so the child's folder can be built only after the parent's."""
    patch = """\
  patches:
  - patch: |
      apiVersion: kustomize.toolkit.fluxcd.io/v1
      kind: Kustomization
      metadata: {name: any}
      spec:
        postBuild: {substitute: {image: "web:7"}}
    target: {kind: Kustomization}
"""
    root = repository(
        {
            "clusters/all.yaml": flux("all", "./overlay", patch),
            "overlay/kustomization.yaml": "resources: [../children/web.yaml]\n",
            "children/web.yaml": flux("web", "./apps/web"),
            "apps/web/kustomization.yaml": "resources: [web.yaml]\n",
            "apps/web/web.yaml": WEB.replace("web:1", "${image}"),
        }
    )
    rendered = render(root)
    assert the(rendered, "Deployment").value["spec"]["template"]["spec"]["containers"][1]["image"] == "web:7"
    assert not [gap for gap in rendered.gaps if "${VAR}" in gap.reason]


def test_two_kustomizations_that_apply_one_folder_are_judged_both(repository: Repository) -> None:
    more = "  postBuild: {{substitute: {{image: 'web:{n}'}}}}\n"
    root = repository(
        {
            "clusters/a.yaml": flux("a", "./apps", more.format(n=2)),
            "clusters/b.yaml": flux("b", "./apps", more.format(n=3)),
            "apps/kustomization.yaml": "resources: [web.yaml]\n",
            "apps/web.yaml": WEB.replace("web:1", "${image}"),
        }
    )
    images = [
        one.value["spec"]["template"]["spec"]["containers"][1]["image"]
        for one in render(root).resources
        if one.ref.kind == "Deployment"
    ]
    assert images == ["web:2", "web:3"]


def test_variables_come_from_config_maps_too_and_get_their_types(repository: Repository) -> None:
    more = "  postBuild: {substituteFrom: [{kind: ConfigMap, name: vars}]}\n"
    config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: flux-system}\n"
    root = repository(
        {
            "clusters/a.yaml": flux("a", "./apps", more),
            "clusters/vars.yaml": config_map + "data: {replicas: '3'}\n",
            "apps/web.yaml": WEB.replace("replicas: 1", "replicas: ${replicas}").replace("web:1", "web:${tag:=8}"),
        }
    )
    spec = the(render(root), "Deployment").value["spec"]
    assert spec["replicas"] == 3
    assert spec["template"]["spec"]["containers"][1]["image"] == "web:8"


def test_an_application_of_argo_cd_changes_what_it_applies(repository: Repository) -> None:
    application = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web, namespace: argocd}
spec:
  project: default
  destination: {namespace: prod, server: https://kubernetes.default.svc}
  source:
    repoURL: https://example.com/r
    path: apps
    kustomize:
      namePrefix: blue-
      images:
      - web=registry.example.com/web:6
      commonLabels: {colour: blue}
"""
    root = repository(
        {"argo.yaml": application, "apps/kustomization.yaml": "resources: [web.yaml]\n", "apps/web.yaml": WEB}
    )
    web = the(render(root), "Deployment")
    assert web.ref.name == "blue-web"
    assert web.value["metadata"]["labels"] == {"colour": "blue"}
    assert web.value["spec"]["template"]["spec"]["containers"][1]["image"] == "registry.example.com/web:6"
    assert web.origin.find_location((*CONTAINER, "image"))[:2] == ("argo.yaml", 13)


def test_an_artifacts_path_may_count_from_a_folder_inside(repository: Repository) -> None:
    more = "  postBuild: {substitute: {image: 'web:2'}}\n"
    oci = flux("apps", "./apps", more).replace("GitRepository", "OCIRepository")
    root = repository({"deploy/clusters/a.yaml": oci, "deploy/apps/web.yaml": WEB.replace("web:1", "${image}")})
    assert b"web:2" in the(render(root), "Deployment").json


@pytest.mark.parametrize("component", ["../../outside", "https://example.com/c", "/etc"])
def test_a_controller_cannot_lead_out_of_the_repository(repository: Repository, component: str) -> None:
    root = repository({"apps/web.yaml": WEB, "a.yaml": flux("a", "./apps", f"  components: ['{component}']\n")})
    [gap] = [gap for gap in render(root).gaps if gap.is_fatal]
    assert "not in the repository" in gap.reason


def test_a_build_that_fails_is_told_in_kustomizes_last_words(repository: Repository) -> None:
    root = repository(
        {
            "a/kustomization.yaml": "resources: [../b]\n",
            "b/kustomization.yaml": "configMapGenerator: [{name: x, files: [gone.txt]}]\n",
        }
    )
    [finding] = render(root).findings
    assert finding.message.startswith("loading KV pairs: file sources: [gone.txt]")
    assert "gone.txt: no such file" in finding.message
