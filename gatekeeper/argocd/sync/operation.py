"""Operations of an Application: the request, and the state of its execution in the status.

Source: argo-cd `pkg/apis/application/v1alpha1/types.go` (`Operation`, `OperationState`), `controller/state.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from gatekeeper.argocd import status
from gatekeeper.argocd.application_spec import Application, RetryStrategy, parse_retry
from gatekeeper.argocd.model import ApplicationBuild, OperationPhase, ResourceResult
from gatekeeper.argocd.sync import comparison
from gatekeeper.argocd.sync.sync_options import SyncOptions, parse_sync_options
from gatekeeper.kube.conditions import MAX_MESSAGE_LENGTH, format_time
from gatekeeper.kube.decoder import FieldReader
from gatekeeper.model import Object, get_field
from gatekeeper.named_tuple import NamedTuple

UNSUPPORTED_SYNC_FIELDS = ("manifests", "source", "sources")


class ResourceSelector(NamedTuple):
    """One object that an operation is limited to; an empty namespace matches any."""

    group: str
    kind: str
    namespace: str
    name: str


class SyncRequest(NamedTuple):
    """A requested operation.

    Attributes:
        raw: as written, also the fields that are not read here.
        revisions: the requested revision of each source; an empty one for its target revision.
        selected: the only objects to sync; empty for all.
        sync_options: as written, in addition to those of the Application.
        should_run_hooks: whether it is a hook sync; the strategy `apply` runs no hooks.
        username: who requested it; empty if unknown.
    """

    raw: Mapping[str, Any]
    revisions: tuple[str, ...] = ()
    selected: tuple[ResourceSelector, ...] = ()
    sync_options: tuple[str, ...] = ()
    should_prune: bool = False
    should_run_hooks: bool = True
    is_forced: bool = False
    is_dry_run: bool = False
    is_automated: bool = False
    username: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether it applies all objects, so that its revision becomes part of the history."""
        return not self.selected and not self.is_dry_run


def parse_request(raw: Mapping[str, Any]) -> SyncRequest:
    """Decode an operation; a field of the wrong type counts as missing."""
    sync = raw.get("sync")
    if not isinstance(sync, dict):
        return SyncRequest(raw)
    strategy, options, resources = sync.get("syncStrategy") or {}, sync.get("syncOptions"), sync.get("resources")
    return SyncRequest(
        raw,
        revisions=tuple(str(revision) for revision in sync.get("revisions") or [sync.get("revision") or ""]),
        selected=tuple(
            ResourceSelector(*(str(get_field(resource, (name,)) or "") for name in ResourceSelector._fields))
            for resource in (resources if isinstance(resources, list) else ())
        ),
        sync_options=tuple(str(option) for option in options) if isinstance(options, list) else (),
        should_prune=bool(sync.get("prune")),
        should_run_hooks="apply" not in strategy,
        is_forced=any(get_field(strategy, (name, "force")) is True for name in ("apply", "hook")),
        is_dry_run=bool(sync.get("dryRun")),
        is_automated=bool(get_field(raw, ("initiatedBy", "automated"))),
        username=str(get_field(raw, ("initiatedBy", "username")) or ""),
    )


def find_refusal(request: SyncRequest, build: ApplicationBuild) -> str:
    """Return why an operation is refused; empty if it can run."""
    sync = request.raw.get("sync")
    if not isinstance(sync, dict):
        return "`operation.sync` is missing: no other operation is supported"
    for name in UNSUPPORTED_SYNC_FIELDS:
        if sync.get(name):
            return f"`operation.sync.{name}` is not supported: only what is in Git is applied"
    sources = zip(build.revisions, build.application.sources, strict=True)
    for requested, (commit, source) in zip(request.revisions, sources, strict=False):
        if requested not in ("", commit, source.revision):
            return (
                f"the operation requests revision {requested}, but the Application targets {source.revision}: "
                "change its `targetRevision`"
            )
    return ""


def resolve_retry(request: SyncRequest, application: Application) -> RetryStrategy:
    """Return the retry strategy of an operation, or else that of the Application.

    Raises:
        FieldError: the operation's strategy is invalid.
    """
    retry = request.raw.get("retry")
    return parse_retry(FieldReader(retry, ("operation", "retry"))) if retry else application.retry


def resolve_sync_options(request: SyncRequest, application: Application) -> SyncOptions:
    """Return the options of the Application, overridden by those of an operation.

    Raises:
        SpecError: an option is unknown.
    """
    return parse_sync_options([*application.sync_options, *request.sync_options], "the Application")


class Attempt(NamedTuple):
    """One attempt of one operation."""

    started_at: str
    retry_count: int


class OperationState(NamedTuple):
    """The state of an operation, as `status.operationState` keeps it.

    Attributes:
        started_at, finished_at: as Kubernetes writes times; the latter is empty while an attempt runs.
        synced: `syncResult` without its results: the revisions and sources of the sync.
        results: of the objects of the current attempt.
    """

    request: SyncRequest
    phase: OperationPhase
    message: str
    started_at: str
    finished_at: str = ""
    retry_count: int = 0
    synced: Mapping[str, Any] = MappingProxyType({})
    results: tuple[ResourceResult, ...] = ()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended, or will be retried."""
        return self.phase in ("Running", "Terminating")

    @property
    def attempt(self) -> Attempt:
        """The current attempt."""
        return Attempt(self.started_at, self.retry_count)

    @property
    def start_timestamp(self) -> int:
        """When it was started, in seconds since 1970."""
        return int(datetime.fromisoformat(self.started_at).timestamp())

    def has_synced(self, fields: Mapping[str, Any]) -> bool:
        """Whether its sync was of these revisions and sources."""
        return all(self.synced.get(name) == field for name, field in fields.items())

    def with_results(self, results: Iterable[ResourceResult], message: str) -> OperationState:
        """Return the state with the results so far."""
        return self._replace(results=tuple(results), message=message[:MAX_MESSAGE_LENGTH])

    def finish(self, phase: OperationPhase, message: str, now: float, retry: RetryStrategy) -> OperationState:
        """Return the state at the end of an attempt; a failed one runs on if it will be retried."""
        finished = self._replace(phase=phase, message=message[:MAX_MESSAGE_LENGTH], finished_at=format_time(now))
        if phase != "Failed" or not (retry.limit < 0 or self.retry_count < retry.limit):
            return finished
        retries = self.retry_count + 1
        text = f"{message}; retry {retries} in {retry.compute_delay(self.retry_count):g} seconds"
        return finished._replace(phase="Running", retry_count=retries, message=text[:MAX_MESSAGE_LENGTH])

    def seconds_until_retry(self, retry: RetryStrategy, now: float) -> float:
        """Return the seconds until the next attempt; 0 if one runs or is due."""
        if not self.finished_at:
            return 0.0
        finished_at = datetime.fromisoformat(self.finished_at).timestamp()
        return max(0.0, finished_at + retry.compute_delay(max(0, self.retry_count - 1)) - now)

    def begin_retry(self) -> OperationState:
        """Return the state at the begin of the next attempt."""
        return self._replace(finished_at="").with_results((), "retrying")

    def to_status(self) -> status.StatusFields:
        """Encode the state as `status.operationState`."""
        fields: status.StatusFields = {
            "operation": dict(self.request.raw),
            "phase": self.phase,
            "message": self.message,
            "startedAt": self.started_at,
        }
        if self.finished_at:
            fields["finishedAt"] = self.finished_at
        if self.retry_count:
            fields["retryCount"] = self.retry_count
        if self.synced or self.results:
            fields["syncResult"] = {**self.synced, "resources": [_encode_result(result) for result in self.results]}
        return fields


def start_operation(request: SyncRequest, build: ApplicationBuild, now: float) -> OperationState:
    """Return the state of an operation that begins."""
    synced = {"revision": "", **status.build_revisions(build), **status.build_sources(build.manifest)}
    return OperationState(request, "Running", "started", format_time(now), synced=synced)


def fail_operation(request: SyncRequest, message: str, now: float) -> OperationState:
    """Return the state of an operation that could not begin."""
    time = format_time(now)
    return OperationState(request, "Error", message[:MAX_MESSAGE_LENGTH], time, finished_at=time)


def parse_operation_state(value: Object) -> OperationState | None:
    """Decode the state of an Application's last operation; None if there was none."""
    fields = get_field(value, ("status", "operationState"))
    if not isinstance(fields, dict) or not fields:
        return None
    sync_result = fields.get("syncResult") or {}
    results = sync_result.get("resources")
    return OperationState(
        request=parse_request(fields.get("operation") or {}),
        phase=fields.get("phase") or "Error",
        message=str(fields.get("message") or ""),
        started_at=str(fields.get("startedAt") or ""),
        finished_at=str(fields.get("finishedAt") or ""),
        retry_count=int(fields.get("retryCount") or 0),
        synced={name: field for name, field in sync_result.items() if name != "resources"},
        results=tuple(map(_parse_result, results if isinstance(results, list) else ())),
    )


def _parse_result(fields: Mapping[str, Any]) -> ResourceResult:
    return ResourceResult(
        entry=comparison.parse_entry(fields),
        phase=fields.get("syncPhase") or "Sync",
        status=str(fields.get("status") or ""),
        hook_phase=fields.get("hookPhase") or "Running",
        message=str(fields.get("message") or ""),
        hook_type=str(fields.get("hookType") or ""),
    )


def _encode_result(result: ResourceResult) -> status.StatusFields:
    fields = {
        "group": result.entry.group,
        "version": result.entry.version,
        "kind": result.entry.kind,
        "namespace": result.entry.namespace,
        "name": result.entry.name,
        "message": result.message,
        "hookPhase": result.hook_phase,
        "syncPhase": result.phase,
    }
    optional = {"status": result.status, "hookType": result.hook_type}
    return {**fields, **{key: text for key, text in optional.items() if text}}


def build_history(build: ApplicationBuild, state: OperationState, previous: Sequence[Any]) -> list[status.StatusFields]:
    """Build `status.history` with a finished sync as its newest, last entry.

    Args:
        previous: the history before it.
    """
    limit = build.application.history_limit
    if limit <= 0:
        return []
    entry = {
        "id": max((int(earlier.get("id") or 0) for earlier in previous), default=-1) + 1,
        **status.build_revisions(build),
        **status.build_sources(build.manifest),
        "deployStartedAt": state.started_at,
        "deployedAt": state.finished_at,
        "initiatedBy": state.request.raw.get("initiatedBy") or {},
    }
    return [*previous, entry][-limit:]
