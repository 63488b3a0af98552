"""The spec of an Argo CD Application, decoded strictly: a field that is not supported is refused by name.

Source: argo-cd `docs/operator-manual/application.yaml`, `pkg/apis/application/v1alpha1/types.go`.
"""

from __future__ import annotations

from typing import Any

from gatekeeper.argocd.source_spec import ApplicationSource, parse_sources
from gatekeeper.kube.decoder import FieldReader
from gatekeeper.model import NamespacedName
from gatekeeper.named_tuple import NamedTuple

GROUP, VERSIONS = "argoproj.io", ("v1alpha1",)
DEFAULT_HISTORY_LIMIT = 10
# The namespace of Argo CD's own objects unless configured otherwise.
DEFAULT_ARGOCD_NAMESPACE = "argocd"
# Later attempts all wait the maximum; without this limit the power becomes a huge number.
MAX_BACKOFF_EXPONENT = 32


class AutoSyncPolicy(NamedTuple):
    """`syncPolicy.automated`: what the controller does without a request."""

    should_prune: bool
    should_self_heal: bool
    is_empty_allowed: bool


class RetryStrategy(NamedTuple):
    """How often a failed sync is retried, and the back-off between attempts.

    Attributes:
        limit: number of retries; negative for no limit.
    """

    limit: int = 0
    initial_seconds: float = 5.0
    factor: int = 2
    max_seconds: float = 180.0

    def compute_delay(self, attempt: int) -> float:
        """Return the seconds to wait before a retry, counted from 0."""
        return min(self.max_seconds, self.initial_seconds * float(self.factor) ** min(attempt, MAX_BACKOFF_EXPONENT))


class Destination(NamedTuple):
    """The cluster, by API server URL or by name, and the default namespace of objects."""

    server: str
    name: str
    namespace: str


class IgnoreDifference(NamedTuple):
    """Fields that may differ from Git, in the objects that match; an empty group or kind matches any.

    Attributes:
        pointers: JSON pointers (RFC 6901).
        expressions: jq path expressions.
        managers: field managers whose fields may differ.
    """

    group: str
    kind: str
    name: str
    namespace: str
    pointers: tuple[str, ...]
    expressions: tuple[str, ...]
    managers: tuple[str, ...]


class Application(NamedTuple):
    """A decoded Application.

    Attributes:
        auto_sync: None for an Application that is synced on request only.
        sync_options: as written, for example `Prune=false`.
        history_limit: how many revisions `status.history` keeps.
    """

    namespace: str
    name: str
    project: str
    sources: tuple[ApplicationSource, ...]
    destination: Destination
    auto_sync: AutoSyncPolicy | None
    sync_options: tuple[str, ...]
    retry: RetryStrategy
    ignore_differences: tuple[IgnoreDifference, ...]
    history_limit: int

    @property
    def key(self) -> NamespacedName:
        """Namespace and name."""
        return NamespacedName(self.namespace, self.name)


def parse_application(value: Any) -> Application:
    """Decode an Application.

    Raises:
        FieldError: a field is invalid or not supported.
    """
    metadata = value["metadata"]
    spec = FieldReader(value.get("spec"), ("spec",))
    sources = parse_sources(spec)
    destination = spec.read_object("destination")
    if destination is None:
        spec.reject_field("destination", "is missing")
    policy = spec.read_object("syncPolicy")
    spec.has_field("info")
    application = Application(
        namespace=metadata["namespace"],
        name=metadata["name"],
        project=spec.read_string("project", "default") or "default",
        sources=sources,
        destination=_parse_destination(destination),
        auto_sync=_parse_auto_sync(policy),
        sync_options=policy.read_string_list("syncOptions") if policy else (),
        retry=parse_retry(policy.read_object("retry") if policy else None),
        ignore_differences=tuple(map(_parse_ignore_difference, spec.read_objects("ignoreDifferences"))),
        history_limit=spec.read_integer("revisionHistoryLimit", DEFAULT_HISTORY_LIMIT),
    )
    if policy is not None:
        policy.has_field("managedNamespaceMetadata")
        policy.reject_unknown("is not supported yet")
    spec.reject_unknown("is not supported yet")
    return application


def _parse_destination(fields: FieldReader) -> Destination:
    destination = Destination(*(fields.read_string(name, "") for name in Destination._fields))
    fields.reject_unknown()
    if bool(destination.server) == bool(destination.name):
        fields.reject_field("server", "or `name` must be set, but not both")
    return destination


def _parse_auto_sync(policy: FieldReader | None) -> AutoSyncPolicy | None:
    fields = policy.read_object("automated") if policy else None
    if fields is None:
        # `automated: {}` enables auto-sync, `automated: null` does not.
        return None
    auto_sync = AutoSyncPolicy(*(fields.read_bool(name) for name in ("prune", "selfHeal", "allowEmpty")))
    is_disabled = fields.has_field("enabled") and not fields.read_bool("enabled")
    fields.reject_unknown()
    return None if is_disabled else auto_sync


def parse_retry(fields: FieldReader | None) -> RetryStrategy:
    """Decode a `retry` of an Application or an operation.

    Raises:
        FieldError: a field is invalid or not supported.
    """
    if fields is None:
        return RetryStrategy()
    limit, backoff = fields.read_integer("limit", 5), fields.read_object("backoff")
    fields.has_field("refresh")
    fields.reject_unknown()
    if backoff is None:
        return RetryStrategy(limit)
    strategy = RetryStrategy(
        limit,
        backoff.read_duration("duration", 5.0),
        backoff.read_integer("factor", 2),
        backoff.read_duration("maxDuration", 180.0),
    )
    backoff.reject_unknown()
    return strategy


def _parse_ignore_difference(fields: FieldReader) -> IgnoreDifference:
    rule = IgnoreDifference(
        group=fields.read_string("group", ""),
        kind=fields.read_string("kind", ""),
        name=fields.read_string("name", ""),
        namespace=fields.read_string("namespace", ""),
        pointers=fields.read_string_list("jsonPointers"),
        expressions=fields.read_string_list("jqPathExpressions"),
        managers=fields.read_string_list("managedFieldsManagers"),
    )
    fields.reject_unknown()
    return rule
