"""What Kustomizations apply: complete and checked, or with the error that keeps it from being applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gatekeeper.config import Config
from gatekeeper.errors import GatekeeperError
from gatekeeper.flux import build
from gatekeeper.flux.model import CheckedKustomizations
from gatekeeper.render import pipeline as render_pipeline
from tests.conftest import Repository
from tests.flux.conftest import FluxCluster
from tests.flux.test_reconciler import config, flux


def write(*values: dict[str, Any]) -> str:
    return yaml.safe_dump_all(values)


def check(root: Path, *kustomizations: dict[str, Any], settings: Config | None = None) -> CheckedKustomizations:
    settings = settings or Config(library="off")
    return build.check_cluster_kustomizations(root, settings, kustomizations, None, 1)


def test_a_kustomization_of_the_cluster_applies_its_folder(repository: Repository) -> None:
    checked = check(repository({"apps/a.yaml": write(config("a")), "other/b.yaml": write(config("b"))}), flux())
    [applied] = checked.builds
    assert [value["metadata"]["name"] for value in applied.objects] == ["a"]
    assert (applied.folder, applied.render_error, checked.verdict.decision) == ("apps", "", "accepted")


def test_a_path_that_is_not_a_folder_is_an_error_and_applies_nothing(repository: Repository) -> None:
    [applied] = check(repository({"apps/a.yaml": write(config("a"))}), flux(path="./none")).builds
    assert applied.objects == () and "./none" in applied.render_error and "folder" in applied.render_error


def test_a_file_that_the_gate_does_not_see_keeps_the_folder_from_being_applied(repository: Repository) -> None:
    root = repository({"apps/a.yaml": write(config("a")), "apps/x.yaml": write(config("x"))})
    [applied] = check(root, flux(), settings=Config(library="off", exclude=("apps/x.yaml",))).builds
    assert applied.render_error.startswith("apps/x.yaml: would be applied, but `files.exclude`")


def test_a_folder_that_cannot_be_rendered_completely_is_an_error(repository: Repository) -> None:
    root = repository({"apps/kustomization.yaml": "resources: [https://example.com/x]\n"})
    [applied] = check(root, flux()).builds
    assert "https://example.com/x" in applied.render_error


def test_the_verdict_counts_what_the_cluster_changes(repository: Repository) -> None:
    rule = 'package team\nimport rego.v1\ndeny contains "forbidden" if input.data.a == "bad"\n'
    root = repository({"policy/r.rego": rule, "apps/a.yaml": write(config("a", "${value}"))})
    settings = Config(library="off", policies=("policy",))
    decisions = [
        check(root, flux(postBuild={"substitute": {"value": value}}), settings=settings).verdict.decision
        for value in ("good", "bad")
    ]
    assert decisions == ["accepted", "refused"]


def test_kustomizations_of_the_files_are_built_without_a_verdict(repository: Repository) -> None:
    root = repository({"k.yaml": write(flux()), "apps/a.yaml": write(config("a"))})
    rendered = render_pipeline.render_repository(root, Config(library="off"))
    [applied] = build.build_repository_kustomizations(rendered, 1)
    assert (str(applied.name), [value["metadata"]["name"] for value in applied.objects]) == ("flux-system/apps", ["a"])


def test_values_of_a_secret_are_known_as_secret_and_a_missing_source_is_an_error(
    repository: Repository, flux_cluster: FluxCluster
) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "vars"},
        "stringData": {"value": "hidden-word"},
    }
    flux_cluster.server.make("/api/v1/namespaces/flux-system/secrets", secret)
    rule = 'package team\nimport rego.v1\ndeny contains sprintf("is %s", [input.data.a]) if input.kind == "ConfigMap"\n'
    root = repository({"policy/r.rego": rule, "apps/a.yaml": write(config("a", "${value}"))})
    values = [
        flux(name, path="./apps", postBuild={"substituteFrom": [{"kind": "Secret", "name": secret_name}]})
        for name, secret_name in (("one", "vars"), ("two", "none"))
    ]
    checked = build.check_cluster_kustomizations(
        root, Config(library="off", policies=("policy",)), values, flux_cluster.client, 1
    )
    one, two = sorted(checked.builds, key=lambda found: found.name.name)
    assert one.objects[0]["data"] == {"a": "hidden-word"} and len(one.secret_values) == 1
    assert "none" in two.render_error
    assert "hidden-word" not in " ".join(finding.message for finding in checked.verdict.findings)


@pytest.mark.parametrize("text", ["library: {profile: none}\n", "unknown: 1\n"])
def test_a_commit_with_an_invalid_config_is_not_checked(
    repository: Repository, flux_cluster: FluxCluster, text: str
) -> None:
    root = repository({"gatekeeper.yaml": text, "apps/a.yaml": write(config("a"))})
    with pytest.raises(GatekeeperError, match=r"gatekeeper\.yaml"):
        build.check_commit(root, [flux()], flux_cluster.client)
