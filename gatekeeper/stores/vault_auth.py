"""Signing in to Vault, in the ways that a SecretStore can name: a token, AppRole, userpass, JWT, Kubernetes, TLS.

Source: external-secrets `apis/externalsecrets/v1/secretstore_vault_types.go`, `pkg/provider/vault/auth*.go`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.fields import Fields
from gatekeeper.hidden import Hidden
from gatekeeper.stores.reading import StoreError
from gatekeeper.stores.vault import SECONDS, Place, asked

if TYPE_CHECKING:
    import hvac

# A value of a Secret in the cluster, by the reference in a store's own words: name, key and namespace.
SecretOf = Callable[[Fields], Hidden]
WAYS = ("tokenSecretRef", "appRole", "userPass", "jwt", "kubernetes", "cert")


def signed_in(place: Place, auth: Fields | None, secret_of: SecretOf) -> hvac.Client:
    """A client that has a token.

    Args:
        auth: `auth` of the store; None to sign in as the user of this machine (VAULT_TOKEN, `~/.vault-token`).

    Raises:
        StoreError: Vault refuses, or does not answer.
        FieldError: `auth` names a way that is not supported.
    """
    if auth is None:
        client = _client(place)
        client.token = _users_token()
        return client
    namespace = auth.text("namespace", "") or place.namespace
    way = next((way for way in WAYS if auth.has(way)), "")
    if not way:
        auth.end("is not supported; there are " + ", ".join(WAYS))
        raise StoreError("the store names no way to sign in to Vault (`auth`)")
    inner = auth.inner(way) or Fields({})
    with _certificate(inner, secret_of) if way == "cert" else _nothing() as pair:
        client = _client(place._replace(namespace=namespace), pair)
        client.token = _token(client, way, inner, secret_of)
    auth.end()
    if namespace != place.namespace:
        client = _client(place, token=client.token)
    return client


def _client(place: Place, pair: tuple[str, str] | None = None, token: str | None = None) -> hvac.Client:
    import hvac
    import requests

    session = requests.Session()
    # Who vouches is the store's to say, and no variable of the surroundings.
    session.trust_env = False
    # hvac takes a session's own word on this, and not that of its argument.
    session.verify = str(place.authority) if place.authority else True
    return hvac.Client(
        url=place.url,
        token=token,
        namespace=place.namespace or None,
        timeout=SECONDS,
        cert=pair,
        session=session,
    )


def _users_token() -> str:
    token = os.environ.get("VAULT_TOKEN", "")
    if not token:
        try:
            token = (Path.home() / ".vault-token").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise StoreError("there is no token for Vault: `vault login`, or set VAULT_TOKEN") from None
    return token


def _token(client: hvac.Client, way: str, inner: Fields, secret_of: SecretOf) -> str:
    if way == "tokenSecretRef":
        return _text(secret_of(inner))

    def ref(name: str) -> str:
        fields = inner.inner(name)
        if fields is None:
            inner.refuse(name, "is missing")
        return _text(secret_of(fields))

    where = "signing in"
    if way == "appRole":
        role = inner.text("roleId", "") or ref("roleRef")
        path, secret = inner.text("path", "approle"), ref("secretRef")
        answer = asked(lambda: client.auth.approle.login(role, secret, use_token=False, mount_point=path), where)
    elif way == "userPass":
        user, path, secret = inner.text("username"), inner.text("path", "userpass"), ref("secretRef")
        answer = asked(lambda: client.auth.userpass.login(user, secret, use_token=False, mount_point=path), where)
    elif way == "jwt":
        role, path, secret = inner.text("role", ""), inner.text("path", "jwt"), ref("secretRef")
        answer = asked(lambda: client.auth.jwt.jwt_login(role, secret, use_token=False, path=path), where)
    elif way == "kubernetes":
        role, path, secret = inner.text("role"), inner.text("mountPath", "kubernetes"), ref("secretRef")
        answer = asked(lambda: client.auth.kubernetes.login(role, secret, use_token=False, mount_point=path), where)
    else:
        path = inner.text("path", "cert")
        answer = asked(lambda: client.adapter.post(f"/v1/auth/{path}/login", json={}), where)
    held = answer.get("auth")
    token = held.get("client_token") if isinstance(held, dict) else None
    if not token:
        raise StoreError("Vault gives no token for what the store signs in with")
    return str(token)


def _text(value: Hidden) -> str:
    try:
        return value.reveal().decode("utf-8").strip()
    except UnicodeDecodeError:
        raise StoreError("a credential of the store is no text") from None


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


@contextmanager
def _certificate(inner: Fields, secret_of: SecretOf) -> Iterator[tuple[str, str]]:
    """A client's certificate and key, in files in memory for as long as it takes to sign in."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        raise StoreError(f"{memory} is not there, and a private key is not written to a disk")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        names = []
        for field in ("clientCert", "secretRef"):
            fields = inner.inner(field)
            if fields is None:
                inner.refuse(field, "is missing")
            path = Path(folder) / field
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(secret_of(fields).reveal())
            names.append(str(path))
        yield names[0], names[1]
