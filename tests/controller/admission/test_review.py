"""AdmissionReviews: the webhook has the verdict of `check`, case by case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import yaml

from gatekeeper.controller.admission import review as admission_review
from gatekeeper.controller.admission.review import AdmissionReviewer
from gatekeeper.controller.runtime.http_server import HttpRequest
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.engines.rego import library
from gatekeeper.gate import pipeline
from gatekeeper.workspace import config_loader, file_selection

CASES: list[Path] = sorted(path for path in library.find_folder().rglob("*.yaml") if path.stem in ("bad", "good"))


POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "prod"},
    "spec": {"containers": [{"name": "c", "image": "nginx:1.25"}]},
}


RULE = """package main

import rego.v1

deny contains msg if {
\tsome container in input.spec.containers
\tendswith(container.image, ":latest")
\tmsg := sprintf("container %s has no fixed image", [container.name])
}

warn contains msg if {
\tnot input.metadata.labels.team
\tmsg := "no team"
}
"""


def repository(root: Path, rule: str = RULE, profile: str = "off") -> Path:
    (root / "policy").mkdir(parents=True, exist_ok=True)
    (root / "policy" / "rule.rego").write_text(rule)
    (root / "gatekeeper.yaml").write_text(
        yaml.safe_dump({"library": {"profile": profile}, "policies": {"paths": ["policy"]}})
    )
    return root


def review(value: Any, operation: str = "CREATE", old: Any = None) -> HttpRequest:
    request = {"uid": "u", "operation": operation, "object": value, "oldObject": old, "namespace": "prod", "name": ""}
    whole = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return HttpRequest("POST", "/validate", {}, orjson.dumps(whole))


def answered(asked: AdmissionReviewer, request: HttpRequest) -> Any:
    answer = asked.handle_request(request)
    assert answer is not None and answer.status == 200
    response = orjson.loads(answer.body)["response"]
    assert response["uid"] == "u"
    return response


def test_every_case_of_the_library_has_the_verdict_of_check(tmp_path: Path) -> None:
    """The whole library, strict, on its own cases: what `check` finds in a file the webhook finds in the object."""
    (tmp_path / "gatekeeper.yaml").write_text("library: {profile: strict}\nschemas: {allowMissing: ['*']}\n")
    for number, case in enumerate(CASES):
        (tmp_path / f"{number}.yaml").write_text(case.read_text())
    settings = config_loader.load(tmp_path, None)
    tree = file_selection.build_tree([tmp_path], tmp_path, ())
    whole = pipeline.check_and_render_tree(tree, settings, pipeline.CheckOptions(1))
    parts = {resource.origin.file: lot for _, lot in whole.rendered.resource_groups for resource in lot}
    assert len(parts) > 80
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "gatekeeper.yaml").write_text((tmp_path / "gatekeeper.yaml").read_text())
    rules = admission_review.load_policies(tmp_path / "empty", None)
    # What is of files alone an object cannot have; what the API server finds it finds itself, after the webhook.
    of_files = ("references/", "secrets/plaintext", "plaintext/", "sealed/", "external/", "yaml/", "leaks/")
    others = (*of_files, "schema/apiserver")
    wrong = []
    for lot in parts.values():
        for resource in lot:
            in_ci = {
                (one.rule, one.message)
                for one in whole.verdict.findings
                if one.resource_ref == resource.ref
                and one.location.file == resource.origin.file
                and not one.rule.startswith(others)
            }
            here = {
                (one.rule, one.message) for one in admission_review.evaluate_objects(rules, [resource.value]).findings
            }
            if in_ci != here:
                wrong.append((resource.origin.file, in_ci ^ here))
    assert not wrong, wrong[:5]


def test_a_refusal_names_rule_and_reason_and_warnings_pass(tmp_path: Path) -> None:
    asked = AdmissionReviewer(repository(tmp_path), None, False, Metrics())
    assert answered(asked, review({"apiVersion": "v1", "kind": "Pod", **POD})) == {
        "uid": "u",
        "allowed": True,
        "warnings": ["main/warn: no team"],
    }
    late = {"apiVersion": "v1", "kind": "Pod", **POD, "spec": {"containers": [{"name": "c", "image": "nginx:latest"}]}}
    refused = answered(asked, review(late))
    assert refused["allowed"] is False and refused["status"]["code"] == 403
    assert "container c has no fixed image" in refused["status"]["message"]
    # Whoever takes off a finalizer, or deletes it, is not held up.
    freed = {**late, "metadata": {**POD["metadata"], "finalizers": []}}
    assert answered(asked, review(freed, "UPDATE", {**late, "metadata": {**POD["metadata"], "finalizers": ["x/y"]}}))[
        "allowed"
    ]
    assert not answered(asked, review(late, "UPDATE", {"apiVersion": "v1", "kind": "Pod", **POD}))["allowed"]
    assert answered(asked, review(None, "DELETE", late))["allowed"]
    for body in (b"x", b"{}", b"[]", b'{"kind": "AdmissionReview"}'):
        answer = asked.handle_request(HttpRequest("POST", "/validate", {}, body))
        assert answer is not None and answer.status == 400


def test_policies_are_reloaded_and_invalid_ones_refuse_or_warn(tmp_path: Path) -> None:
    asked = AdmissionReviewer(repository(tmp_path), None, False, Metrics())
    pod = {"apiVersion": "v1", "kind": "Pod", **POD}
    repository(tmp_path, RULE.replace('":latest"', '":1.25"'))
    asked.reload_if_changed()
    assert not answered(asked, review(pod))["allowed"]
    repository(tmp_path, "package main\n\nimport rego.v1\n\ndeny contains 1 if nothing.of.that(\n")
    asked.reload_if_changed()
    closed = answered(asked, review(pod))
    assert closed["allowed"] is False and "gatekeeper could not check it: " in closed["status"]["message"]
    opened = answered(AdmissionReviewer(tmp_path, None, True, Metrics()), review(pod))
    assert opened["allowed"] and "gatekeeper could not check it: " in opened["warnings"][0]
