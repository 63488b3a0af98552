"""What Applications apply: rendered and checked, or with the error that keeps it from being applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gatekeeper.argocd import manifest_generation
from gatekeeper.argocd.application_spec import parse_application
from gatekeeper.argocd.manifest_generation import RepositoryApplications
from gatekeeper.argocd.model import CheckedApplications
from gatekeeper.config import Config
from gatekeeper.render import pipeline as render_pipeline
from tests.conftest import Repository, needs
from tests.controller.argocd.environment import application, config_map


def build_application(path: str = "apps", **spec: Any) -> dict[str, Any]:
    value = application()
    value["spec"]["source"]["path"] = path
    value["spec"].update(spec)
    return value


def check(root: Path, *manifests: dict[str, Any]) -> CheckedApplications:
    specs = [(manifest, parse_application(manifest)) for manifest in manifests]
    return manifest_generation.check_applications([root], ["a" * 40], specs)


def build(root: Path, settings: Config | None = None) -> RepositoryApplications | None:
    rendered = render_pipeline.render_repository(root, settings or Config(library="off"))
    return manifest_generation.build_repository_applications(rendered, "a" * 40, 1)


def test_an_application_applies_the_folder_of_its_source(repository: Repository) -> None:
    root = repository({"apps/a.yaml": yaml.safe_dump(config_map("a")), "other/b.yaml": yaml.safe_dump(config_map("b"))})
    checked = check(root, build_application())
    [applied] = checked.builds
    assert [value["metadata"]["name"] for value in applied.objects] == ["a"]
    assert (applied.folders, applied.source_types, applied.render_error) == (["apps"], ["Directory"], "")
    assert checked.verdict.decision == "accepted"


def test_a_folder_that_does_not_exist_is_an_error_and_applies_nothing(repository: Repository) -> None:
    [applied] = check(repository({"apps/a.yaml": yaml.safe_dump(config_map("a"))}), build_application("none")).builds
    assert applied.objects == [] and "none" in applied.render_error


def test_the_verdict_is_about_what_the_application_changes(repository: Repository) -> None:
    rule = 'package team\nimport rego.v1\ndeny contains "forbidden" if startswith(input.metadata.name, "bad-")\n'
    root = repository(
        {
            "gatekeeper.yaml": "library: {profile: 'off'}\npolicies: {paths: [policy]}\n",
            "policy/r.rego": rule,
            "apps/kustomization.yaml": "resources: [a.yaml]\n",
            "apps/a.yaml": yaml.safe_dump(config_map("a")),
        }
    )
    assert check(root, build_application()).verdict.decision == "accepted"
    manifest = build_application()
    manifest["spec"]["source"]["kustomize"] = {"namePrefix": "bad-"}
    assert check(root, manifest).verdict.decision == "refused"


def test_a_namespace_that_the_sync_creates_is_checked(repository: Repository) -> None:
    rule = 'package team\nimport rego.v1\ndeny contains "no team" if { input.kind == "Namespace"; not input.metadata.labels.team }\n'
    files: dict[str, str | bytes] = {
        "gatekeeper.yaml": "library: {profile: 'off'}\npolicies: {paths: [policy]}\n",
        "policy/r.rego": rule,
        "apps/a.yaml": yaml.safe_dump(config_map("a")),
    }
    manifest = build_application(syncPolicy={"syncOptions": ["CreateNamespace=true"]})
    checked = check(repository(files), manifest)
    assert checked.verdict.decision == "refused" and "no team" in [
        finding.message for finding in checked.verdict.findings
    ]


def test_a_repository_without_applications_has_none_to_build(repository: Repository) -> None:
    assert build(repository({"a.yaml": yaml.safe_dump(config_map("a"))})) is None


def test_an_application_that_cannot_be_parsed_is_an_error_beside_the_others(repository: Repository) -> None:
    broken = build_application()
    broken["metadata"]["name"] = "broken"
    broken["spec"]["destination"] = "text"
    root = repository(
        {"argo.yaml": yaml.safe_dump_all([build_application(), broken]), "apps/a.yaml": yaml.safe_dump(config_map("a"))}
    )
    found = build(root)
    assert found is not None
    assert [value["metadata"]["name"] for value, _ in found.errors] == ["broken"] and "destination" in found.errors[0][
        1
    ]
    assert [applied.manifest["metadata"]["name"] for applied in found.builds] == ["shop"]


def test_an_excluded_file_keeps_an_application_from_being_applied(repository: Repository) -> None:
    files: dict[str, str | bytes] = {
        "argo.yaml": yaml.safe_dump(build_application()),
        "apps/a.yaml": yaml.safe_dump(config_map("a")),
        "apps/x.yaml": yaml.safe_dump(config_map("x")),
    }
    found = build(repository(files), Config(library="off", exclude=("apps/x.yaml",)))
    assert found is not None
    assert found.builds[0].render_error.startswith("apps/x.yaml: would be applied, but `files.exclude`")


POLICY = """\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: place}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: ["*"], operations: ["*"], resources: [configmaps]}]
  validations: [{expression: object.metadata.namespace RULE, message: wrong namespace}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: place}
spec: {policyName: place, validationActions: [Deny]}
"""


@needs("gatekeeper-upstream")
@pytest.mark.parametrize(("rule", "decision"), [("== 'prod'", "accepted"), ("!= 'prod'", "refused")])
@pytest.mark.parametrize("kustomize", [{}, {"namePrefix": "new-"}], ids=["as in the files", "changed"])
@pytest.mark.parametrize("has_kustomization", [False, True], ids=["files", "kustomization"])
def test_objects_without_a_namespace_are_judged_in_that_of_the_destination(
    repository: Repository, rule: str, decision: str, kustomize: dict[str, str], has_kustomization: bool
) -> None:
    files: dict[str, str | bytes] = {
        "gatekeeper.yaml": "library: {profile: 'off'}\npolicies: {paths: [policy]}\n",
        "policy/a.yaml": POLICY.replace("RULE", rule),
        "apps/a.yaml": yaml.safe_dump(config_map("a")),
    }
    if has_kustomization:
        files["apps/kustomization.yaml"] = "resources: [a.yaml]\n"
    value = build_application()
    value["spec"]["source"]["kustomize"] = kustomize
    checked = check(repository(files), value)
    assert checked.verdict.decision == decision
    assert {finding.message for finding in checked.verdict.findings} <= {"wrong namespace"}
