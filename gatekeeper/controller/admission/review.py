"""The gate as an admission webhook: the policies of a repository, on the same engine, on what is about to be stored.

Source: Kubernetes' `admission.k8s.io/v1` AdmissionReview; "Dynamic Admission Control".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from gatekeeper import config
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.config import Config
from gatekeeper.controller.runtime.http_server import HttpRequest, HttpResponse
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.errors import GateError
from gatekeeper.gate import pipeline
from gatekeeper.model import Finding, Resource, Verdict, get_field
from gatekeeper.render.appliers import build_cluster_resource
from gatekeeper.workspace import tree as workspace_tree
from gatekeeper.workspace.documents import ParsedFile
from gatekeeper.workspace.tree import Tree

WEBHOOK_PATH = "/validate"
# What an API server writes into an object: no policy of a repository is about it.
SERVER_FIELDS = ("managedFields", "uid", "resourceVersion", "creationTimestamp", "generation", "selfLink")
# So many findings are told; and of a warning so many letters, which is what an API server passes on.
MAX_REPORTED_FINDINGS, MAX_WARNING_LENGTH = 5, 250
# Kinds that others are judged by.
POLICY_KINDS = (
    "CustomResourceDefinition",
    "ConstraintTemplate",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
)
POLICY_GROUPS = ("constraints.gatekeeper.sh", "kyverno.io", "policies.kyverno.io")
ObjectKey = tuple[str, str, str, str]


class AdmissionPolicies(NamedTuple):
    """What is judged by: a repository as it was when it was read.

    Attributes:
        policy_resources: resources of it that others are judged by.
        git_resources: the resources of it, by group, kind, namespace and name, so that a finding has its place in Git.
        fingerprint: tells whether the files are still the same.
    """

    tree: Tree
    parsed_files: Sequence[ParsedFile]
    settings: Config
    policy_resources: Sequence[Resource]
    git_resources: Mapping[ObjectKey, Resource]
    fingerprint: object


def load_policies(root: Path, config_file: Path | None) -> AdmissionPolicies:
    """Reads the policies of a repository.

    Raises:
        GateError: they cannot be used.
    """
    settings = config.load(root, config_file)
    # Whether a kind has a schema the API server knows, and it has checked it already.
    settings = settings._replace(allow_missing=("*",))
    tree = workspace_tree.build_tree([root], root, settings.exclude)
    mark = _fingerprint_tree(tree)
    whole = pipeline.run_full_check(tree, settings, pipeline.CheckOptions(1))
    resources = [one for _, lot in whole.resource_groups for one in lot]
    ground = [one for one in resources if one.ref.kind in POLICY_KINDS or one.ref.group in POLICY_GROUPS]
    known = {(one.ref.group, one.ref.kind, one.ref.namespace, one.ref.name): one for one in resources}
    return AdmissionPolicies(tree, whole.parsed_files, settings, ground, known, mark)


def _fingerprint_tree(tree: Tree) -> object:
    found = []
    for name in tree.files:
        try:
            held = (tree.root / name).stat()
        except OSError:
            continue
        found.append((name, held.st_mtime_ns, held.st_size, held.st_ino))
    return found


def evaluate_objects(policies: AdmissionPolicies, objects: Sequence[Object]) -> Verdict:
    """What the gate says of objects of a cluster."""
    resources = []
    for value in objects:
        one = build_cluster_resource(strip_server_fields(value))
        held = policies.git_resources.get((one.ref.group, one.ref.kind, one.ref.namespace, one.ref.name))
        # Its author can edit it where it stands in Git.
        resources.append(one._replace(origin=held.origin) if held is not None else one)
    return pipeline.check_objects(
        policies.tree,
        policies.parsed_files,
        policies.policy_resources,
        resources,
        policies.settings,
        pipeline.CheckOptions(1),
    )


def strip_server_fields(value: Object) -> Object:
    """An object as it stands in a file: without what the cluster writes of it."""
    metadata = {key: held for key, held in (value.get("metadata") or {}).items() if key not in SERVER_FIELDS}
    return {**{key: held for key, held in value.items() if key != "status"}, "metadata": metadata}


class AdmissionReviewer:
    """Answers the API server.

    Args:
        root: the repository with the policies.
        fails_open: let pass, with a warning, what cannot be judged.
    """

    def __init__(self, root: Path, config_file: Path | None, is_fail_open: bool, metrics: Metrics) -> None:
        self._root, self._config_file, self._is_fail_open, self._metrics = root, config_file, is_fail_open, metrics
        self._reload_lock = threading.Lock()
        self.policies = load_policies(root, config_file)

    def reload_if_changed(self) -> None:
        """Reads the policies again, if their files have changed; what cannot be used leaves those that are in use."""
        with self._reload_lock:
            try:
                tree = workspace_tree.build_tree([self._root], self._root, self.policies.settings.exclude)
                if _fingerprint_tree(tree) == self.policies.fingerprint:
                    return
                self.policies = load_policies(self._root, self._config_file)
                log_event("info", "policies were read anew", controller="admission")
            except GateError as error:
                log_event("error", f"the policies that were in use stay: {error}", controller="admission")

    def handle_request(self, request: HttpRequest) -> HttpResponse | None:
        """The answer to a request; None where it is about something else."""
        if request.path != WEBHOOK_PATH:
            return None
        try:
            review = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            return HttpResponse(400, b"is no JSON\n")
        asked = get_field(review, ("request",))
        if get_field(review, ("kind",)) != "AdmissionReview" or not isinstance(asked, dict) or not asked.get("uid"):
            return HttpResponse(400, b"is no AdmissionReview\n")
        response = {"uid": asked["uid"], **self._review_request(asked)}
        whole = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        return HttpResponse(200, orjson.dumps(whole), "application/json")

    def _review_request(self, admission_request: Mapping[str, Any]) -> dict[str, Any]:
        value, old = admission_request.get("object"), admission_request.get("oldObject")
        if admission_request.get("operation") not in ("CREATE", "UPDATE") or not isinstance(value, dict):
            return {"allowed": True}
        if isinstance(old, dict) and _select_policy_fields(value) == _select_policy_fields(old):
            # Whoever takes a finalizer off must not be held up by what was let in before.
            return {"allowed": True}
        began = time.monotonic()
        try:
            verdict = evaluate_objects(self.policies, [_with_stored_name(value, admission_request)])
            word, findings = verdict.decision, verdict.active_findings
            lost = [gap.reason for gap in verdict.coverage.gaps if gap.is_fatal]
        except GateError as error:
            word, findings, lost = "incomplete", [], [str(error)]
        self._metrics.verdict_seconds.labels("admission").observe(time.monotonic() - began)
        self._metrics.verdicts.labels("admission", word).inc()
        warnings = [_format_finding(one)[:MAX_WARNING_LENGTH] for one in findings if one.severity != "error"][
            :MAX_REPORTED_FINDINGS
        ]
        errors = [one for one in findings if one.severity == "error"]
        if errors:
            return {
                "allowed": False,
                "status": _build_denial_status(errors),
                **({"warnings": warnings} if warnings else {}),
            }
        if word == "incomplete":
            reason = f"gatekeeper could not judge it: {'; '.join(lost[:MAX_REPORTED_FINDINGS])}"
            log_event(
                "error",
                reason,
                controller="admission",
                kind=get_field(admission_request, ("kind", "kind")),
                name=admission_request.get("name"),
            )
            if not self._is_fail_open:
                return {"allowed": False, "status": {"code": 500, "reason": "InternalError", "message": reason}}
            warnings = [reason[:MAX_WARNING_LENGTH], *warnings]
        return {"allowed": True, **({"warnings": warnings} if warnings else {})}


def _select_policy_fields(value: Mapping[str, Any]) -> object:
    """All that policies are about: also labels and annotations, but not who manages an object, or waits for its end."""
    metadata = value.get("metadata") or {}
    few = {key: metadata.get(key) or None for key in ("labels", "annotations")}
    return few, {key: held for key, held in value.items() if key not in ("metadata", "status")}


def _with_stored_name(value: Object, admission_request: Mapping[str, Any]) -> Object:
    """An object with the name and namespace under which it is stored; a new one may have no name yet."""
    metadata = dict(value.get("metadata") or {})
    if not metadata.get("name"):
        metadata["name"] = admission_request.get("name") or f"{metadata.get('generateName', '')}new"
    if admission_request.get("namespace") and not metadata.get("namespace"):
        metadata["namespace"] = admission_request["namespace"]
    return {**value, "metadata": metadata}


def _format_finding(finding: Finding) -> str:
    hint = f" ({finding.hint})" if finding.hint else ""
    return f"{finding.rule}: {finding.message}{hint}"


def _build_denial_status(errors: Sequence[Finding]) -> dict[str, Any]:
    told = [_format_finding(one) for one in errors[:MAX_REPORTED_FINDINGS]]
    if len(errors) > MAX_REPORTED_FINDINGS:
        told.append(f"and {len(errors) - MAX_REPORTED_FINDINGS} more")
    return {"code": 403, "reason": "Forbidden", "message": "; ".join(told)}
