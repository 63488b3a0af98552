"""HashiCorp Vault as a store: KV secrets of version 1 and 2, through hvac.

Paths and their parts are put together as external-secrets does it: `providers/v1/vault/client_get.go`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import orjson

from gatekeeper.host.memory_files import MemoryFiles
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
# So many requests to one Vault at a time.
CONCURRENT_REQUESTS = 8


class VaultConfig(NamedTuple):
    """Where a Vault is.

    Attributes:
        mount: where its KV secrets are mounted; empty where keys say it themselves.
        kv_version: of the KV secrets, `v1` or `v2`.
        ca_file: a file with certificates that vouch for it; empty for the system's.
        client_certificate: files with a certificate and key that are shown to it.
        headers: sent with each request.
        retry: how often a request is made again.
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
    """A client that has a token.

    Attributes:
        lifetime_seconds: how long the token was good for when it was given; 0 where that is not known.
        expires_at: when it ends, by `time.monotonic`.
    """

    client: hvac.Client
    lifetime_seconds: float = 0.0
    is_renewable: bool = False
    expires_at: float = 0.0


class VaultStore:
    """A Vault that was signed in to."""

    def __init__(self, config: VaultConfig, session: VaultSession, files: MemoryFiles | None = None) -> None:
        self._config = config
        self._session = session
        self._files = files
        self._request_count = 0
        self._lock = threading.Lock()
        # Why it cannot be reached, so that the rest is not asked for in vain, each until its time is up.
        self._connection_error: StoreError | None = None

    @property
    def request_count(self) -> int:
        """How many requests were made, signing in not counted."""
        return self._request_count

    def renew_session(self) -> bool:
        """See `Store.keep`: the token is renewed once a third of its time is left."""
        self._connection_error = None
        session = self._session
        if not session.lifetime_seconds or session.expires_at - time.monotonic() > session.lifetime_seconds / 3:
            return True
        if not session.is_renewable:
            return False
        try:
            answer = send_request(session.client.auth.token.renew_self, "renewing the token")
        except StoreError:
            return False
        given = answer.get("auth")
        seconds = float(given.get("lease_duration") or 0) if isinstance(given, dict) else 0.0
        self._session = session._replace(expires_at=time.monotonic() + seconds)
        # Once a token is near the end of its longest life, renewing gives it little more.
        return seconds > session.lifetime_seconds / 3

    def fetch(self, refs: Sequence[SecretRef]) -> list[FetchOutcome]:
        """See `Store.read`."""
        with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
            return list(pool.map(self._fetch_one, refs))

    def _fetch_one(self, ref: SecretRef) -> FetchOutcome:
        try:
            if ref.is_metadata:
                return self._fetch_metadata(ref)
            # A deleted version, too, is answered with 404.
            answer = self._request(
                "GET", self.build_path(ref.key), ref, {"version": ref.version} if ref.version else None
            )
            held = answer.get("data")
            if self._config.kv_version == "v2":
                held = held.get("data") if isinstance(held, dict) else None
            if held is None:
                return SecretNotFoundError(f"{ref}: Vault has it no longer: it was deleted")
            return SecretBytes(encode_go_json(held))
        except StoreError as error:
            return error

    def _fetch_metadata(self, ref: SecretRef) -> FetchOutcome:
        if self._config.kv_version == "v1":
            raise StoreError(f"{ref}: KV secrets of version 1 have no metadata")
        data = self._request("GET", self.build_metadata_path(ref.key), ref).get("data")
        held = data.get("custom_metadata") if isinstance(data, dict) else None
        return SecretBytes(encode_go_json(held or {}))

    def find(self, query: SecretQuery) -> Mapping[str, SecretBytes]:
        """See `Store.find`: by name, or by custom metadata."""
        if self._config.kv_version == "v1" and query.tags:
            raise StoreError("KV secrets of version 1 have no metadata to find them by")
        pattern = compile_name_pattern(query.name)
        start = f"{query.path.rstrip('/')}/" if query.path else ""
        names = [name for name in self._list_keys(start) if pattern.search(name)]
        if query.tags:
            marks = zip(names, self.fetch([SecretRef(name, is_metadata=True) for name in names]), strict=True)
            names = [name for name, mark in marks if _has_tags(mark, query.tags)]
        found: dict[str, SecretBytes] = {}
        for name, outcome in zip(names, self.fetch([SecretRef(name) for name in names]), strict=True):
            # What was deleted while it was listed is not there; anything else is no answer.
            if isinstance(outcome, SecretBytes):
                found[name] = outcome
            elif not isinstance(outcome, SecretNotFoundError):
                raise outcome
        return found

    def _list_keys(self, path: str) -> Iterator[str]:
        """The keys below a path, folder by folder."""
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
        """The path of a secret's value in Vault's API."""
        mount, is_second = self._config.mount.strip("/"), self._config.kv_version == "v2"
        if mount:
            rest = key
            if rest.startswith(f"{mount}/"):
                rest = rest.removeprefix(f"{mount}/")
                rest = rest.removeprefix("data/") if is_second else rest
            return "/".join([mount, *(["data"] if is_second else []), rest])
        if is_second and "/data/" not in key:
            first, _, rest = key.partition("/")
            return f"{first}/data/{rest}" if rest else f"{first}/data"
        return key

    def build_metadata_path(self, key: str) -> str:
        """The path of a secret's metadata, or of a list."""
        mount = self._config.mount.strip("/")
        if self._config.kv_version == "v1":
            return f"{mount}/{key}".lstrip("/")
        if mount:
            return f"{mount}/metadata/{key}"
        if "data" not in key:
            raise StoreError(f"`{key}` is no path of KV secrets of version 2: it has no `/data/`")
        return key.replace("/data/", "/metadata/", 1)

    def _request(
        self, method: str, path: str, ref: SecretRef, params: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        # A key is text from a manifest: it must stay below the mount, and mean what it says.
        if not {".", ".."}.isdisjoint(path.split("/")):
            raise StoreError(f"{ref}: Vault has no paths with `.` or `..`")
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
        """Closes the connections. The token is its owner's, and ends by itself."""
        self._session.client.adapter.close()
        if self._files:
            self._files.close()


def send_request(request: Callable[[], Any], description: str) -> dict[str, Any]:
    """The answer to a request, as JSON.

    Raises:
        Missing: Vault has no such thing.
        StoreError: it refuses, or does not answer; with what to do, and without a word of what it said.
    """
    import requests
    from hvac import exceptions

    try:
        answer = request()
        value = answer.json() if hasattr(answer, "json") else answer
    except exceptions.InvalidPath:
        raise SecretNotFoundError(f"{description}: Vault has no such secret") from None
    except exceptions.Forbidden:
        raise StoreError(
            f"{description}: Vault refuses (403): the token has ended, or its policies do not let it read this"
        ) from None
    except exceptions.Unauthorized:
        raise StoreError(f"{description}: Vault does not know who asks (401): look at `auth` of the store") from None
    except exceptions.RateLimitExceeded:
        raise StoreError(f"{description}: Vault says that it is asked too often (429)", is_transient=True) from None
    except exceptions.VaultDown:
        raise _build_unavailable_error("Vault is sealed, or not ready (503)") from None
    except (exceptions.InternalServerError, exceptions.BadGateway, exceptions.VaultNotInitialized):
        raise StoreError(f"{description}: Vault has a fault of its own (5xx)", is_transient=True) from None
    except exceptions.UnexpectedError:
        raise StoreError(f"{description}: Vault answers as it should not", is_transient=True) from None
    except exceptions.VaultError as error:
        raise StoreError(f"{description}: Vault refuses: {type(error).__name__}") from None
    except requests.exceptions.SSLError:
        raise StoreError(
            "Vault's certificate is not vouched for: look at `caBundle` of the store", is_store_wide=True
        ) from None
    except requests.exceptions.Timeout:
        raise _build_unavailable_error(f"Vault did not answer within {TIMEOUT_SECONDS:g} seconds") from None
    except requests.exceptions.ConnectionError:
        raise _build_unavailable_error("Vault does not answer") from None
    except (requests.exceptions.RequestException, ValueError):
        raise StoreError(f"{description}: Vault's answer was cut off, or is no JSON", is_transient=True) from None
    return value if isinstance(value, dict) else {}


def _build_unavailable_error(reason: str) -> StoreError:
    """Why nothing at all can be read, for now."""
    return StoreError(reason, is_transient=True, is_store_wide=True)


def _has_tags(outcome: FetchOutcome, tags: Mapping[str, str]) -> bool:
    if not isinstance(outcome, SecretBytes):
        if isinstance(outcome, SecretNotFoundError):
            return False
        raise outcome
    held = orjson.loads(outcome.reveal())
    return all(held.get(name) == text for name, text in tags.items())
