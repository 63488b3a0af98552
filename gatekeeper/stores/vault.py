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

from gatekeeper.host.memory_files import Handed
from gatekeeper.secret_value import Hidden
from gatekeeper.stores.protocol import Again, Missing, Outcome, Query, StoreError, Wish, go_json, matcher

if TYPE_CHECKING:
    import hvac

SECONDS = 15.0
# So many requests to one Vault at a time.
AT_ONCE = 8


class Place(NamedTuple):
    """Where a Vault is.

    Attributes:
        mount: where its KV secrets are mounted; empty where keys say it themselves.
        version: of the KV secrets, `v1` or `v2`.
        authority: a file with certificates that vouch for it; empty for the system's.
        pair: files with a certificate and key that are shown to it.
        headers: sent with each request.
        again: how often a request is made again.
    """

    url: str
    mount: str = ""
    version: str = "v2"
    namespace: str = ""
    authority: str = ""
    pair: tuple[str, str] | None = None
    headers: Mapping[str, str] = {}
    again: Again = Again()


class Session(NamedTuple):
    """A client that has a token.

    Attributes:
        seconds: how long the token was good for when it was given; 0 where that is not known.
        until: when it ends, by `time.monotonic`.
    """

    client: hvac.Client
    seconds: float = 0.0
    is_renewable: bool = False
    until: float = 0.0


class Vault:
    """A Vault that was signed in to."""

    def __init__(self, place: Place, session: Session, handed: Handed | None = None) -> None:
        self._place = place
        self._session = session
        self._handed = handed
        self._calls = 0
        self._lock = threading.Lock()
        # Why it cannot be reached, so that the rest is not asked for in vain, each until its time is up.
        self._gone: StoreError | None = None

    @property
    def calls(self) -> int:
        """How many requests were made, signing in not counted."""
        return self._calls

    def keep(self) -> bool:
        """See `Store.keep`: the token is renewed once a third of its time is left."""
        self._gone = None
        session = self._session
        if not session.seconds or session.until - time.monotonic() > session.seconds / 3:
            return True
        if not session.is_renewable:
            return False
        try:
            answer = asked(session.client.auth.token.renew_self, "renewing the token")
        except StoreError:
            return False
        given = answer.get("auth")
        seconds = float(given.get("lease_duration") or 0) if isinstance(given, dict) else 0.0
        self._session = session._replace(until=time.monotonic() + seconds)
        # Once a token is near the end of its longest life, renewing gives it little more.
        return seconds > session.seconds / 3

    def read(self, wishes: Sequence[Wish]) -> list[Outcome]:
        """See `Store.read`."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self._read, wishes))

    def _read(self, wish: Wish) -> Outcome:
        try:
            if wish.metadata:
                return self._metadata(wish)
            # A deleted version, too, is answered with 404.
            answer = self._ask("GET", self.path(wish.key), wish, {"version": wish.version} if wish.version else None)
            held = answer.get("data")
            if self._place.version == "v2":
                held = held.get("data") if isinstance(held, dict) else None
            if held is None:
                return Missing(f"{wish}: Vault has it no longer: it was deleted")
            return Hidden(go_json(held))
        except StoreError as error:
            return error

    def _metadata(self, wish: Wish) -> Outcome:
        if self._place.version == "v1":
            raise StoreError(f"{wish}: KV secrets of version 1 have no metadata")
        data = self._ask("GET", self.metadata_path(wish.key), wish).get("data")
        held = data.get("custom_metadata") if isinstance(data, dict) else None
        return Hidden(go_json(held or {}))

    def find(self, query: Query) -> Mapping[str, Hidden]:
        """See `Store.find`: by name, or by custom metadata."""
        if self._place.version == "v1" and query.tags:
            raise StoreError("KV secrets of version 1 have no metadata to find them by")
        pattern = matcher(query.name)
        start = f"{query.path.rstrip('/')}/" if query.path else ""
        names = [name for name in self._listed(start) if pattern.search(name)]
        if query.tags:
            marks = zip(names, self.read([Wish(name, metadata=True) for name in names]), strict=True)
            names = [name for name, mark in marks if _has(mark, query.tags)]
        found: dict[str, Hidden] = {}
        for name, outcome in zip(names, self.read([Wish(name) for name in names]), strict=True):
            # What was deleted while it was listed is not there; anything else is no answer.
            if isinstance(outcome, Hidden):
                found[name] = outcome
            elif not isinstance(outcome, Missing):
                raise outcome
        return found

    def _listed(self, path: str) -> Iterator[str]:
        """The keys below a path, folder by folder."""
        try:
            answer = self._ask("LIST", self.metadata_path(path), Wish(path))
        except Missing:
            return
        data = answer.get("data")
        for name in data.get("keys") or () if isinstance(data, dict) else ():
            if str(name).endswith("/"):
                yield from self._listed(f"{path}{name}")
            else:
                yield f"{path}{name}"

    def path(self, key: str) -> str:
        """The path of a secret's value in Vault's API."""
        mount, is_second = self._place.mount.strip("/"), self._place.version == "v2"
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

    def metadata_path(self, key: str) -> str:
        """The path of a secret's metadata, or of a list."""
        mount = self._place.mount.strip("/")
        if self._place.version == "v1":
            return f"{mount}/{key}".lstrip("/")
        if mount:
            return f"{mount}/metadata/{key}"
        if "data" not in key:
            raise StoreError(f"`{key}` is no path of KV secrets of version 2: it has no `/data/`")
        return key.replace("/data/", "/metadata/", 1)

    def _ask(self, method: str, path: str, wish: Wish, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        # A key is text from a manifest: it must stay below the mount, and mean what it says.
        if not {".", ".."}.isdisjoint(path.split("/")):
            raise StoreError(f"{wish}: Vault has no paths with `.` or `..`")
        if self._gone is not None:
            raise self._gone
        with self._lock:
            self._calls += 1
        url = f"/v1/{quote(path, safe='/')}"
        try:
            return asked(lambda: self._session.client.adapter.request(method.lower(), url, params=params), str(wish))
        except StoreError as error:
            self._gone = error if error.is_whole else None
            raise

    def close(self) -> None:
        """Closes the connections. The token is its owner's, and ends by itself."""
        self._session.client.adapter.close()
        if self._handed:
            self._handed.close()


def asked(request: Callable[[], Any], what: str) -> dict[str, Any]:
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
        raise Missing(f"{what}: Vault has no such secret") from None
    except exceptions.Forbidden:
        raise StoreError(
            f"{what}: Vault refuses (403): the token has ended, or its policies do not let it read this"
        ) from None
    except exceptions.Unauthorized:
        raise StoreError(f"{what}: Vault does not know who asks (401): look at `auth` of the store") from None
    except exceptions.RateLimitExceeded:
        raise StoreError(f"{what}: Vault says that it is asked too often (429)", may_pass=True) from None
    except exceptions.VaultDown:
        raise _gone("Vault is sealed, or not ready (503)") from None
    except (exceptions.InternalServerError, exceptions.BadGateway, exceptions.VaultNotInitialized):
        raise StoreError(f"{what}: Vault has a fault of its own (5xx)", may_pass=True) from None
    except exceptions.UnexpectedError:
        raise StoreError(f"{what}: Vault answers as it should not", may_pass=True) from None
    except exceptions.VaultError as error:
        raise StoreError(f"{what}: Vault refuses: {type(error).__name__}") from None
    except requests.exceptions.SSLError:
        raise StoreError(
            "Vault's certificate is not vouched for: look at `caBundle` of the store", is_whole=True
        ) from None
    except requests.exceptions.Timeout:
        raise _gone(f"Vault did not answer within {SECONDS:g} seconds") from None
    except requests.exceptions.ConnectionError:
        raise _gone("Vault does not answer") from None
    except (requests.exceptions.RequestException, ValueError):
        raise StoreError(f"{what}: Vault's answer was cut off, or is no JSON", may_pass=True) from None
    return value if isinstance(value, dict) else {}


def _gone(reason: str) -> StoreError:
    """Why nothing at all can be read, for now."""
    return StoreError(reason, may_pass=True, is_whole=True)


def _has(outcome: Outcome, tags: Mapping[str, str]) -> bool:
    if not isinstance(outcome, Hidden):
        if isinstance(outcome, Missing):
            return False
        raise outcome
    held = orjson.loads(outcome.reveal())
    return all(held.get(name) == text for name, text in tags.items())
