"""Objects of any kind in a cluster, as plain JSON: looked up, applied by the server, and taken away.

Which kinds there are the cluster says (discovery), for what is applied may be of a kind that nobody knew at start.
lightkube knows how to reach a cluster; its own types would drop fields that it does not know.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson

from gatekeeper.errors import ToolError

if TYPE_CHECKING:
    from lightkube import Client

TIMEOUT_SECONDS = 30.0
PAGE_SIZE = 500
# So many connections are kept open for the next request.
MAX_IDLE_CONNECTIONS = 32
FORBIDDEN, NOT_FOUND, CONFLICT, INVALID, TOO_MANY_REQUESTS = 403, 404, 409, 422, 429
# So often a request is sent that the cluster has no time for; and so many seconds it is waited at most.
MAX_ATTEMPTS, MAX_WAIT_SECONDS = 5, 10.0
Object = dict[str, Any]
Propagation = Literal["Background", "Foreground", "Orphan"]


class Kind(NamedTuple):
    """A kind of object, as the cluster serves it."""

    api_version: str
    plural: str
    is_namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        """Where an object, or all of a namespace, is in the API."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        space = f"/namespaces/{namespace}" if self.is_namespaced and namespace else ""
        return f"{root}{space}/{self.plural}{f'/{name}' if name else ''}"


class ApiStatusError(ToolError):
    """The cluster refuses.

    Attributes:
        code: the status.
        is_immutable: whether it is because of a field that cannot be changed.
    """

    def __init__(self, message: str, code: int, is_immutable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.is_immutable = is_immutable


class DynamicClient:
    """The objects of a cluster.

    Args:
        client: of the cluster, of which the way in is taken.
    """

    def __init__(self, client: Client) -> None:
        import httpx2
        from lightkube.config import client_adapter

        params = client_adapter.ConnectionParams(timeout=httpx2.Timeout(TIMEOUT_SECONDS)).httpx_params(client.config)
        # Each watch holds a connection for as long as it lasts.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=MAX_IDLE_CONNECTIONS)
        self._http = httpx2.Client(**params, limits=limits)
        self._kinds: dict[str, dict[str, Kind]] = {}
        self._user = ""

    def impersonate(self, user: str) -> DynamicClient:
        """The same cluster, in which another user does what is done, with no more than that one's rights."""
        other = copy(self)
        other._user = user
        return other

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def find_kind(self, api_version: str, kind: str) -> Kind | None:
        """A kind, as the cluster serves it; None where it does not."""
        if kind not in self._kinds.get(api_version, {}):
            self._kinds[api_version] = self._discover_kinds(api_version)
        return self._kinds[api_version].get(kind)

    def find_newest_kind(self, group: str, versions: Sequence[str], kind: str) -> Kind | None:
        """A kind of the first of some versions that the cluster serves; None where it serves none."""
        return next((found for version in versions if (found := self.find_kind(f"{group}/{version}", kind))), None)

    def list_kinds(self) -> Iterator[tuple[str, Kind]]:
        """All kinds that can be listed, with their names, each of the version that the cluster prefers.

        Raises:
            ToolError: the cluster does not tell.
        """
        groups = self._request("GET", "/apis", "the groups").get("groups") or ()
        for api_version in ("v1", *(one["preferredVersion"]["groupVersion"] for one in groups)):
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
            one["kind"]: Kind(api_version, one["name"], one["namespaced"])
            for one in listed.get("resources") or ()
            if "/" not in one["name"] and "list" in (one.get("verbs") or ("list",))
        }

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """An object; None where there is none."""
        try:
            return self._request("GET", kind.path(namespace, name), f"{kind.plural} {name}")
        except ApiStatusError as error:
            if error.code == NOT_FOUND:
                return None
            raise

    def list(self, kind: Kind, namespace: str = "", selector: str = "") -> Iterator[Object]:
        """All objects of a kind, of all namespaces or one, with some labels or any."""
        params = {"limit": str(PAGE_SIZE), **({"labelSelector": selector} if selector else {})}
        while True:
            answer = self._request("GET", kind.path(namespace), f"the list of {kind.plural}", params)
            for one in answer.get("items") or ():
                yield {"apiVersion": kind.api_version, "kind": str(answer.get("kind")).removesuffix("List"), **one}
            more = (answer.get("metadata") or {}).get("continue")
            if not more:
                return
            params["continue"] = more

    def apply(self, kind: Kind, value: Object, manager: str, is_dry: bool) -> Object:
        """Applies an object by the server, which takes over what others have set of it; the object as it is then.

        Raises:
            Refusal: the cluster does not take it.
        """
        metadata = value["metadata"]
        params = {"fieldManager": manager, "force": "true", **({"dryRun": "All"} if is_dry else {})}
        path = kind.path(metadata.get("namespace") or "", metadata["name"])
        return self._request("PATCH", path, _format_object(value), params, value, "application/apply-patch+yaml")

    def create(self, kind: Kind, value: Object, manager: str = "") -> Object:
        """Makes an object, as a field manager; as it is then.

        Raises:
            Refusal: the cluster does not take it.
        """
        namespace = value["metadata"].get("namespace") or ""
        shown = _format_object({"kind": kind.plural, **value})
        return self._request("POST", kind.path(namespace), shown, _field_manager_params(manager), value)

    def replace(self, kind: Kind, value: Object, manager: str = "", is_dry: bool = False) -> Object:
        """Writes an object as a whole, as a field manager, if it is still as it was read; as it is then.

        Raises:
            Refusal: it was changed meanwhile, or the cluster does not take it.
        """
        metadata = value["metadata"]
        path = kind.path(metadata.get("namespace") or "", metadata["name"])
        params = {**_field_manager_params(manager), **({"dryRun": "All"} if is_dry else {})}
        return self._request("PUT", path, _format_object({"kind": kind.plural, **value}), params, value)

    def patch(self, kind: Kind, value: Object, changes: Mapping[str, Any], manager: str = "") -> Object:
        """Merges changes into an object, as a field manager, if it is still as it was read; as it is then.

        Raises:
            Refusal: it was changed meanwhile, or the cluster does not take it.
        """
        metadata = value["metadata"]
        own = {**(changes.get("metadata") or {}), "resourceVersion": metadata["resourceVersion"]}
        path = kind.path(metadata.get("namespace") or "", metadata["name"])
        patch = {**changes, "metadata": own}
        return self._request(
            "PATCH", path, metadata["name"], _field_manager_params(manager), patch, "application/merge-patch+json"
        )

    def fetch_page(self, path: str, params: Mapping[str, str], accept: str) -> Object:
        """One page of a list, in a form that is asked for.

        Raises:
            Refusal: the cluster does not give it.
        """
        return self._request("GET", path, f"the list of {path.rpartition('/')[2]}", params, accept=accept)

    @contextmanager
    def stream_lines(
        self, path: str, params: Mapping[str, str], accept: str, read_timeout: float
    ) -> Iterator[Iterator[str]]:
        """What the cluster says as it happens, a line each.

        Args:
            read_timeout: of silence after which the connection counts as lost.

        Raises:
            Refusal: the cluster does not say it.
            ToolError: it does not answer, or no longer.
        """
        import httpx2

        what, wait = f"the watch of {path.rpartition('/')[2]}", httpx2.Timeout(TIMEOUT_SECONDS, read=read_timeout)
        with (
            _translate_errors(what),
            self._http.stream("GET", path, params=dict(params), headers={"Accept": accept}, timeout=wait) as answer,
        ):
            if not answer.is_success:
                raise ApiStatusError(f"{what}: status {answer.status_code}", answer.status_code)
            yield answer.iter_lines()

    def delete(self, kind: Kind, namespace: str, name: str, uid: str, propagation: Propagation = "Background") -> None:
        """Takes an object away, and what hangs on it, as is said; if it is there, and the one that was meant."""
        options = {"propagationPolicy": propagation, "preconditions": {"uid": uid}}
        try:
            self._request("DELETE", kind.path(namespace, name), f"{kind.plural} {name}", {}, options)
        except ApiStatusError as error:
            if error.code != NOT_FOUND:
                raise

    def patch_status(self, kind: Kind, value: Object, status: Mapping[str, Any]) -> Object:
        """Writes the status of an object as it was read; the object as it is then.

        Raises:
            Refusal: it was changed meanwhile, or the cluster does not take it.
        """
        metadata = value["metadata"]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": status}
        path = f"{kind.path(metadata.get('namespace') or '', metadata['name'])}/status"
        return self._request(
            "PATCH", path, f"the status of {metadata['name']}", {}, patch, "application/merge-patch+json"
        )

    def _request(
        self,
        method: str,
        path: str,
        subject: str,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        sent = orjson.dumps(body) if body is not None else None
        headers = {"Content-Type": content_type, "Accept": accept}
        if self._user:
            headers["Impersonate-User"] = self._user
        for left in reversed(range(MAX_ATTEMPTS)):
            with _translate_errors(subject):
                answer = self._http.request(method, path, params=dict(params or {}), content=sent, headers=headers)
            if answer.status_code != TOO_MANY_REQUESTS or not left:
                break
            # It has not begun to do it, and says when it may.
            time.sleep(_parse_retry_after(answer.headers.get("Retry-After")))
        held: Any = _parse_json(answer.content)
        if answer.is_success:
            return held if isinstance(held, dict) else {}
        message = str((held if isinstance(held, dict) else {}).get("message") or f"status {answer.status_code}")
        immutable = "immutable" in message and answer.status_code in (CONFLICT, INVALID)
        # What is said of a Secret may repeat what is in it.
        shown = str(held.get("reason")) if subject.startswith("Secret ") and isinstance(held, dict) else message
        raise ApiStatusError(f"{subject}: {shown}", answer.status_code, immutable)


def _parse_retry_after(header: str | None) -> float:
    return min(MAX_WAIT_SECONDS, float(header)) if header and header.isdigit() else 1.0


def _field_manager_params(manager: str) -> dict[str, str]:
    return {"fieldManager": manager} if manager else {}


def _parse_json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _format_object(value: Object) -> str:
    metadata = value["metadata"]
    space = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{value['kind']} {space}{metadata.get('name') or metadata.get('generateName')}"


@contextmanager
def _translate_errors(subject: str) -> Iterator[None]:
    import httpx2

    try:
        yield
    except httpx2.HTTPError as error:
        raise ToolError(f"{subject}: the cluster does not answer ({type(error).__name__})") from None
