"""A repository is parsed, rendered and checked once, for any number of controllers that apply from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.argocd import manifest_generation
from gatekeeper.flux import build as flux_build
from gatekeeper.gate import pipeline
from gatekeeper.render import kustomize
from gatekeeper.render import pipeline as render_pipeline
from gatekeeper.render.helm import helm_template
from gatekeeper.workspace import config_loader
from tests.conftest import Repository, needs

pytestmark = needs("gatekeeper-upstream")
FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec: {interval: 10m, path: ./apps, prune: true, sourceRef: {kind: GitRepository, name: repo}}
"""
APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web, namespace: argocd}
spec:
  project: default
  source: {repoURL: "https://example.com/r.git", path: web, targetRevision: main}
  destination: {server: "https://kubernetes.default.svc", namespace: web}
"""
KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: NAMESPACE
resources: [config.yaml]
"""
CONFIG_MAP = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {color: "blue"}\n'
FILES: dict[str, str | bytes] = {
    "clusters/prod/apps.yaml": FLUX,
    "argo/web.yaml": APPLICATION,
    "apps/kustomization.yaml": KUSTOMIZATION.replace("NAMESPACE", "shop"),
    "apps/config.yaml": CONFIG_MAP,
    "web/kustomization.yaml": KUSTOMIZATION.replace("NAMESPACE", "web"),
    "web/config.yaml": CONFIG_MAP,
}
CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
CRD = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: webs.example.org}\n"
# One kustomize run for each of the two folders.
ONE_PASS = {"judge": 1, "render": 1, "kustomize": 2}


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a whole tree was judged and rendered, how often kustomize and Helm ran, and other objects were judged."""
    counter: Counter[str] = Counter()

    def count(module: Any, function: str, word: str) -> None:
        real: Callable[..., Any] = getattr(module, function)

        def counted(*arguments: Any, **named: Any) -> Any:
            counter[word] += 1
            return real(*arguments, **named)

        monkeypatch.setattr(module, function, counted)

    count(pipeline, "check_and_render_tree", "judge")
    count(pipeline, "check_objects", "judge other objects")
    count(render_pipeline, "render_tree", "render")
    build_targets = kustomize.build_targets

    def count_targets(inputs: Any, builder: Any, targets: Sequence[Any]) -> Any:
        if targets:
            counter["kustomize"] += len(targets)
        return build_targets(inputs, builder, targets)

    monkeypatch.setattr(kustomize, "build_targets", count_targets)
    count(helm_template, "run_helm_template", "helm")
    return counter


def test_a_plan_for_flux_and_argo_cd_renders_and_checks_once(repository: Repository, counts: Counter[str]) -> None:
    root = repository(FILES)
    result = pipeline.check_and_render_repository(root, config_loader.load(root, None), 2)
    flux = flux_build.check_repository_kustomizations(result, 2)
    argo = manifest_generation.build_repository_applications(result.rendered, "main", 2)
    assert argo is not None
    verdict = manifest_generation.check_repository_applications(result, argo, 2)
    [shop], [web] = flux.builds[0].objects, argo.builds[0].objects
    assert (shop["metadata"]["namespace"], web["metadata"]["namespace"]) == ("shop", "web")
    assert flux.verdict.coverage == verdict.coverage == result.verdict.coverage
    assert counts == ONE_PASS


def test_a_flux_controller_round_renders_and_checks_once(repository: Repository, counts: Counter[str]) -> None:
    root = repository(FILES)
    settings = config_loader.load(root, None)
    [kustomization] = [
        resource.value
        for resource in render_pipeline.render_repository(root, settings).resources
        if resource.ref.name == "apps"
    ]
    counts.clear()
    judged = flux_build.check_cluster_kustomizations(root, settings, [kustomization], None, 2)
    assert [value["metadata"]["namespace"] for value in judged.builds[0].objects] == ["shop"]
    assert counts == ONE_PASS


def test_an_argo_cd_controller_round_renders_and_checks_once(repository: Repository, counts: Counter[str]) -> None:
    root = repository(FILES)
    rendered = render_pipeline.render_repository(root, config_loader.load(root, None))
    found = manifest_generation.build_repository_applications(rendered, "main", 2)
    assert found is not None
    counts.clear()
    applications = [(build.manifest, build.application) for build in found.builds]
    judged = manifest_generation.check_applications([root], ["c0ffee"], applications)
    assert [value["metadata"]["namespace"] for value in judged.builds[0].objects] == ["web"]
    assert counts == ONE_PASS


@needs("gatekeeper-upstream")
def test_a_chart_of_argo_cd_is_rendered_once_with_and_without_its_crds(
    repository: Repository, counts: Counter[str]
) -> None:
    """The check judges a chart's templates; what is applied has the chart's CRDs, too."""
    files: dict[str, str | bytes] = {
        "argo/web.yaml": APPLICATION,
        "web/Chart.yaml": CHART,
        "web/crds/web.yaml": CRD,
        "web/templates/config.yaml": CONFIG_MAP,
    }
    root = repository(files)
    result = pipeline.check_and_render_repository(root, config_loader.load(root, None), 2)
    argo = manifest_generation.build_repository_applications(result.rendered, "main", 2)
    assert argo is not None
    assert [value["kind"] for value in argo.builds[0].objects] == ["CustomResourceDefinition", "ConfigMap"]
    assert (argo.builds[0].render_error, counts["helm"]) == ("", 1)


def test_objects_that_differ_from_git_are_checked_in_addition(repository: Repository, counts: Counter[str]) -> None:
    """A Kustomization of the cluster may set a variable that Git does not: only the changed object is judged again."""
    root = repository({**FILES, "apps/config.yaml": CONFIG_MAP.replace("blue", "${COLOR}")})
    settings = config_loader.load(root, None)
    kustomization = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": "apps", "namespace": "flux-system"},
        "spec": {"path": "./apps", "postBuild": {"substitute": {"COLOR": "red"}}},
    }
    judged = flux_build.check_cluster_kustomizations(root, settings, [kustomization], None, 2)
    assert [value["data"] for value in judged.builds[0].objects] == [{"color": "red"}]
    assert counts == {**ONE_PASS, "judge other objects": 1}
    assert judged.verdict.coverage.resource_count == 1 + 1 + 2 + 1


def test_files_that_the_gate_excludes_are_never_applied_or_pruned(repository: Repository, counts: Counter[str]) -> None:
    root = repository(
        {**FILES, "gatekeeper.yaml": "files: {exclude: [apps/extra.yaml]}\n", "apps/extra.yaml": CONFIG_MAP}
    )
    result = pipeline.check_and_render_repository(root, config_loader.load(root, None), 2)
    [build] = flux_build.check_repository_kustomizations(result, 2).builds
    assert build.render_error == "apps/extra.yaml: would be applied, but `files.exclude` keeps it from the gate"
    assert counts == ONE_PASS


def test_only_excluded_files_can_hold_the_kustomization_itself(repository: Repository, counts: Counter[str]) -> None:
    """A Flux Kustomization in an excluded file still applies its folder, which is judged."""
    root = repository({**FILES, "gatekeeper.yaml": "files: {exclude: [clusters]}\n"})
    result = pipeline.check_and_render_repository(root, config_loader.load(root, None), 2)
    [build] = flux_build.check_repository_kustomizations(result, 2).builds
    assert (build.name, len(build.objects), build.render_error) == (("flux-system", "apps"), 1, "")
    assert counts == ONE_PASS


def test_reconcile_to_renders_once_and_checks_nothing(
    repository: Repository, counts: Counter[str], tmp_path: Path
) -> None:
    from gatekeeper.commands import reconcile

    root = repository(FILES)
    assert reconcile.reconcile(["--to", str(tmp_path / "out"), str(root)]) == 0
    assert counts == {"render": 1, "kustomize": 2}
