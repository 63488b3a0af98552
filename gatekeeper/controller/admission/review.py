"""AdmissionReview handler: checks objects before they are stored, by the policies of a repository.

Source: Kubernetes' `admission.k8s.io/v1` AdmissionReview; "Dynamic Admission Control".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from gatekeeper.config import Config
from gatekeeper.controller.runtime.http_server import HttpRequest, HttpResponse
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.errors import GatekeeperError
from gatekeeper.gate import pipeline
from gatekeeper.gate.pipeline import RepositoryPolicies
from gatekeeper.model import Finding, Object, Resource, Verdict, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render.appliers import build_cluster_resource
from gatekeeper.workspace import config_loader, file_selection
from gatekeeper.workspace.tree import ParsedFile, Tree

WEBHOOK_PATH = "/validate"
# Metadata that the API server writes; policies of a repository are not about it.
SERVER_FIELDS = ("managedFields", "uid", "resourceVersion", "creationTimestamp", "generation", "selfLink")
# Findings per response, and characters per warning: the API server cuts longer ones.
MAX_REPORTED_FINDINGS, MAX_WARNING_LENGTH = 5, 250
# Kinds of objects that other objects are checked by.
POLICY_KINDS = (
    "CustomResourceDefinition",
    "ConstraintTemplate",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
)
POLICY_GROUPS = ("constraints.gatekeeper.sh", "kyverno.io", "policies.kyverno.io")
ObjectKey = tuple[str, str, str, str]


class AdmissionPolicies(NamedTuple):
    """A repository of policies, as it was when it was loaded.

    Attributes:
        policy_resources: its resources that other objects are checked by.
        git_resources: all its resources, by group, kind, namespace and name, so that a finding has its location in Git.
        fingerprint: changes when its files change.
    """

    tree: Tree
    parsed_files: Sequence[ParsedFile]
    settings: Config
    policy_resources: Sequence[Resource]
    git_resources: Mapping[ObjectKey, Resource]
    fingerprint: object


def load_policies(root: Path, config_file: Path | None) -> AdmissionPolicies:
    """Load the policies of a repository.

    Args:
        config_file: used instead of the repository's own `gatekeeper.yaml`; None for that.

    Raises:
        GatekeeperError: the configuration or a policy is invalid.
    """
    settings = config_loader.load(root, config_file)
    # The API server has validated the object already, so a kind without a schema here is not a gap.
    settings = settings._replace(allow_missing=("*",))
    tree = file_selection.build_tree([root], root, settings.exclude, settings.policies)
    fingerprint = _fingerprint_tree(tree)
    result = pipeline.check_and_render_tree(tree, settings, pipeline.CheckOptions(1))
    resources = result.rendered.resources
    return AdmissionPolicies(
        tree=tree,
        parsed_files=result.parsed_files,
        settings=settings,
        policy_resources=[
            resource
            for resource in resources
            if resource.ref.kind in POLICY_KINDS or resource.ref.group in POLICY_GROUPS
        ],
        git_resources={_key_of(resource): resource for resource in resources},
        fingerprint=fingerprint,
    )


def _key_of(resource: Resource) -> ObjectKey:
    return resource.ref.group, resource.ref.kind, resource.ref.namespace, resource.ref.name


def _fingerprint_tree(tree: Tree) -> object:
    entries = []
    for name in tree.files:
        try:
            info = (tree.root / name).stat()
        except OSError:
            continue
        entries.append((name, info.st_mtime_ns, info.st_size, info.st_ino))
    return entries


def evaluate_objects(policies: AdmissionPolicies, objects: Sequence[Object]) -> Verdict:
    """Check objects of a cluster.

    Raises:
        GatekeeperError: the policies cannot be evaluated.
    """
    resources = []
    for value in objects:
        resource = build_cluster_resource(strip_server_fields(value))
        in_git = policies.git_resources.get(_key_of(resource))
        # A finding points to the file that the author can edit.
        resources.append(resource._replace(origin=in_git.origin) if in_git is not None else resource)
    repository = RepositoryPolicies(policies.tree, policies.parsed_files, policies.policy_resources, policies.settings)
    return pipeline.check_objects(repository, {"": resources}, pipeline.CheckOptions(1))


def strip_server_fields(value: Object) -> Object:
    """Return an object as a file would contain it: without its status and the metadata that the server writes."""
    metadata = {key: field for key, field in (value.get("metadata") or {}).items() if key not in SERVER_FIELDS}
    return {**{key: field for key, field in value.items() if key != "status"}, "metadata": metadata}


class AdmissionReviewer:
    """Answers AdmissionReviews of the API server.

    Args:
        root: the repository with the policies.
        is_fail_open: accept, with a warning, an object that cannot be checked.

    Raises:
        GatekeeperError: the configuration or a policy is invalid.
    """

    def __init__(self, root: Path, config_file: Path | None, is_fail_open: bool, metrics: Metrics) -> None:
        self._root, self._config_file, self._is_fail_open, self._metrics = root, config_file, is_fail_open, metrics
        self._reload_lock = threading.Lock()
        self.policies = load_policies(root, config_file)

    def reload_if_changed(self) -> None:
        """Load the policies again if their files have changed; invalid ones leave the current ones in use."""
        with self._reload_lock:
            try:
                tree = file_selection.build_tree(
                    [self._root], self._root, self.policies.settings.exclude, self.policies.settings.policies
                )
                if _fingerprint_tree(tree) == self.policies.fingerprint:
                    return
                self.policies = load_policies(self._root, self._config_file)
                log_event("info", "reloaded the policies", controller="admission")
            except GatekeeperError as error:
                log_event(
                    "error",
                    f"cannot reload the policies, the previous ones stay in use: {error}",
                    controller="admission",
                )

    def handle_request(self, request: HttpRequest) -> HttpResponse | None:
        """Answer an AdmissionReview; None for a request with another path."""
        if request.path != WEBHOOK_PATH:
            return None
        try:
            review = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            return HttpResponse(400, b"the body is not JSON\n")
        request_fields = get_field(review, ("request",))
        is_review = get_field(review, ("kind",)) == "AdmissionReview"
        if not is_review or not isinstance(request_fields, dict) or not request_fields.get("uid"):
            return HttpResponse(400, b"the body is not an AdmissionReview with a request\n")
        response = {"uid": request_fields["uid"], **self._review_request(request_fields)}
        answer = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        return HttpResponse(200, orjson.dumps(answer), "application/json")

    def _review_request(self, admission_request: Mapping[str, Any]) -> dict[str, Any]:
        value, old = admission_request.get("object"), admission_request.get("oldObject")
        if admission_request.get("operation") not in ("CREATE", "UPDATE") or not isinstance(value, dict):
            return {"allowed": True}
        if isinstance(old, dict) and _select_policy_fields(value) == _select_policy_fields(old):
            # Removing a finalizer must work for an object that was stored before the policy existed.
            return {"allowed": True}
        decision, findings, gaps = self._evaluate(_with_stored_name(value, admission_request))
        errors = [finding for finding in findings if finding.severity == "error"]
        warnings = [
            _format_finding(finding)[:MAX_WARNING_LENGTH] for finding in findings if finding.severity != "error"
        ][:MAX_REPORTED_FINDINGS]
        if errors:
            denial = {"allowed": False, "status": _build_denial_status(errors)}
            return {**denial, **({"warnings": warnings} if warnings else {})}
        if decision == "incomplete":
            reason = f"gatekeeper could not check it: {'; '.join(gaps[:MAX_REPORTED_FINDINGS])}"
            kind, name = get_field(admission_request, ("kind", "kind")), admission_request.get("name")
            log_event("error", reason, controller="admission", kind=kind, name=name)
            if not self._is_fail_open:
                return {"allowed": False, "status": {"code": 500, "reason": "InternalError", "message": reason}}
            warnings = [reason[:MAX_WARNING_LENGTH], *warnings]
        return {"allowed": True, **({"warnings": warnings} if warnings else {})}

    def _evaluate(self, value: Object) -> tuple[str, Sequence[Finding], list[str]]:
        """Check an object: the decision, the findings that count, and the reasons of fatal gaps."""
        started_at = time.monotonic()
        try:
            verdict = evaluate_objects(self.policies, [value])
            decision, findings = verdict.decision, verdict.active_findings
            gaps = [gap.reason for gap in verdict.coverage.gaps if gap.is_fatal]
        except GatekeeperError as error:
            decision, findings, gaps = "incomplete", [], [str(error)]
        self._metrics.observe_verdict("admission", decision, time.monotonic() - started_at)
        return decision, findings, gaps


def _select_policy_fields(value: Mapping[str, Any]) -> object:
    """Return the fields that policies check: with labels and annotations, without field managers and finalizers."""
    metadata = value.get("metadata") or {}
    checked_metadata = {key: metadata.get(key) or None for key in ("labels", "annotations")}
    return checked_metadata, {key: field for key, field in value.items() if key not in ("metadata", "status")}


def _with_stored_name(value: Object, admission_request: Mapping[str, Any]) -> Object:
    """Return an object with the name and namespace it will be stored under; a new object may have no name yet."""
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
    messages = [_format_finding(finding) for finding in errors[:MAX_REPORTED_FINDINGS]]
    if len(errors) > MAX_REPORTED_FINDINGS:
        messages.append(f"and {len(errors) - MAX_REPORTED_FINDINGS} more")
    return {"code": 403, "reason": "Forbidden", "message": "; ".join(messages)}
