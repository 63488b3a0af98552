"""HashiCorp Vault as a store: the KV secrets engine, version 1 and 2.

Source: external-secrets `providers/v1/vault/client_get.go` (how paths are built).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.protocol import (
    FetchOutcome,
    SecretNotFoundError,
    SecretQuery,
    SecretRef,
    StoreError,
    StoreRetryPolicy,
    compile_name_pattern,
    encode_go_json,
)

if TYPE_CHECKING:
    import hvac

TIMEOUT_SECONDS = 15.0
# The number of concurrent requests to one Vault.
CONCURRENT_REQUESTS = 8


class VaultConfig(NamedTuple):
    """The address of a Vault and how to talk to it.

    Attributes:
        mount: the mount path of the KV secrets engine; empty if the keys contain it.
        kv_version: the version of the KV secrets engine, `v1` or `v2`.
        namespace: the namespace of Vault Enterprise.
        ca_file: a file with the CA certificates of the server; empty for those of the system.
        client_certificate: the files of a client certificate and its key.
        headers: sent with each request.
        retry: how often a request is retried.
    """

    url: str
    mount: str = ""
    kv_version: str = "v2"
    namespace: str = ""
    ca_file: str = ""
    client_certificate: tuple[str, str] | None = None
    headers: Mapping[str, str] = {}
    retry: StoreRetryPolicy = StoreRetryPolicy()


class VaultSession(NamedTuple):
    """A client with a token.

    Attributes:
        lifetime_seconds: the lifetime of the token when it was issued; 0 if it is unknown.
        expires_at: the time when the token expires, by `time.monotonic`.
    """

    client: hvac.Client
    lifetime_seconds: float = 0.0
    is_renewable: bool = False
    expires_at: float = 0.0


class VaultStore:
    """A Vault with an open session.

    Args:
        files: the files of the credentials; closed with the store.
    """

    def __init__(self, config: VaultConfig, session: VaultSession, files: MemoryFiles | None = None) -> None:
        self._config = config
        self._session = session
        self._files = files
        self._request_count = 0
        self._lock = threading.Lock()
        # After a connection error every request fails at once, instead of each waiting for its timeout.
        self._connection_error: StoreError | None = None

    @property
    def request_count(self) -> int:
        """See `Store.request_count`; signing in does not count."""
        return self._request_count

    def renew_session(self) -> bool:
        """See `Store.renew_session`: the token is renewed when less than a third of its lifetime is left."""
        if self._connection_error is not None:
            return False
        session = self._session
        if not session.lifetime_seconds or session.expires_at - time.monotonic() > session.lifetime_seconds / 3:
            return True
        if not session.is_renewable:
            return False
        try:
            answer = send_request(session.client.auth.token.renew_self, "renewing the token")
        except StoreError:
            return False
        auth = answer.get("auth")
        seconds = float(auth.get("lease_duration") or 0) if isinstance(auth, dict) else 0.0
        self._session = session._replace(expires_at=time.monotonic() + seconds)
        # Near the end of its maximum lifetime, a token is renewed for a short time only: a new one is better.
        return seconds > session.lifetime_seconds / 3

    def fetch(self, refs: Sequence[SecretRef]) -> list[FetchOutcome]:
        """See `Store.fetch`."""
        with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
            return list(pool.map(self._fetch_one, refs))

    def _fetch_one(self, ref: SecretRef) -> FetchOutcome:
        try:
            if ref.is_metadata:
                return self._fetch_metadata(ref)
            # Vault answers with 404 for a deleted version, too.
            params = {"version": ref.version} if ref.version else None
            values = self._request("GET", self.build_path(ref.key), ref, params).get("data")
            if self._config.kv_version == "v2":
                values = values.get("data") if isinstance(values, dict) else None
            if values is None:
                return SecretNotFoundError(f"{ref}: it was deleted in Vault")
            return SecretBytes(encode_go_json(values))
        except StoreError as error:
            return error

    def _fetch_metadata(self, ref: SecretRef) -> FetchOutcome:
        if self._config.kv_version == "v1":
            raise StoreError(f"{ref}: KV secrets of version 1 have no metadata")
        data = self._request("GET", self.build_metadata_path(ref.key), ref).get("data")
        metadata = data.get("custom_metadata") if isinstance(data, dict) else None
        return SecretBytes(encode_go_json(metadata or {}))

    def find(self, query: SecretQuery) -> Mapping[str, SecretBytes]:
        """See `Store.find`: by name, or by custom metadata.

        Raises:
            StoreError: Vault refuses or does not answer, or the query has tags and the KV version is 1.
        """
        if self._config.kv_version == "v1" and query.tags:
            raise StoreError("KV secrets of version 1 have no metadata: remove `find.tags`")
        pattern = compile_name_pattern(query.name)
        start = f"{query.path.rstrip('/')}/" if query.path else ""
        names = [name for name in self._list_keys(start) if pattern.search(name)]
        if query.tags:
            metadata = zip(names, self.fetch([SecretRef(name, is_metadata=True) for name in names]), strict=True)
            names = [name for name, outcome in metadata if _has_tags(outcome, query.tags)]
        values: dict[str, SecretBytes] = {}
        for name, outcome in zip(names, self.fetch([SecretRef(name) for name in names]), strict=True):
            # A secret that was deleted since the listing is left out; any other error fails the search.
            if isinstance(outcome, SecretBytes):
                values[name] = outcome
            elif not isinstance(outcome, SecretNotFoundError):
                raise outcome
        return values

    def _list_keys(self, path: str) -> Iterator[str]:
        """Yield the keys below a path, recursively."""
        try:
            answer = self._request("LIST", self.build_metadata_path(path), SecretRef(path))
        except SecretNotFoundError:
            return
        data = answer.get("data")
        for name in data.get("keys") or () if isinstance(data, dict) else ():
            if str(name).endswith("/"):
                yield from self._list_keys(f"{path}{name}")
            else:
                yield f"{path}{name}"

    def build_path(self, key: str) -> str:
        """Return the API path of the value of a secret."""
        mount, is_v2 = self._config.mount.strip("/"), self._config.kv_version == "v2"
        if mount:
            rest = key
            if rest.startswith(f"{mount}/"):
                rest = rest.removeprefix(f"{mount}/")
                rest = rest.removeprefix("data/") if is_v2 else rest
            return "/".join([mount, *(["data"] if is_v2 else []), rest])
        if is_v2 and "/data/" not in key:
            first, _, rest = key.partition("/")
            return f"{first}/data/{rest}" if rest else f"{first}/data"
        return key

    def build_metadata_path(self, key: str) -> str:
        """Return the API path of the metadata of a secret, or of a listing.

        Raises:
            StoreError: the key does not contain `/data/`, and no mount is configured.
        """
        mount = self._config.mount.strip("/")
        if self._config.kv_version == "v1":
            return f"{mount}/{key}".lstrip("/")
        if mount:
            return f"{mount}/metadata/{key}"
        if "data" not in key:
            raise StoreError(f"`{key}` is not a path of KV version 2: `/data/` is missing")
        return key.replace("/data/", "/metadata/", 1)

    def _request(
        self, method: str, path: str, ref: SecretRef, params: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        # The key comes from a manifest: it must not lead out of the mount.
        if not {".", ".."}.isdisjoint(path.split("/")):
            raise StoreError(f"{ref}: a path in Vault must not contain `.` or `..`")
        if self._connection_error is not None:
            raise self._connection_error
        with self._lock:
            self._request_count += 1
        url = f"/v1/{quote(path, safe='/')}"
        try:
            return send_request(
                lambda: self._session.client.adapter.request(method.lower(), url, params=params), str(ref)
            )
        except StoreError as error:
            self._connection_error = error if error.is_store_wide else None
            raise

    def close(self) -> None:
        """See `Store.close`. The token is not revoked: it may belong to the user, and it expires."""
        self._session.client.adapter.close()
        if self._files:
            self._files.close()


def send_request(request: Callable[[], Any], description: str) -> dict[str, Any]:
    """Send a request and return the JSON object of the response; messages never show text of Vault.

    Args:
        request: sends it.
        description: what is requested, for messages.

    Raises:
        SecretNotFoundError: Vault has no such secret.
        StoreError: Vault refuses, or does not answer; the message says what to do.
    """
    # hvac starts slowly; it is loaded only if a store uses it.
    import requests
    from hvac import exceptions

    try:
        response = request()
        value = response.json() if hasattr(response, "json") else response
    except exceptions.InvalidPath:
        raise SecretNotFoundError(f"{description}: Vault has no such secret") from None
    except exceptions.Forbidden:
        raise StoreError(
            f"{description}: Vault denies access (403): the token has expired, or its policies do not allow this"
        ) from None
    except exceptions.Unauthorized:
        raise StoreError(
            f"{description}: Vault rejects the credentials (401): check `auth` of the SecretStore"
        ) from None
    except exceptions.RateLimitExceeded:
        raise StoreError(f"{description}: Vault limits the request rate (429)", is_transient=True) from None
    except exceptions.VaultDown:
        raise _build_unavailable_error("Vault is sealed or not ready (503)") from None
    except (exceptions.InternalServerError, exceptions.BadGateway, exceptions.VaultNotInitialized):
        raise StoreError(f"{description}: Vault has an internal error (5xx)", is_transient=True) from None
    except exceptions.UnexpectedError:
        raise StoreError(f"{description}: Vault answered with an unexpected status", is_transient=True) from None
    except exceptions.VaultError as error:
        raise StoreError(f"{description}: Vault refuses the request: {type(error).__name__}") from None
    except requests.exceptions.SSLError:
        raise StoreError(
            "the certificate of Vault is not trusted: check `caBundle` of the SecretStore", is_store_wide=True
        ) from None
    except requests.exceptions.Timeout:
        raise _build_unavailable_error(f"Vault did not answer within {TIMEOUT_SECONDS:g} seconds") from None
    except requests.exceptions.ConnectionError:
        raise _build_unavailable_error("Vault does not answer") from None
    except (requests.exceptions.RequestException, ValueError):
        raise StoreError(f"{description}: the response of Vault is incomplete or not JSON", is_transient=True) from None
    return value if isinstance(value, dict) else {}


def _build_unavailable_error(reason: str) -> StoreError:
    """Build the error for a Vault that is temporarily unavailable."""
    return StoreError(reason, is_transient=True, is_store_wide=True)


def _has_tags(outcome: FetchOutcome, tags: Mapping[str, str]) -> bool:
    if not isinstance(outcome, SecretBytes):
        if isinstance(outcome, SecretNotFoundError):
            return False
        raise outcome
    metadata = orjson.loads(outcome.reveal())
    return all(metadata.get(name) == text for name, text in tags.items())
