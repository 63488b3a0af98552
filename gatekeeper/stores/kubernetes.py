"""The Secrets of a namespace as a store, in this cluster or another, through lightkube.

Source: external-secrets `apis/externalsecrets/v1/secretstore_kubernetes_types.go`, `pkg/provider/kubernetes`.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gatekeeper.host.memory_files import Handed
from gatekeeper.kube.decoder import Fields
from gatekeeper.secret_value import Hidden
from gatekeeper.stores import credentials
from gatekeeper.stores.credentials import Credentials
from gatekeeper.stores.protocol import ESCAPED, Keyed, Missing, Outcome, Query, StoreError, Wish, matcher

if TYPE_CHECKING:
    from lightkube import Client, KubeConfig

SECONDS = 15.0
# So many requests to one cluster at a time.
AT_ONCE = 8
PAGE = 200
TOKEN_SECONDS = 3600
# Bytes that are no UTF-8, as Python keeps them in a text; and two signs that Go always escapes.
ODD = re.compile("[\udc80-\udcff\u2028\u2029]")
NOT_FOUND, TOO_MANY, FAULT = 404, 429, 500
# What would run a program or read a file of this machine.
OUTSIDE = {"exec", "auth-provider", "tokenFile", "client-certificate", "client-key", "certificate-authority"}


def opened(fields: Fields, held: Credentials | None, handed: Handed) -> Kubernetes:
    """A store of Secrets.

    Args:
        fields: `spec.provider.kubernetes`.
        held: where its credentials are; there is no store without.

    Raises:
        StoreError: a credential is not there.
        FieldError: it is not valid.
    """
    import httpx2
    from lightkube import Client

    namespace = fields.text("remoteNamespace", "") or "default"
    if held is None:
        raise StoreError("its credentials are in the cluster: give --kubeconfig")
    config = _kubeconfig(fields, held, handed)
    fields.end()
    try:
        single = config.get()
        return Kubernetes(Client(config=single, timeout=httpx2.Timeout(SECONDS)), namespace, handed)
    except (OSError, ValueError, AssertionError, KeyError) as error:
        raise StoreError(f"what it signs in to the cluster with is not good: {type(error).__name__}") from None


def _kubeconfig(fields: Fields, held: Credentials, handed: Handed) -> KubeConfig:
    from lightkube import KubeConfig

    ref, auth, server = fields.inner("authRef"), fields.inner("auth"), fields.inner("server") or Fields({})
    if ref is not None:
        return _written(credentials.secret(ref, held, "config"))
    if auth is None:
        fields.refuse("auth", "is missing")
    cluster: dict[str, Any] = {"server": server.text("url", "https://kubernetes.default.svc")}
    pem = credentials.authority(server, held)
    server.end()
    if pem:
        cluster["certificate-authority"] = credentials.put_file(handed, "authority.pem", pem, False)
    user = _user(auth, held, handed)
    auth.end()
    return KubeConfig.from_dict(
        {
            "clusters": [{"name": "it", "cluster": cluster}], "users": [{"name": "it", "user": user}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}], "current-context": "it",
        }
    )  # fmt: skip


def _written(text: Hidden) -> KubeConfig:
    """A kubeconfig out of a Secret: it may name no program and no file of this machine."""
    import yaml
    from lightkube import KubeConfig
    from lightkube.core.exceptions import ConfigError

    try:
        value = yaml.safe_load(text.reveal())
        held = [one[kind] for kind in ("user", "cluster") for one in value.get(f"{kind}s") or ()]
        refused = sorted(OUTSIDE & {field for one in held for field in one})
        if refused:
            raise StoreError(
                f"the kubeconfig that `authRef` names has `{refused[0]}`: it may reach for nothing outside"
            )
        return KubeConfig.from_dict(value)
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ConfigError):
        raise StoreError("what `authRef` names is no kubeconfig") from None


def _user(auth: Fields, held: Credentials, handed: Handed) -> dict[str, str]:
    """Who signs in: by a token from a Secret, a new one of a ServiceAccount, or a certificate."""
    if (token := auth.inner("token")) is not None:
        ref = token.inner("bearerToken")
        if ref is None:
            token.refuse("bearerToken", "is missing")
        token.end()
        return {"token": credentials.word(ref, held)}
    if (named := auth.inner("serviceAccount")) is not None:
        one = credentials.account(named)
        given = held.token(one.namespace, one.name, one.audiences, TOKEN_SECONDS)
        return {"token": given.reveal().decode("ascii")}
    pair = auth.inner("cert")
    if pair is None:
        auth.refuse("token", "or `serviceAccount` or `cert` must be there")
    found = {}
    for field, name, key in (
        ("clientCert", "client-certificate", "tls.crt"),
        ("clientKey", "client-key", "tls.key"),
    ):
        ref = pair.inner(field)
        if ref is None:
            pair.refuse(field, "is missing")
        found[name] = credentials.put_file(handed, field, credentials.secret(ref, held, key).reveal(), True)
    pair.end()
    return found


class Kubernetes:
    """The Secrets of a namespace: their names are the keys."""

    def __init__(self, client: Client, namespace: str, handed: Handed) -> None:
        self._client = client
        self._namespace = namespace
        self._handed = handed
        self._until = time.monotonic() + TOKEN_SECONDS * 3 / 4
        self._calls = 0

    @property
    def calls(self) -> int:
        """How many requests were made."""
        return self._calls

    def keep(self) -> bool:
        """See `Store.keep`."""
        return time.monotonic() < self._until

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()
        self._handed.close()

    def read(self, wishes: Sequence[Wish]) -> list[Outcome]:
        """See `Store.read`. Each Secret is read once, for its values and its metadata."""
        names = list(dict.fromkeys(wish.key for wish in wishes))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = dict(zip(names, pool.map(self._secret, names), strict=True))
        return [_outcome(wish, found[wish.key]) for wish in wishes]

    def _secret(self, name: str) -> Any:
        from lightkube.resources.core_v1 import Secret

        # A key is text from a manifest: it must stay a name.
        if not name or "/" in name or name in (".", ".."):
            return StoreError(f"`{name}`: is no name of a Secret")
        try:
            return self._asked(f"`{name}`", lambda: self._client.get(Secret, name, namespace=self._namespace))
        except StoreError as error:
            return error

    def find(self, query: Query) -> Mapping[str, Hidden]:
        """See `Store.find`: by name, or by labels."""
        from lightkube.resources.core_v1 import Secret

        if query.path:
            raise StoreError("Secrets have names and no paths: leave `find.path` out")
        pattern = matcher(query.name)

        def listed() -> list[Any]:
            return list(self._client.list(Secret, namespace=self._namespace, labels=dict(query.tags), chunk_size=PAGE))

        held = self._asked("the list of Secrets", listed)
        return {one.metadata.name: _whole(one) for one in held if pattern.search(one.metadata.name)}

    def _asked(self, what: str, request: Callable[[], Any]) -> Any:
        self._calls += 1
        with _told(what):
            return request()


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Says why a cluster refuses, in our words; its own may repeat what was asked for."""
    import httpx2
    from lightkube.core.exceptions import ApiError

    try:
        yield
    except ApiError as error:
        code = error.status.code or 0
        if code == NOT_FOUND:
            raise Missing(f"{what}: the cluster has no such Secret") from None
        passes = code >= FAULT or code == TOO_MANY
        raise StoreError(f"{what}: the cluster refuses ({error.status.reason or code})", may_pass=passes) from None
    except httpx2.HTTPError as error:
        reason = f"the cluster does not answer ({type(error).__name__})"
        raise StoreError(reason, may_pass=True, is_whole=True) from None
    except OSError as error:
        reason = f"the cluster's certificate or ours is not good ({type(error).__name__})"
        raise StoreError(reason, is_whole=True) from None


def _outcome(wish: Wish, found: Any) -> Outcome:
    if isinstance(found, StoreError):
        return found
    if wish.version:
        return StoreError(f"{wish}: Secrets have no versions")
    if not wish.metadata:
        return _whole(found)
    notes = {field: getattr(found.metadata, field) or None for field in ("labels", "annotations")}
    return Hidden(_json(notes))


def _whole(secret: Any) -> Keyed:
    values = {key: base64.b64decode(text) for key, text in (secret.data or {}).items()}
    texts = {key: value.decode("utf-8", "surrogateescape") for key, value in values.items()}
    return Keyed(_json(texts), {key: Hidden(values[key]) for key in sorted(values)})


def _json(value: Any) -> bytes:
    """As Go writes it here: keys in order, each byte that is no UTF-8 as U+FFFD, and no sign escaped for a page."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return ODD.sub(lambda sign: ESCAPED.get(sign[0], "\\ufffd"), text).encode()
