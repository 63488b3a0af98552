"""What an Argo CD Application asks for; what is not supported is refused by name.

Source: argo-cd `docs/operator-manual/application.yaml`, `pkg/apis/application/v1alpha1/types.go`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gatekeeper.kube.decoder import Fields
from gatekeeper.model import FieldPath, at

GROUP, VERSIONS = "argoproj.io", ("v1alpha1",)
# `git@host:path`, as scp writes it.
SCP = re.compile(r"(?P<user>[\w.-]+@)(?P<host>[\w.-]+):(?P<path>(?!/)\S+)")
CHART = re.compile(r"[\w.-]+")
URL = re.compile(r"(https?|ssh|file)://\S+")
MINUTE = 60.0
HISTORY = 10
# Where Argo CD's own objects are, if nothing else is said.
HOME = "argocd"
# What of a source is about another tool that is not run.
REFUSED = ("plugin",)


class Source(NamedTuple):
    """Where manifests come from.

    Attributes:
        path: a folder of the repository; empty where it only lends files of values.
        chart: of a repository of charts; empty for a Git repository.
        ref: the name by which other sources use its files.
        where: in the Application.
        value: as it stands there.
    """

    url: str
    revision: str
    path: str
    chart: str
    ref: str
    where: FieldPath
    value: Mapping[str, Any]


class Automated(NamedTuple):
    """What is done without being asked."""

    prune: bool
    self_heal: bool
    allow_empty: bool


class Retry(NamedTuple):
    """How often what failed is tried again (-1: for ever), and after how many seconds: first, times, and at most."""

    limit: int = 0
    first: float = 5.0
    factor: int = 2
    most: float = 180.0

    def after(self, attempt: int) -> float:
        """Seconds until an attempt, from the first on."""
        return min(self.most, self.first * float(self.factor) ** min(attempt, 32))


class Destination(NamedTuple):
    """The cluster, by its address or by its name, and the namespace of what names none."""

    server: str
    name: str
    namespace: str


class Difference(NamedTuple):
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
        automated: None where it is synced only when somebody asks for it.
        options: as they are written, `Prune=false`.
        history: so many revisions are kept.
    """

    namespace: str
    name: str
    project: str
    sources: tuple[Source, ...]
    destination: Destination
    automated: Automated | None
    options: tuple[str, ...]
    retry: Retry
    ignored: tuple[Difference, ...]
    history: int

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name


def read(value: Any) -> Application:
    """What an Application asks for.

    Raises:
        FieldError: it is not valid, or asks for something that is not supported.
    """
    metadata = value["metadata"]
    spec = Fields(value.get("spec"), ("spec",))
    sources = tuple(_sources(spec))
    if not any(one.path or one.chart for one in sources):
        spec.refuse("source", "is missing, or names neither a `path` nor a `chart`")
    destination = spec.inner("destination")
    if destination is None:
        spec.refuse("destination", "is missing")
    policy = spec.inner("syncPolicy")
    for name in ("info", "syncPolicy"):
        spec.has(name)
    found = Application(
        metadata["namespace"],
        metadata["name"],
        spec.text("project", "default") or "default",
        sources,
        _destination(destination),
        _automated(policy),
        policy.words("syncOptions") if policy else (),
        retry_of(policy.inner("retry") if policy else None),
        tuple(map(_difference, spec.each("ignoreDifferences"))),
        spec.number("revisionHistoryLimit", HISTORY),
    )
    if policy is not None:
        # What a namespace looks like that is made here.
        policy.has("managedNamespaceMetadata")
        policy.end("is not supported yet")
    spec.end("is not supported yet")
    return found


def _sources(spec: Fields) -> Iterator[Source]:
    single, several = spec.inner("source"), list(spec.each("sources"))
    # Where there are several, the single one does not count.
    if several:
        for number, fields in enumerate(several):
            yield _source(fields, ("spec", "sources", number))
    elif single is not None:
        yield _source(single, ("spec", "source"))


def _source(fields: Fields, where: FieldPath) -> Source:
    url = address(fields.text("repoURL"))
    path, chart, ref = (fields.text(name, "") for name in ("path", "chart", "ref"))
    if chart and (path or not url.startswith(("https://", "http://"))):
        fields.refuse("chart", "is of a chart repository by https, and has no `path`; of OCI it is not supported yet")
    if chart and not CHART.fullmatch(chart):
        fields.refuse("chart", "is no name of a chart")
    if not URL.fullmatch(url):
        fields.refuse("repoURL", "must begin with https://, http:// or ssh://, or be git@host:path")
    if ":" in url.partition("://")[2].partition("@")[0] and "@" in url:
        fields.refuse("repoURL", "holds a password: put it into a Secret of type repository")
    if path.startswith("/") or ".." in path.split("/"):
        fields.refuse("path", "must be a folder within the repository")
    for name in REFUSED:
        if fields.has(name):
            fields.refuse(name, "is not supported: what it runs is not what is judged")
    fields.has("name")
    _directory(fields.inner("directory"))
    _kustomize(fields.inner("kustomize"))
    _helm(fields.inner("helm"))
    found = Source(
        url, fields.text("targetRevision", "") or ("*" if chart else "HEAD"), path, chart, ref, where, fields.raw
    )
    fields.end("is not supported yet")
    return found


def _directory(fields: Fields | None) -> None:
    if fields is None:
        return
    fields.flag("recurse")
    for name in ("include", "exclude"):
        fields.text(name, "")
    if any(at(fields.raw, ("jsonnet", name)) for name in ("extVars", "tlas", "libs")):
        fields.refuse("jsonnet", "is not supported")
    fields.has("jsonnet")
    fields.end("is not supported")


def _kustomize(fields: Fields | None) -> None:
    if fields is None:
        return
    for name in (
        "namePrefix", "nameSuffix", "images", "commonLabels", "commonAnnotations", "namespace", "replicas", "patches",
        "components", "labelWithoutSelector", "forceCommonLabels", "forceCommonAnnotations", "version",
    ):  # fmt: skip
        fields.has(name)
    fields.end("is not supported yet")


def _helm(fields: Fields | None) -> None:
    if fields is None:
        return
    for name in (
        "valueFiles", "values", "valuesObject", "parameters", "releaseName", "ignoreMissingValueFiles", "skipCrds",
        "skipTests", "skipSchemaValidation", "passCredentials", "version", "namespace", "kubeVersion",
    ):  # fmt: skip
        fields.has(name)
    fields.end("is not supported yet")


def _destination(fields: Fields) -> Destination:
    found = Destination(*(fields.text(name, "") for name in Destination._fields))
    fields.end()
    if bool(found.server) == bool(found.name):
        fields.refuse("server", "or `name` must be there, and not both")
    return found


def _automated(policy: Fields | None) -> Automated | None:
    fields = policy.inner("automated") if policy else None
    if fields is None:
        # `automated: {}` is on, and `automated: null` is not.
        return None
    found = Automated(*(fields.flag(name) for name in ("prune", "selfHeal", "allowEmpty")))
    is_off = fields.has("enabled") and not fields.flag("enabled")
    fields.end()
    return None if is_off else found


def retry_of(fields: Fields | None) -> Retry:
    """How often what failed is tried again, as `retry` says.

    Raises:
        FieldError: it is not valid.
    """
    if fields is None:
        return Retry()
    limit, backoff = fields.number("limit", 5), fields.inner("backoff")
    fields.has("refresh")
    fields.end()
    if backoff is None:
        return Retry(limit)
    found = Retry(
        limit, backoff.seconds("duration", 5.0), backoff.number("factor", 2), backoff.seconds("maxDuration", 180.0)
    )
    backoff.end()
    return found


def _difference(fields: Fields) -> Difference:
    found = Difference(
        fields.text("group", ""),
        fields.text("kind", ""),
        fields.text("name", ""),
        fields.text("namespace", ""),
        fields.words("jsonPointers"),
        fields.words("jqPathExpressions"),
        fields.words("managedFieldsManagers"),
    )
    fields.end()
    return found


def address(url: str) -> str:
    """The address of a repository, in the form in which it is fetched."""
    found = SCP.fullmatch(url)
    return f"ssh://{found['user']}{found['host']}/{found['path']}" if found else url


def normal(url: str) -> str:
    """An address as it is compared: `git@host:a/b.git` is `ssh://git@host/a/b`."""
    scheme, sign, rest = address(url.strip().lower()).partition("://")
    return f"{scheme}{sign}{rest}".rstrip("/").removesuffix(".git")


def same(one: str, other: str) -> bool:
    """Whether two addresses are of the same repository, by whatever way it is reached."""
    return _place(one) == _place(other)


def _place(url: str) -> str:
    return normal(url).partition("://")[2].rpartition("@")[2]
