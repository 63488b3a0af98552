"""Signing in to Vault, in the ways that a SecretStore can name: a token, AppRole, userpass, JWT, Kubernetes, TLS.

Source: external-secrets `apis/externalsecrets/v1/secretstore_vault_types.go`, `pkg/provider/vault/auth*.go`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gatekeeper.host.memory_files import Handed
from gatekeeper.kube.decoder import Fields
from gatekeeper.stores import credentials
from gatekeeper.stores.credentials import Credentials
from gatekeeper.stores.protocol import Again, StoreError
from gatekeeper.stores.vault import SECONDS, Place, Session, asked

if TYPE_CHECKING:
    import hvac

WAYS = ("tokenSecretRef", "appRole", "userPass", "jwt", "kubernetes", "cert")
# Asked too often, or by a server between that has no answer, it is asked again.
AGAIN = (429, 502, 503, 504)
ATTEMPTS, FIRST_WAIT, MOST_WAIT = 2, 0.2, 5
# https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/: the shortest that is given.
TOKEN_SECONDS = 600
OWN_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class Login(NamedTuple):
    """How a store signs in: the way, and what it names."""

    way: str
    fields: Fields
    held: Credentials


def signed_in(place: Place, auth: Fields | None, held: Credentials | None, handed: Handed) -> Session:
    """A client that has a token, and how long that is good.

    Args:
        auth: `auth` of the store.
        held: where credentials are; None to sign in as the user of this machine (VAULT_TOKEN, `~/.vault-token`).
        handed: takes the certificate and key that it shows.

    Raises:
        StoreError: Vault refuses, or does not answer.
        FieldError: `auth` names a way that is not supported.
    """
    if auth is None or held is None:
        return Session(_client(place, _users_token()))
    namespace = auth.text("namespace", "") or place.namespace
    way = next((way for way in WAYS if auth.has(way)), "")
    if not way:
        auth.end("is not supported; there are " + ", ".join(WAYS))
        raise StoreError("the store names no way to sign in to Vault (`auth`)")
    login = Login(way, auth.inner(way) or Fields({}), held)
    auth.end()
    if way == "tokenSecretRef":
        return Session(_client(place, credentials.word(login.fields, held)))
    own = place._replace(namespace=namespace)
    if way == "cert":
        own = own._replace(pair=_pair(login, handed))
    answer = _answer(_client(own), login)
    given = answer.get("auth")
    if not isinstance(given, dict) or not given.get("client_token"):
        raise StoreError("Vault gives no token for what the store signs in with")
    seconds = float(given.get("lease_duration") or 0)
    client = _client(place, str(given["client_token"]))
    return Session(client, seconds, bool(given.get("renewable")), time.monotonic() + seconds)


def _client(place: Place, token: str | None = None) -> hvac.Client:
    import hvac
    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    # Who vouches is the store's to say, and no variable of the surroundings.
    session.trust_env = False
    # hvac takes a session's own word on this, and not that of its argument.
    session.verify = place.authority or True
    session.cert = place.pair
    session.headers.update(place.headers)
    session.mount(place.url, HTTPAdapter(pool_maxsize=16, max_retries=_retries(place.again)))
    return hvac.Client(url=place.url, token=token, namespace=place.namespace or None, timeout=SECONDS, session=session)


def _retries(again: Again) -> Any:
    """When a request is made again: as `Retry-After` says, but no longer than a few seconds, else later and later."""
    from urllib3.util import Retry

    times = ATTEMPTS if again.times is None else again.times
    first = FIRST_WAIT if again.seconds is None else again.seconds
    return Retry(
        times, status_forcelist=AGAIN, allowed_methods=("GET", "LIST"), raise_on_status=False,
        backoff_factor=first, backoff_jitter=first, backoff_max=MOST_WAIT, retry_after_max=MOST_WAIT,
    )  # fmt: skip


def _users_token() -> str:
    token = os.environ.get("VAULT_TOKEN", "")
    if not token:
        try:
            token = (Path.home() / ".vault-token").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise StoreError("there is no token for Vault: `vault login`, or set VAULT_TOKEN") from None
    return token


def _answer(client: hvac.Client, login: Login) -> dict[str, Any]:
    """What Vault says to who signs in."""
    way, inner, where = login.way, login.fields, "signing in"
    if way == "appRole":
        role = inner.text("roleId", "") or _word(login, "roleRef")
        path, secret = inner.text("path", "approle"), _word(login, "secretRef")
        return asked(lambda: client.auth.approle.login(role, secret, use_token=False, mount_point=path), where)
    if way == "userPass":
        user, path, secret = inner.text("username"), inner.text("path", "userpass"), _word(login, "secretRef")
        return asked(lambda: client.auth.userpass.login(user, secret, use_token=False, mount_point=path), where)
    if way == "jwt":
        role, path, secret = inner.text("role", "").strip(), inner.text("path", "jwt"), _jwt(login)
        return asked(lambda: client.auth.jwt.jwt_login(role, secret, use_token=False, path=path), where)
    if way == "kubernetes":
        role, path, secret = inner.text("role"), inner.text("mountPath", "kubernetes"), _own_jwt(login)
        return asked(lambda: client.auth.kubernetes.login(role, secret, use_token=False, mount_point=path), where)
    path = inner.text("path", "cert")
    return asked(lambda: client.adapter.post(f"/v1/auth/{path}/login", json={}), where)


def _word(login: Login, name: str) -> str:
    fields = login.fields.inner(name)
    if fields is None:
        login.fields.refuse(name, "is missing")
    return credentials.word(fields, login.held)


def _jwt(login: Login) -> str:
    """The token that JWT signs in with: out of a Secret, or a new one of a ServiceAccount."""
    fields = login.fields.inner("kubernetesServiceAccountToken")
    if login.fields.has("secretRef") or fields is None:
        return _word(login, "secretRef")
    named = fields.inner("serviceAccountRef")
    if named is None:
        fields.refuse("serviceAccountRef", "is missing")
    one = credentials.account(named)
    audiences = fields.words("audiences") or ("vault",)
    seconds = int(fields.number("expirationSeconds", TOKEN_SECONDS))
    fields.end()
    token = login.held.token(one.namespace, one.name, (*audiences, *one.audiences), seconds)
    return token.reveal().decode("ascii")


def _own_jwt(login: Login) -> str:
    """The token for `kubernetes`: a new one of a ServiceAccount, one out of a Secret, or that of this Pod."""
    fields = login.fields.inner("serviceAccountRef")
    if fields is not None:
        one = credentials.account(fields)
        return login.held.token(one.namespace, one.name, one.audiences, TOKEN_SECONDS).reveal().decode("ascii")
    if login.fields.has("secretRef"):
        return _word(login, "secretRef")
    try:
        return OWN_TOKEN.read_text(encoding="ascii")
    except OSError:
        login.fields.refuse(
            "serviceAccountRef", "or `secretRef` must be there: this is no Pod that has a ServiceAccount of its own"
        )


def _pair(login: Login, handed: Handed) -> tuple[str, str]:
    """A client's certificate and its key, as files."""
    names = []
    for field, key in (("clientCert", "tls.crt"), ("secretRef", "tls.key")):
        fields = login.fields.inner(field)
        if fields is None:
            login.fields.refuse(field, "is missing")
        names.append(credentials.put_file(handed, field, credentials.secret(fields, login.held, key).reveal(), True))
    return names[0], names[1]
