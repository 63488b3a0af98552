"""Folders that Flux and Argo CD apply: which folder, which added fields, which variables."""

from __future__ import annotations

import orjson
import pytest

from gatekeeper.model import Resource
from gatekeeper.render import appliers
from gatekeeper.render.model import AppliedFolder
from gatekeeper.workspace.tree import Tree
from tests.conftest import Repository, needs
from tests.engines.resources import parse_resources
from tests.render.rendering import CONTAINER, FILES, WEB, flux, render, the


@needs("gatekeeper-upstream")
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


@needs("gatekeeper-upstream")
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


@needs("gatekeeper-upstream")
def test_an_artifacts_path_may_count_from_a_folder_inside(repository: Repository) -> None:
    more = "  postBuild: {substitute: {image: 'web:2'}}\n"
    oci = flux("apps", "./apps", more).replace("GitRepository", "OCIRepository")
    root = repository({"deploy/clusters/a.yaml": oci, "deploy/apps/web.yaml": WEB.replace("web:1", "${image}")})
    assert b"web:2" in the(render(root), "Deployment").json


def find(repository: Repository, text: str, file: str = "a.yaml") -> list[AppliedFolder]:
    """What the resources of a file apply, in a repository with the folders `apps/web` and `deploy/apps`."""
    root = repository({"apps/web/x.yaml": "", "deploy/apps/x.yaml": ""})
    resources = parse_resources(text, file)
    return appliers.find_applied_folders(resources, Tree(root, []), appliers.collect_config_maps(resources))


def build_application(**kustomize: object) -> Resource:
    [application] = parse_resources(
        orjson.dumps(
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Application",
                "metadata": {"name": "a"},
                "spec": {"source": {"path": "apps", "kustomize": kustomize}},
            }
        ).decode()
    )
    return application


@pytest.mark.parametrize("path", ["apps/web", "./apps/web", "/apps/web", "apps/./x/../web"])
def test_each_spelling_of_a_path_is_the_same_folder(repository: Repository, path: str) -> None:
    assert [found.folder for found in find(repository, flux("a", path))] == ["apps/web"]


@pytest.mark.parametrize("path", ["apps/none", "../outside", "apps/${env}", "apps/web/x.yaml", "[1]"])
def test_a_path_that_is_not_a_folder_of_the_repository_applies_nothing(repository: Repository, path: str) -> None:
    assert find(repository, flux("a", path)) == []


def test_the_path_of_an_artifact_starts_at_a_folder_above_its_own_file(repository: Repository) -> None:
    [found] = find(repository, flux("a", "./apps"), "deploy/clusters/a.yaml")
    assert found.folder == "apps", "the root comes first"
    [found] = find(repository, flux("a", "./clusters/../apps/../apps"), "deploy/x/a.yaml")
    assert found.folder == "apps"


def test_a_kustomization_of_kustomize_itself_applies_nothing(repository: Repository) -> None:
    text = flux("a", "apps/web").replace("kustomize.toolkit.fluxcd.io/v1", "kustomize.config.k8s.io/v1beta1")
    assert find(repository, text) == []


def test_inline_variables_win_over_config_maps_and_later_ones_over_earlier_ones(repository: Repository) -> None:
    post_build = """\
  postBuild:
    substituteFrom:
    - {kind: ConfigMap, name: one}
    - {kind: ConfigMap, name: two}
    - {kind: Secret, name: one}
    substitute: {c: "inline\\n"}
"""
    maps = "".join(
        f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: flux-system}}\ndata: {data}\n"
        for name, data in (("one", "{a: '1', b: '1', c: '1'}"), ("two", "{b: '2', d: [no, text]}"))
    )
    [found] = find(repository, flux("a", "apps/web", post_build) + maps)
    assert found.variables == {"a": "1", "b": "2", "c": "inline"}


def test_without_post_build_nothing_is_substituted(repository: Repository) -> None:
    [found] = find(repository, flux("a", "apps/web"))
    assert (found.variables, found.added_fields, found.components) == (None, b"", [])


def test_each_source_of_an_application_applies_a_folder_with_its_own_fields(repository: Repository) -> None:
    text = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: a}
spec:
  sources:
  - {repoURL: r, path: apps/web, kustomize: {namePrefix: x-}}
  - {repoURL: r, chart: remote}
  - {repoURL: r, path: deploy/apps, kustomize: {components: [../c, 7]}}
"""
    first, second = find(repository, text)
    assert (first.folder, first.fields_path) == ("apps/web", ("spec", "sources", 0, "kustomize"))
    assert orjson.loads(first.added_fields) == {"namePrefix": "x-"}
    assert (second.folder, second.components) == ("deploy/apps", ["../c"])


@pytest.mark.parametrize(
    ("image", "fields"),
    [
        ("web=registry:5000/web:6", {"name": "web", "newName": "registry:5000/web", "newTag": "6"}),
        ("web=registry:5000/web", {"name": "web", "newName": "registry:5000/web"}),
        ("web:2", {"name": "web", "newName": "web", "newTag": "2"}),
        ("web@sha256:ab", {"name": "web", "newName": "web", "digest": "sha256:ab"}),
        ("web=w:1@sha256:ab", {"name": "web", "newName": "w", "newTag": "1", "digest": "sha256:ab"}),
    ],
)
def test_images_of_an_application_are_parsed_as_kustomize_edit_does(image: str, fields: dict[str, str]) -> None:
    applied = appliers.build_applied_folder(build_application(images=[image]), ("spec", "source"), "apps")
    assert orjson.loads(applied.added_fields) == {"images": [fields]}


@pytest.mark.parametrize("without_selector", [True, False])
def test_common_labels_of_an_application_select_unless_it_says_otherwise(without_selector: bool) -> None:
    application = build_application(commonLabels={"a": "b"}, labelWithoutSelector=without_selector)
    applied = appliers.build_applied_folder(application, ("spec", "source"), "apps")
    assert orjson.loads(applied.added_fields) == {
        "labels": [{"pairs": {"a": "b"}, "includeSelectors": not without_selector}]
    }


def test_argo_cd_chooses_the_tool_by_the_files_of_the_folder(repository: Repository) -> None:
    root = repository({**FILES, "both/Chart.yaml": "", "both/kustomization.yaml": "", "k/Kustomization": "", "d/a": ""})
    types = [appliers.detect_source_type(Tree(root, []), folder) for folder in ("chart", "both", "k", "d")]
    assert types == ["Helm", "Helm", "Kustomize", "Directory"]
