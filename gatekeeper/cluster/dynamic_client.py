"""A client for objects of any kind in a cluster, as plain JSON: discovery, reads, server-side apply, deletion, watches.

The kinds come from the discovery API, because a CRD may be created later. lightkube only reads kubeconfigs and
authenticates; its typed resources would drop unknown fields.
Source: Kubernetes API concepts (discovery, chunked lists, server-side apply, resourceVersion, impersonation).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, Literal, NamedTuple

import httpx2
import orjson
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import SingleConfig

from gatekeeper.errors import ToolError
from gatekeeper.model import Object, name_of

# Seconds for one request.
TIMEOUT = 30.0
# Objects per page of a list.
PAGE_SIZE = 500
# Connections that stay open for later requests.
MAX_IDLE_CONNECTIONS = 32
FORBIDDEN, NOT_FOUND, CONFLICT, INVALID, TOO_MANY_REQUESTS = 403, 404, 409, 422, 429
# How often a throttled request (429) is sent, and the longest pause between two attempts.
MAX_ATTEMPTS, MAX_WAIT_SECONDS = 5, 10.0
JSON, MERGE_PATCH, APPLY_PATCH = "application/json", "application/merge-patch+json", "application/apply-patch+yaml"
SECRET_PATH = re.compile(r"/api/v1/(namespaces/[^/]+/)?secrets(/|$)")
Propagation = Literal["Background", "Foreground", "Orphan"]


class Kind(NamedTuple):
    """A kind of object, as the cluster serves it."""

    api_version: str
    plural: str
    is_namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        """The API path of one object, of all objects in a namespace, or of all objects."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        scope = f"/namespaces/{namespace}" if self.is_namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}{f'/{name}' if name else ''}"


class ApiStatusError(ToolError):
    """The API server refused a request.

    Attributes:
        code: the HTTP status.
        is_immutable: whether the request changed a field that cannot be changed.
        reason: the machine-readable reason of the API server, such as `AlreadyExists`; empty if it gave none.
    """

    def __init__(self, message: str, code: int, is_immutable: bool = False, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.is_immutable = is_immutable
        self.reason = reason


class ClusterUnreachableError(ToolError):
    """A cluster does not answer; `reason` does not name the request."""

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(f"{subject}: {reason}")
        self.reason = reason


class DynamicClient:
    """The objects of one cluster.

    Every method that sends a request raises ApiStatusError where the API server refuses it, and
    ClusterUnreachableError where the cluster does not answer.

    Args:
        config: address and credentials of the cluster.
        cluster_name: the cluster in error messages.
        timeout: in seconds, for one request.
    """

    def __init__(self, config: SingleConfig, cluster_name: str = "the cluster", timeout: float = TIMEOUT) -> None:
        params = client_adapter.ConnectionParams(timeout=httpx2.Timeout(timeout)).httpx_params(config)
        # Each watch holds a connection for as long as it lasts.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=MAX_IDLE_CONNECTIONS)
        self._http = httpx2.Client(**params, limits=limits)
        self._cluster_name = cluster_name
        self._kinds: dict[str, dict[str, Kind]] = {}
        self._user = ""

    def impersonate(self, user: str) -> DynamicClient:
        """The same cluster with the rights of another user."""
        other = copy(self)
        other._user = user
        return other

    def close(self) -> None:
        """Closes all connections."""
        self._http.close()

    def find_kind(self, api_version: str, kind: str) -> Kind | None:
        """A kind by its API version and name; None if the cluster does not serve it."""
        if kind not in self._kinds.get(api_version, {}):
            self._kinds[api_version] = self._discover_kinds(api_version)
        return self._kinds[api_version].get(kind)

    def find_newest_kind(self, group: str, versions: Sequence[str], kind: str) -> Kind | None:
        """A kind in the first of the versions that the cluster serves; None if it serves no version."""
        served_kinds = (self.find_kind(f"{group}/{version}", kind) for version in versions)
        return next(filter(None, served_kinds), None)

    def require_kind(self, group: str, versions: Sequence[str], kind: str, provider: str) -> Kind:
        """A kind in the first of the versions that the cluster serves.

        Args:
            provider: whose resource definitions have to be installed, for the error message.

        Raises:
            ToolError: the cluster does not serve any of the versions.
        """
        served_kind = self.find_newest_kind(group, versions, kind)
        if served_kind is None:
            raise ToolError(f"{self._cluster_name} has no {kind} of {group}: install the CRDs of {provider}")
        return served_kind

    def list_kinds(self) -> Iterator[tuple[str, Kind]]:
        """All listable kinds with their names, each in the version that the cluster prefers."""
        groups = self._request("GET", "/apis", "the API groups").get("groups") or ()
        for api_version in ("v1", *(group["preferredVersion"]["groupVersion"] for group in groups)):
            yield from self._discover_kinds(api_version).items()

    def _discover_kinds(self, api_version: str) -> dict[str, Kind]:
        path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            listed = self._request("GET", path, f"the kinds of {api_version}")
        except ApiStatusError as error:
            if error.code == NOT_FOUND:
                return {}
            raise
        return {
            resource["kind"]: Kind(api_version, resource["name"], resource["namespaced"])
            for resource in listed.get("resources") or ()
            if "/" not in resource["name"] and "list" in (resource.get("verbs") or ("list",))
        }

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """An object; None if it does not exist."""
        try:
            return self._request("GET", kind.path(namespace, name), f"{kind.plural} {name}")
        except ApiStatusError as error:
            if error.code == NOT_FOUND:
                return None
            raise

    def list(self, kind: Kind, namespace: str = "", selector: str = "") -> Iterator[Object]:
        """The objects of a kind, of one namespace or all, that match a label selector."""
        params = {"limit": str(PAGE_SIZE), **({"labelSelector": selector} if selector else {})}
        while True:
            page = self._request("GET", kind.path(namespace), f"the list of {kind.plural}", params)
            kind_name = str(page.get("kind")).removesuffix("List")
            for value in page.get("items") or ():
                yield {"apiVersion": kind.api_version, "kind": kind_name, **value}
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return
            params["continue"] = more

    def apply(self, kind: Kind, value: Object, manager: str, is_dry: bool) -> Object:
        """Applies an object by the server as a field manager that takes over conflicting fields; returns the result."""
        params = {"fieldManager": manager, "force": "true", **({"dryRun": "All"} if is_dry else {})}
        path, subject = kind.path(*name_of(value)), _format_object(kind, value)
        return self._request("PATCH", path, subject, params, body=value, content_type=APPLY_PATCH)

    def create(self, kind: Kind, value: Object, manager: str = "") -> Object:
        """Creates an object; returns it as stored."""
        path = kind.path(value["metadata"].get("namespace") or "")
        return self._request("POST", path, _format_object(kind, value), {"fieldManager": manager}, body=value)

    def create_token(self, namespace: str, name: str, spec: Mapping[str, Any]) -> Object:
        """Requests a token for a ServiceAccount. Source: Kubernetes API reference, TokenRequest v1."""
        path = f"{Kind('v1', 'serviceaccounts', True).path(namespace, name)}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": dict(spec)}
        return self._request("POST", path, f"a token of the ServiceAccount {namespace}/{name}", body=body)

    def replace(self, kind: Kind, value: Object, manager: str = "", is_dry: bool = False) -> Object:
        """Replaces an object that still has the resourceVersion it was read with; returns it as stored."""
        params = {"fieldManager": manager} | ({"dryRun": "All"} if is_dry else {})
        return self._request("PUT", kind.path(*name_of(value)), _format_object(kind, value), params, body=value)

    def patch(self, kind: Kind, value: Object, changes: Mapping[str, Any], manager: str = "") -> Object:
        """Merges changes into an object that still has the resourceVersion it was read with; returns the result."""
        version = value["metadata"]["resourceVersion"]
        body = {**changes, "metadata": {**(changes.get("metadata") or {}), "resourceVersion": version}}
        path, subject = kind.path(*name_of(value)), _format_object(kind, value)
        return self._request("PATCH", path, subject, {"fieldManager": manager}, body=body, content_type=MERGE_PATCH)

    def patch_status(self, kind: Kind, value: Object, status: Mapping[str, Any]) -> Object:
        """Merges a status into an object that still has the resourceVersion it was read with; returns the result."""
        body = {"metadata": {"resourceVersion": value["metadata"]["resourceVersion"]}, "status": status}
        path, subject = f"{kind.path(*name_of(value))}/status", f"the status of {_format_object(kind, value)}"
        return self._request("PATCH", path, subject, body=body, content_type=MERGE_PATCH)

    def delete(self, kind: Kind, namespace: str, name: str, uid: str, propagation: Propagation = "Background") -> None:
        """Deletes an object if it still has this uid; an object that does not exist is not an error."""
        options = {"propagationPolicy": propagation, "preconditions": {"uid": uid}}
        try:
            self._request("DELETE", kind.path(namespace, name), f"{kind.plural} {name}", body=options)
        except ApiStatusError as error:
            if error.code != NOT_FOUND:
                raise

    def fetch_page(self, path: str, params: Mapping[str, str], accept: str) -> Object:
        """One page of a list, in the requested media type."""
        return self._request("GET", path, f"the list of {path.rpartition('/')[2]}", params, accept=accept)

    @contextmanager
    def stream_lines(
        self, path: str, params: Mapping[str, str], accept: str, read_timeout: float
    ) -> Iterator[Iterator[str]]:
        """The events of a watch as they arrive, one JSON text per line.

        Args:
            read_timeout: seconds of silence after which the connection counts as lost.

        Raises: ApiStatusError: the API server answers with an error.
        """
        subject, timeout = f"the watch of {path.rpartition('/')[2]}", httpx2.Timeout(TIMEOUT, read=read_timeout)
        headers = {"Accept": accept}
        with (
            self._translate_errors(subject),
            self._http.stream("GET", path, params=dict(params), headers=headers, timeout=timeout) as answer,
        ):
            if not answer.is_success:
                raise ApiStatusError(f"{subject}: status {answer.status_code}", answer.status_code)
            yield answer.iter_lines()

    def _request(
        self,
        method: str,
        path: str,
        subject: str,
        params: Mapping[str, str] | None = None,
        *,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Object:
        content = orjson.dumps(body) if body is not None else None
        headers = {"Content-Type": content_type, "Accept": accept}
        if self._user:
            headers["Impersonate-User"] = self._user
        for attempts_left in reversed(range(MAX_ATTEMPTS)):
            with self._translate_errors(subject):
                answer = self._http.request(method, path, params=dict(params or {}), content=content, headers=headers)
            if answer.status_code != TOO_MANY_REQUESTS or not attempts_left:
                break
            # The API server has not begun to work on a throttled request.
            time.sleep(_parse_retry_after(answer.headers.get("Retry-After")))
        parsed = _parse_json(answer.content)
        if answer.is_success:
            return parsed
        reason, status = str(parsed.get("reason") or ""), f"status {answer.status_code}"
        message = str(parsed.get("message") or status)
        is_immutable = "immutable" in message and answer.status_code in (CONFLICT, INVALID)
        # The message about a Secret may repeat its values.
        shown = (reason or status) if SECRET_PATH.match(path) else message
        raise ApiStatusError(f"{subject}: {shown}", answer.status_code, is_immutable, reason)

    @contextmanager
    def _translate_errors(self, subject: str) -> Iterator[None]:
        try:
            yield
        except httpx2.HTTPError as error:
            reason = f"{self._cluster_name} does not answer ({type(error).__name__})"
            raise ClusterUnreachableError(subject, reason) from None


def _parse_retry_after(header: str | None) -> float:
    return min(MAX_WAIT_SECONDS, float(header)) if header and header.isdigit() else 1.0


def _parse_json(content: bytes) -> Object:
    try:
        parsed: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _format_object(kind: Kind, value: Object) -> str:
    metadata = value["metadata"]
    namespace = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{value.get('kind') or kind.plural} {namespace}{metadata.get('name') or metadata.get('generateName')}"
