"""What an Argo CD Application asks for; what is not supported is refused by name.

Source: argo-cd `docs/operator-manual/application.yaml`, `pkg/apis/application/v1alpha1/types.go`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gatekeeper.kube.decoder import FieldReader
from gatekeeper.model import FieldPath, get_field

GROUP, VERSIONS = "argoproj.io", ("v1alpha1",)
# `git@host:path`, as scp writes it.
SCP_URL = re.compile(r"(?P<user>[\w.-]+@)(?P<host>[\w.-]+):(?P<path>(?!/)\S+)")
CHART_NAME = re.compile(r"[\w.-]+")
SOURCE_URL = re.compile(r"(https?|ssh|file)://\S+")
MINUTE = 60.0
DEFAULT_HISTORY_LIMIT = 10
# Where Argo CD's own objects are, if nothing else is said.
DEFAULT_ARGOCD_NAMESPACE = "argocd"
# What of a source is about another tool that is not run.
UNSUPPORTED_FIELDS = ("plugin",)


class ApplicationSource(NamedTuple):
    """Where manifests come from.

    Attributes:
        path: a folder of the repository; empty where it only lends files of values.
        chart: of a repository of charts; empty for a Git repository.
        ref: the name by which other sources use its files.
        field_path: in the Application.
        raw: as it stands there.
    """

    url: str
    revision: str
    path: str
    chart: str
    ref: str
    field_path: FieldPath
    raw: Mapping[str, Any]


class AutoSyncPolicy(NamedTuple):
    """What is done without being asked."""

    should_prune: bool
    should_self_heal: bool
    is_empty_allowed: bool


class RetryStrategy(NamedTuple):
    """How often what failed is tried again (-1: for ever), and after how many seconds: first, times, and at most."""

    limit: int = 0
    initial_seconds: float = 5.0
    factor: int = 2
    max_seconds: float = 180.0

    def compute_delay(self, attempt: int) -> float:
        """Seconds until an attempt, from the first on."""
        return min(self.max_seconds, self.initial_seconds * float(self.factor) ** min(attempt, 32))


class Destination(NamedTuple):
    """The cluster, by its address or by its name, and the namespace of what names none."""

    server: str
    name: str
    namespace: str


class IgnoreDifference(NamedTuple):
    """Which fields of which objects may be as they like; an empty group or kind is any.

    Attributes:
        pointers: RFC 6901.
        expressions: of jq.
        managers: whose fields may differ.
    """

    group: str
    kind: str
    name: str
    namespace: str
    pointers: tuple[str, ...]
    expressions: tuple[str, ...]
    managers: tuple[str, ...]


class Application(NamedTuple):
    """An Application.

    Attributes:
        auto_sync: None where it is synced only when somebody asks for it.
        sync_options: as they are written, `Prune=false`.
        history_limit: so many revisions are kept.
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
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name


def parse_application(value: Any) -> Application:
    """What an Application asks for.

    Raises:
        FieldError: it is not valid, or asks for something that is not supported.
    """
    metadata = value["metadata"]
    spec = FieldReader(value.get("spec"), ("spec",))
    sources = tuple(_parse_sources(spec))
    if not any(one.path or one.chart for one in sources):
        spec.reject_field("source", "is missing, or names neither a `path` nor a `chart`")
    destination = spec.read_object("destination")
    if destination is None:
        spec.reject_field("destination", "is missing")
    policy = spec.read_object("syncPolicy")
    for name in ("info", "syncPolicy"):
        spec.has_field(name)
    found = Application(
        metadata["namespace"],
        metadata["name"],
        spec.read_string("project", "default") or "default",
        sources,
        _parse_destination(destination),
        _parse_auto_sync(policy),
        policy.read_string_list("syncOptions") if policy else (),
        parse_retry(policy.read_object("retry") if policy else None),
        tuple(map(_parse_ignore_difference, spec.read_objects("ignoreDifferences"))),
        spec.read_integer("revisionHistoryLimit", DEFAULT_HISTORY_LIMIT),
    )
    if policy is not None:
        # What a namespace looks like that is made here.
        policy.has_field("managedNamespaceMetadata")
        policy.reject_unknown("is not supported yet")
    spec.reject_unknown("is not supported yet")
    return found


def _parse_sources(spec: FieldReader) -> Iterator[ApplicationSource]:
    single, several = spec.read_object("source"), list(spec.read_objects("sources"))
    # Where there are several, the single one does not count.
    if several:
        for number, fields in enumerate(several):
            yield _parse_source(fields, ("spec", "sources", number))
    elif single is not None:
        yield _parse_source(single, ("spec", "source"))


def _parse_source(fields: FieldReader, field_path: FieldPath) -> ApplicationSource:
    url = to_fetch_url(fields.read_string("repoURL"))
    path, chart, ref = (fields.read_string(name, "") for name in ("path", "chart", "ref"))
    if chart and (path or not url.startswith(("https://", "http://"))):
        fields.reject_field(
            "chart", "is of a chart repository by https, and has no `path`; of OCI it is not supported yet"
        )
    if chart and not CHART_NAME.fullmatch(chart):
        fields.reject_field("chart", "is no name of a chart")
    if not SOURCE_URL.fullmatch(url):
        fields.reject_field("repoURL", "must begin with https://, http:// or ssh://, or be git@host:path")
    if ":" in url.partition("://")[2].partition("@")[0] and "@" in url:
        fields.reject_field("repoURL", "holds a password: put it into a Secret of type repository")
    if path.startswith("/") or ".." in path.split("/"):
        fields.reject_field("path", "must be a folder within the repository")
    for name in UNSUPPORTED_FIELDS:
        if fields.has_field(name):
            fields.reject_field(name, "is not supported: what it runs is not what is judged")
    fields.has_field("name")
    _check_directory(fields.read_object("directory"))
    _check_kustomize(fields.read_object("kustomize"))
    _check_helm(fields.read_object("helm"))
    found = ApplicationSource(
        url,
        fields.read_string("targetRevision", "") or ("*" if chart else "HEAD"),
        path,
        chart,
        ref,
        field_path,
        fields.raw,
    )
    fields.reject_unknown("is not supported yet")
    return found


def _check_directory(fields: FieldReader | None) -> None:
    if fields is None:
        return
    fields.read_bool("recurse")
    for name in ("include", "exclude"):
        fields.read_string(name, "")
    if any(get_field(fields.raw, ("jsonnet", name)) for name in ("extVars", "tlas", "libs")):
        fields.reject_field("jsonnet", "is not supported")
    fields.has_field("jsonnet")
    fields.reject_unknown("is not supported")


def _check_kustomize(fields: FieldReader | None) -> None:
    if fields is None:
        return
    for name in (
        "namePrefix",
        "nameSuffix",
        "images",
        "commonLabels",
        "commonAnnotations",
        "namespace",
        "replicas",
        "patches",
        "components",
        "labelWithoutSelector",
        "forceCommonLabels",
        "forceCommonAnnotations",
        "version",
    ):
        fields.has_field(name)
    fields.reject_unknown("is not supported yet")


def _check_helm(fields: FieldReader | None) -> None:
    if fields is None:
        return
    for name in (
        "valueFiles",
        "values",
        "valuesObject",
        "parameters",
        "releaseName",
        "ignoreMissingValueFiles",
        "skipCrds",
        "skipTests",
        "skipSchemaValidation",
        "passCredentials",
        "version",
        "namespace",
        "kubeVersion",
    ):
        fields.has_field(name)
    fields.reject_unknown("is not supported yet")


def _parse_destination(fields: FieldReader) -> Destination:
    found = Destination(*(fields.read_string(name, "") for name in Destination._fields))
    fields.reject_unknown()
    if bool(found.server) == bool(found.name):
        fields.reject_field("server", "or `name` must be there, and not both")
    return found


def _parse_auto_sync(policy: FieldReader | None) -> AutoSyncPolicy | None:
    fields = policy.read_object("automated") if policy else None
    if fields is None:
        # `automated: {}` is on, and `automated: null` is not.
        return None
    found = AutoSyncPolicy(*(fields.read_bool(name) for name in ("prune", "selfHeal", "allowEmpty")))
    is_off = fields.has_field("enabled") and not fields.read_bool("enabled")
    fields.reject_unknown()
    return None if is_off else found


def parse_retry(fields: FieldReader | None) -> RetryStrategy:
    """How often what failed is tried again, as `retry` says.

    Raises:
        FieldError: it is not valid.
    """
    if fields is None:
        return RetryStrategy()
    limit, backoff = fields.read_integer("limit", 5), fields.read_object("backoff")
    fields.has_field("refresh")
    fields.reject_unknown()
    if backoff is None:
        return RetryStrategy(limit)
    found = RetryStrategy(
        limit,
        backoff.read_duration("duration", 5.0),
        backoff.read_integer("factor", 2),
        backoff.read_duration("maxDuration", 180.0),
    )
    backoff.reject_unknown()
    return found


def _parse_ignore_difference(fields: FieldReader) -> IgnoreDifference:
    found = IgnoreDifference(
        fields.read_string("group", ""),
        fields.read_string("kind", ""),
        fields.read_string("name", ""),
        fields.read_string("namespace", ""),
        fields.read_string_list("jsonPointers"),
        fields.read_string_list("jqPathExpressions"),
        fields.read_string_list("managedFieldsManagers"),
    )
    fields.reject_unknown()
    return found


def to_fetch_url(url: str) -> str:
    """The address of a repository, in the form in which it is fetched."""
    found = SCP_URL.fullmatch(url)
    return f"ssh://{found['user']}{found['host']}/{found['path']}" if found else url


def normalize_url(url: str) -> str:
    """An address as it is compared: `git@host:a/b.git` is `ssh://git@host/a/b`."""
    scheme, sign, rest = to_fetch_url(url.strip().lower()).partition("://")
    return f"{scheme}{sign}{rest}".rstrip("/").removesuffix(".git")


def is_same_repository(first: str, second: str) -> bool:
    """Whether two addresses are of the same repository, by whatever way it is reached."""
    return _host_and_path(first) == _host_and_path(second)


def _host_and_path(url: str) -> str:
    return normalize_url(url).partition("://")[2].rpartition("@")[2]
