"""The sources of an Application, decoded strictly: a field that is not supported is refused by name.

Source: argo-cd `docs/operator-manual/application.yaml`, `pkg/apis/application/v1alpha1/types.go` (`ApplicationSource`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gatekeeper.kube.decoder import FieldReader
from gatekeeper.model import FieldPath, get_field
from gatekeeper.named_tuple import NamedTuple

# `git@host:path`, the form of scp.
SCP_URL = re.compile(r"(?P<user>[\w.-]+@)(?P<host>[\w.-]+):(?P<path>(?!/)\S+)")
CHART_NAME = re.compile(r"[\w.-]+")
SOURCE_URL = re.compile(r"(https?|ssh|file)://\S+")
KUSTOMIZE_FIELDS = (
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
)
HELM_FIELDS = (
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
)


class ApplicationSource(NamedTuple):
    """One source of manifests.

    Attributes:
        url: in the form in which it is fetched.
        path: folder of the repository; empty for a source that only provides values files.
        chart: name of a chart in a Helm repository; empty for a Git repository.
        ref: name by which other sources refer to its files.
        field_path: its place in the Application.
        raw: its fields as written.
    """

    url: str
    revision: str
    path: str
    chart: str
    ref: str
    field_path: FieldPath
    raw: Mapping[str, Any]


def parse_sources(spec: FieldReader) -> tuple[ApplicationSource, ...]:
    """Decode `source` and `sources`; the single one is ignored if there are several.

    Raises:
        FieldError: a source is invalid or not supported, or there is none with manifests.
    """
    single, several = spec.read_object("source"), list(spec.read_objects("sources"))
    sources: tuple[ApplicationSource, ...] = ()
    if several:
        sources = tuple(_parse_source(fields, ("spec", "sources", index)) for index, fields in enumerate(several))
    elif single is not None:
        sources = (_parse_source(single, ("spec", "source")),)
    if not any(source.path or source.chart for source in sources):
        spec.reject_field("source", "is missing, or needs a `path` or a `chart`")
    return sources


def _parse_source(fields: FieldReader, field_path: FieldPath) -> ApplicationSource:
    url = to_fetch_url(fields.read_string("repoURL"))
    path, chart, ref = (fields.read_string(name, "") for name in ("path", "chart", "ref"))
    if chart and (path or not url.startswith(("https://", "http://"))):
        fields.reject_field(
            "chart", "needs a Helm repository with an https:// URL and no `path`; OCI registries are not supported yet"
        )
    if chart and not CHART_NAME.fullmatch(chart):
        fields.reject_field("chart", "is not a chart name; use letters, digits, `.`, `_` and `-`")
    if not SOURCE_URL.fullmatch(url):
        fields.reject_field("repoURL", "must begin with https://, http:// or ssh://, or have the form git@host:path")
    if ":" in url.partition("://")[2].partition("@")[0] and "@" in url:
        fields.reject_field("repoURL", "contains a password; move it to a Secret of type repository")
    if path.startswith("/") or ".." in path.split("/"):
        fields.reject_field("path", "must be a folder within the repository")
    if fields.has_field("plugin"):
        fields.reject_field("plugin", "is not supported: the gate cannot check the output of a plugin")
    fields.has_field("name")
    _check_directory(fields.read_object("directory"))
    _check_known_fields(fields.read_object("kustomize"), KUSTOMIZE_FIELDS)
    _check_known_fields(fields.read_object("helm"), HELM_FIELDS)
    revision = fields.read_string("targetRevision", "") or ("*" if chart else "HEAD")
    fields.reject_unknown("is not supported yet")
    return ApplicationSource(
        url=url, revision=revision, path=path, chart=chart, ref=ref, field_path=field_path, raw=fields.raw
    )


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


def _check_known_fields(fields: FieldReader | None, names: Sequence[str]) -> None:
    if fields is None:
        return
    for name in names:
        fields.has_field(name)
    fields.reject_unknown("is not supported yet")


def to_fetch_url(url: str) -> str:
    """Return the URL of a repository in the form in which it is fetched: `git@host:a/b` as `ssh://git@host/a/b`."""
    match = SCP_URL.fullmatch(url)
    return f"ssh://{match['user']}{match['host']}/{match['path']}" if match else url


def normalize_url(url: str) -> str:
    """Return a URL in the form in which Argo CD compares it: `git@host:a/b.git` as `ssh://git@host/a/b`."""
    scheme, separator, rest = to_fetch_url(url.strip().lower()).partition("://")
    return f"{scheme}{separator}{rest}".rstrip("/").removesuffix(".git")


def is_same_repository(first: str, second: str) -> bool:
    """Whether two URLs have the same host and path; scheme and user may differ."""
    return _host_and_path(first) == _host_and_path(second)


def _host_and_path(url: str) -> str:
    return normalize_url(url).partition("://")[2].rpartition("@")[2]
