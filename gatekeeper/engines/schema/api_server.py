"""Findings of the API server's own validation, beside those of the schemas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson

from gatekeeper.config import CONFIG_FILE
from gatekeeper.engines.schema import api_server_messages, crd_cel_rules
from gatekeeper.engines.schema.api_server_messages import KEY_FAULTS, resolve_path
from gatekeeper.engines.schema.catalog import SchemaCatalog, SchemaKey
from gatekeeper.engines.schema.crds import CustomKind, encode_definition
from gatekeeper.engines.schema.kind_scopes import KUBERNETES_GROUPS
from gatekeeper.errors import ToolError
from gatekeeper.host.background import BackgroundCall
from gatekeeper.model import FieldPath, Finding, Gap, ObjectRef, Resource, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.validation import ApiServerAnswer, ApiServerFault, KindBatch, validate_objects

RULE, WARNING_RULE, CEL_RULE = "schema/apiserver", "schema/apiserver-warning", "schema/cel"
# A Flux variable that nothing here sets, and ciphertext of SOPS: values that are not known yet.
MARKERS = ("${", "ENC[")
MARKER_BYTES = tuple(marker.encode() for marker in MARKERS)
NOT_CHECKED = (
    "what only the API server's validation finds (names, labels, quantities, ports, selectors) was not checked"
)
# Kinds that no API server has: they are read by kustomize and kubectl.
CLIENT_KINDS = {"List", "Kustomization", "Component"}
CLIENT_GROUPS = {"kustomize.config.k8s.io"}
ResourceKey = tuple[str, ObjectRef | None]
REQUIRED_RULE = "schema/required"
# Findings that no answer of the API server's validation takes back.
KEPT_RULES = {"schema/unknown-field", "schema/not-served", "schema/missing"}
INVALID = "FieldValueInvalid"


class ApiServerResult(NamedTuple):
    """What the API server's validation found, and what it could not validate.

    Attributes:
        global_gaps: why nothing was validated.
        validated: file and name of each resource that was validated, and has no value that is not known yet.
    """

    findings: list[Finding]
    gaps: list[Gap]
    global_gaps: list[Gap]
    validated: frozenset[ResourceKey] = frozenset()


class PendingValidation(NamedTuple):
    """A validation that the Go program works on.

    Attributes:
        batches: what is validated of each of the kinds, in their order.
    """

    kinds: dict[SchemaKey, list[Resource]]
    batches: list[KindBatch]
    answers: BackgroundCall[list[list[ApiServerAnswer]]]


def start_validation(
    client: UpstreamClient, resources: Sequence[Resource], catalog: SchemaCatalog
) -> PendingValidation:
    """Starts to validate resources as the API server would when it creates them."""
    kinds: dict[SchemaKey, list[Resource]] = {}
    for resource in resources:
        if resource.ref.kind not in CLIENT_KINDS and resource.ref.group not in CLIENT_GROUPS:
            kinds.setdefault((resource.ref.api_version, resource.ref.kind), []).append(resource)
    batches = [
        KindBatch(*key, [resource.json for resource in same], encode_definition(catalog.find_custom_kind(key)))
        for key, same in kinds.items()
    ]
    # Without the catalog, which is not made for several threads.
    answers = BackgroundCall(lambda: validate_objects(client, batches, MARKERS) if batches else [])
    return PendingValidation(kinds, batches, answers)


def collect_result(pending: PendingValidation, catalog: SchemaCatalog) -> ApiServerResult:
    """Waits for a validation, and returns its result.

    Args:
        catalog: has the schemas by which the same resources were validated.
    """
    try:
        answers = pending.answers.wait_for_result()
    except ToolError as error:
        return ApiServerResult([], [], [Gap(CONFIG_FILE, f"{NOT_CHECKED}: {error}", is_fatal=True)])
    findings: list[Finding] = []
    gaps: list[Gap] = []
    validated: set[ResourceKey] = set()
    for (key, same), batch, found in zip(pending.kinds.items(), pending.batches, answers, strict=True):
        kind = catalog.find_custom_kind(key)
        for resource, answer in zip(same, found, strict=True):
            if answer.faults:
                findings.extend(_build_findings(resource, answer, kind))
            if not answer.unchecked and not _has_marker(resource.json):
                validated.add((resource.origin.file, resource.ref))
            if answer.unchecked and (answer.is_failure or catalog.has_schema(key)):
                gaps.append(_build_gap(resource, answer, crd_cel_rules.has_rules(batch.definition)))
    return ApiServerResult(findings, gaps, [], frozenset(validated))


def _build_gap(resource: Resource, answer: ApiServerAnswer, has_rules: bool) -> Gap:
    reason = f"{resource.ref.kind} ({resource.ref.api_version}) was checked by its schema only: {answer.unchecked}"
    if answer.is_failure:
        reason = f"{resource.ref} cannot be validated as the API server would: {answer.unchecked}"
    return Gap(resource.origin.file, reason, is_fatal=answer.is_failure or has_rules)


def _build_findings(resource: Resource, answer: ApiServerAnswer, kind: CustomKind | None) -> Iterator[Finding]:
    value = resource.value
    holds_unknown = _has_marker(resource.json)
    seen: set[tuple[FieldPath, str]] = set()
    for fault in answer.faults:
        path = resolve_path(fault.field, value)
        # A fault without a place, or in a field that the server derives, can be one of a value that is not known.
        if holds_unknown and (not path or (fault.type == INVALID and get_field(value, path) is None)):
            continue
        path = (*path, *api_server_messages.find_entry(fault, get_field(value, path)))
        if fault.type in KEY_FAULTS:
            # SOPS writes this field, and takes it out when it decrypts.
            if path == ("sops",):
                continue
        elif _has_marker(orjson.dumps(get_field(value, path))) or api_server_messages.is_irrelevant(fault):
            continue
        # Two validations can refuse one value: of all Pods, and of the Pods of this kind.
        if (path, fault.type) not in seen:
            seen.add((path, fault.type))
            yield _build_finding(resource, fault, path, kind)


def _build_finding(resource: Resource, fault: ApiServerFault, path: FieldPath, kind: CustomKind | None) -> Finding:
    rule = crd_cel_rules.find_rule(kind, path, fault)
    if rule is not None:
        hint = f"the CRD requires: {rule.expression}"
        return resource.build_finding(CEL_RULE, fault.detail, path, hint=hint)
    message, hint = api_server_messages.describe_fault(fault, path)
    is_warning = fault.type == "Warning"
    return resource.build_finding(
        WARNING_RULE if is_warning else RULE,
        message,
        path,
        hint=hint,
        severity="warning" if is_warning else "error",
        is_key=fault.type in KEY_FAULTS,
    )


def _has_marker(json: bytes) -> bool:
    first, second = MARKER_BYTES
    # Not `any`, and one byte first: this is asked of each resource.
    return (b"$" in json and first in json) or second in json


def merge(schema_findings: Sequence[Finding], result: ApiServerResult) -> list[Finding]:
    """One finding for each field: that of the schema if there is one, as its hint suggests a correction.

    A finding that names no field is dropped if the schema has one for the same resource: both have one cause. The
    published schemas require a few fields that the API server does not require; there the API server is right. It
    drops values of custom resources before it validates the rest: nulls, and a status.
    """
    refused: dict[ResourceKey, list[FieldPath]] = {}
    for finding in (one for one in result.findings if one.severity == "error"):
        refused.setdefault(_key(finding), []).append(finding.field_path or ())
    kept = [
        finding
        for finding in schema_findings
        if not _may_be_taken_back(finding)
        or _key(finding) not in result.validated
        or any(_overlap(finding.field_path or (), path) for path in refused.get(_key(finding), ()))
    ]
    fields = {(_key(finding), finding.field_path) for finding in kept}
    resources = {_key(finding) for finding in kept}
    added = [
        finding
        for finding in result.findings
        if (_key(finding), finding.field_path) not in fields and (finding.field_path or _key(finding) not in resources)
    ]
    return [*kept, *added]


def _may_be_taken_back(finding: Finding) -> bool:
    is_custom = finding.resource_ref is not None and finding.resource_ref.group not in KUBERNETES_GROUPS
    return finding.rule == REQUIRED_RULE or (is_custom and finding.rule not in KEPT_RULES)


def _overlap(one: FieldPath, other: FieldPath) -> bool:
    """Whether one path contains the other."""
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _key(finding: Finding) -> ResourceKey:
    return finding.location.file, finding.resource_ref
