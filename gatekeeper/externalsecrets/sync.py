"""One round of fetching: read what is due, decide for each ExternalSecret, write, and tell of it in the cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from gatekeeper.cluster import object_status, secrets
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import GateError
from gatekeeper.externalsecrets import decision, external_secret_spec, fetch_plan, refresh_schedule, secret_builder
from gatekeeper.externalsecrets import status as externalsecrets_status
from gatekeeper.externalsecrets.collection import DesiredSecrets, RefusedObject
from gatekeeper.externalsecrets.decision import Decision
from gatekeeper.externalsecrets.fetch_plan import FetchPlan, FetchResult, StoreKey
from gatekeeper.externalsecrets.model import ExternalSecretSpec
from gatekeeper.externalsecrets.secret_builder import CREATED_BY_LABEL, MANAGED_LABEL, compute_go_hash
from gatekeeper.kube.objects import NamespacedName
from gatekeeper.model import get_field
from gatekeeper.stores.protocol import Store, StoreError

# So many requests to the cluster at a time.
CONCURRENT_REQUESTS = 16
# So often something is decided anew, because somebody else has changed it meanwhile.
MAX_TRIES = 3


class SyncContext(NamedTuple):
    """What a round works on.

    Attributes:
        objects: the ExternalSecrets as they are in the cluster, by namespace and name, where they come from there.
        existing_secrets: the Secrets that are there, by namespace and name.
        former_secrets: the names of those that an ExternalSecret made, by namespace and its mark.
        started_at: seconds since 1970, when it began.
    """

    cluster: DynamicClient | None
    objects: Mapping[NamespacedName, Any]
    existing_secrets: Mapping[NamespacedName, dict[str, Any]]
    former_secrets: Mapping[NamespacedName, list[str]]
    started_at: float


class SyncResult(NamedTuple):
    """What came of a round."""

    plan: FetchPlan
    fetched: FetchResult
    decisions: list[Decision]


def build_context(
    cluster: DynamicClient | None,
    desired: DesiredSecrets,
    objects: Mapping[NamespacedName, Any],
    now: float,
    is_dry_run: bool,
) -> SyncContext:
    """A round, with the Secrets that are there already: one request for each namespace, whatever it holds.

    Args:
        is_dry_run: nothing will be written, so that each Secret must be looked for that writing would find there.
    """
    if cluster is None:
        return SyncContext(None, objects, {}, {}, now)
    spaces = sorted({wanted.namespace for wanted in desired.specs})
    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        held = list(pool.map(lambda space: secrets.list_secrets(cluster, space, f"{MANAGED_LABEL}=true"), spaces))
    existing = {
        NamespacedName(space, name): one
        for space, by_name in zip(spaces, held, strict=True)
        for name, one in by_name.items()
    }
    # Those that are nobody's have no label; whoever wants to merge into one, or has an owner to respect, needs it.
    others = [
        wanted.target_key
        for wanted in desired.specs
        if wanted.target_key not in existing and (is_dry_run or wanted.target.creation_policy in ("Merge", "Orphan"))
    ]
    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        looked = list(pool.map(lambda name: secrets.get_secret(cluster, *name), others))
    existing |= {name: one for name, one in zip(others, looked, strict=True) if one is not None}
    former: dict[NamespacedName, list[str]] = {}
    for (space, name), one in existing.items():
        former.setdefault(
            NamespacedName(space, str(get_field(one, ("metadata", "labels", CREATED_BY_LABEL)))), []
        ).append(name)
    return SyncContext(cluster, objects, existing, former, now)


def is_due(context: SyncContext, spec: ExternalSecretSpec) -> bool:
    """Whether an ExternalSecret is to be read now: by its status, or because its Secret is not as it was written."""
    value = context.objects.get(spec.key)
    if value is None or refresh_schedule.compute_due_time(spec, value, context.started_at) <= context.started_at:
        return True
    return not refresh_schedule.is_secret_intact(spec, context.existing_secrets.get(spec.target_key))


def decide_all(
    context: SyncContext, specs: list[ExternalSecretSpec], open_store: Callable[[StoreKey], Store]
) -> SyncResult:
    """Reads, each secret once, and decides. Nothing is written."""
    plan = fetch_plan.build_plan(specs)
    fetched = fetch_plan.fetch(plan, open_store)
    # Templates are filled by another program; more of them than there are cores only wait.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return SyncResult(plan, fetched, list(pool.map(partial(_decide_one, context, fetched), specs)))


def _decide_one(context: SyncContext, fetched: FetchResult, spec: ExternalSecretSpec) -> Decision:
    existing = context.existing_secrets.get(spec.target_key)
    return decision.decide(spec, fetched, existing, _build_template_reader(context.cluster, spec.namespace))


def _build_template_reader(cluster: DynamicClient | None, namespace: str) -> secret_builder.TemplateReader:
    def text_of(kind: str, name: str, key: str) -> str:
        found = secrets.read_text(cluster, kind, namespace, name, key) if cluster is not None else None
        if found is None:
            raise StoreError(f"the template in {kind} {name}, `{key}`, is not there")
        return found

    return text_of


def apply_decisions(context: SyncContext, result: SyncResult) -> SyncResult:
    """Does what was decided, and tells of it."""
    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        return result._replace(
            decisions=list(pool.map(partial(_apply_and_report, context, result.fetched), result.decisions))
        )


def _apply_and_report(context: SyncContext, fetched: FetchResult, outcome: Decision) -> Decision:
    try:
        outcome = _apply_decision(context, fetched, outcome)
        _report_decision(context, outcome)
    except GateError as error:
        return Decision(outcome.spec, "failed", str(error), is_transient=True)
    return outcome


def _apply_decision(context: SyncContext, fetched: FetchResult, outcome: Decision) -> Decision:
    cluster, wanted = context.cluster, outcome.spec
    assert cluster is not None
    for _ in range(MAX_TRIES):
        try:
            if outcome.secret is not None:
                secrets.write_secret(
                    cluster, outcome.secret, secret_builder.build_field_manager(wanted), outcome.action == "create"
                )
            elif outcome.action == "delete":
                secrets.delete_secret(cluster, wanted.namespace, wanted.target.name)
        except secrets.SecretConflictError:
            # It is there, or was changed, since it was looked for: what is there now decides.
            existing = secrets.get_secret(cluster, wanted.namespace, wanted.target.name)
            outcome = decision.decide(wanted, fetched, existing, _build_template_reader(cluster, wanted.namespace))
            continue
        except GateError as error:
            return Decision(wanted, "failed", str(error), is_transient=True)
        if outcome.action in ("create", "change", "as it is"):
            _delete_former_secrets(context, wanted)
        return outcome
    return Decision(wanted, "failed", "somebody else changes the Secret again and again", is_transient=True)


def _delete_former_secrets(context: SyncContext, spec: ExternalSecretSpec) -> None:
    """Takes away the Secret that an ExternalSecret had before it was given another name for it."""
    assert context.cluster is not None
    if spec.target.creation_policy != "Owner":
        return
    mark = NamespacedName(spec.namespace, compute_go_hash(str(spec.key)))
    for name in context.former_secrets.get(mark, ()):
        if name != spec.target.name:
            secrets.delete_secret(context.cluster, spec.namespace, name)


def report_refusals(context: SyncContext, refusals: Iterable[RefusedObject]) -> None:
    """Tells in the cluster of ExternalSecrets that are not followed."""
    for one in refusals:
        value = context.objects.get(NamespacedName(one.namespace, one.name))
        if value is not None:
            _write_status(
                context,
                value,
                Decision(external_secret_spec.build_empty_spec(one.namespace, one.name), "failed", one.reason),
            )


def _report_decision(context: SyncContext, outcome: Decision) -> None:
    """Writes status and events, where the ExternalSecret is in the cluster."""
    value = context.objects.get(outcome.spec.key)
    if value is not None:
        _write_status(context, value, outcome)


def _write_status(context: SyncContext, value: Any, outcome: Decision) -> None:
    assert context.cluster is not None
    status = externalsecrets_status.build_status(outcome, value, context.started_at)
    if status != (get_field(value, ("status",)) or {}):
        object_status.write_status_if_current(context.cluster, value, status)
    events = externalsecrets_status.build_events(outcome, value)
    object_status.create_events(context.cluster, value, events, context.started_at)
