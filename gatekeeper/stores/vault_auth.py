"""Signing in to Vault, in the ways that a SecretStore can name: a token, AppRole, userpass, JWT, Kubernetes, TLS.

Source: external-secrets `apis/externalsecrets/v1/secretstore_vault_types.go`, `pkg/provider/vault/auth*.go`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.kube.decoder import FieldReader
from gatekeeper.stores import credentials
from gatekeeper.stores.credentials import CredentialSource
from gatekeeper.stores.protocol import StoreError, StoreRetryPolicy
from gatekeeper.stores.vault import TIMEOUT_SECONDS, VaultConfig, VaultSession, send_request

if TYPE_CHECKING:
    import hvac

AUTH_METHODS = ("tokenSecretRef", "appRole", "userPass", "jwt", "kubernetes", "cert")
# Asked too often, or by a server between that has no answer, it is asked again.
RETRY_STATUSES = (429, 502, 503, 504)
MAX_RETRIES, FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 2, 0.2, 5
# https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/: the shortest that is given.
TOKEN_LIFETIME_SECONDS = 600
POD_TOKEN_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class VaultLogin(NamedTuple):
    """How a store signs in: the way, and what it names."""

    method: str
    fields: FieldReader
    source: CredentialSource


def sign_in(
    config: VaultConfig, auth: FieldReader | None, source: CredentialSource | None, files: MemoryFiles
) -> VaultSession:
    """A client that has a token, and how long that is good.

    Args:
        auth: `auth` of the store.
        source: where credentials are; None to sign in as the user of this machine (VAULT_TOKEN, `~/.vault-token`).
        files: takes the certificate and key that it shows.

    Raises:
        StoreError: Vault refuses, or does not answer.
        FieldError: `auth` names a way that is not supported.
    """
    if auth is None or source is None:
        return VaultSession(_create_client(config, _read_user_token()))
    namespace = auth.read_string("namespace", "") or config.namespace
    way = next((way for way in AUTH_METHODS if auth.has_field(way)), "")
    if not way:
        auth.reject_unknown("is not supported; there are " + ", ".join(AUTH_METHODS))
        raise StoreError("the store names no way to sign in to Vault (`auth`)")
    login = VaultLogin(way, auth.read_object(way) or FieldReader({}), source)
    auth.reject_unknown()
    if way == "tokenSecretRef":
        return VaultSession(_create_client(config, credentials.read_secret_text(login.fields, source)))
    own = config._replace(namespace=namespace)
    if way == "cert":
        own = own._replace(client_certificate=_write_client_certificate(login, files))
    answer = _log_in(_create_client(own), login)
    given = answer.get("auth")
    if not isinstance(given, dict) or not given.get("client_token"):
        raise StoreError("Vault gives no token for what the store signs in with")
    seconds = float(given.get("lease_duration") or 0)
    client = _create_client(config, str(given["client_token"]))
    return VaultSession(client, seconds, bool(given.get("renewable")), time.monotonic() + seconds)


def _create_client(config: VaultConfig, token: str | None = None) -> hvac.Client:
    import hvac
    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    # Who vouches is the store's to say, and no variable of the surroundings.
    session.trust_env = False
    # hvac takes a session's own word on this, and not that of its argument.
    session.verify = config.ca_file or True
    session.cert = config.client_certificate
    session.headers.update(config.headers)
    session.mount(config.url, HTTPAdapter(pool_maxsize=16, max_retries=_build_retry(config.retry)))
    return hvac.Client(
        url=config.url, token=token, namespace=config.namespace or None, timeout=TIMEOUT_SECONDS, session=session
    )


def _build_retry(retry: StoreRetryPolicy) -> Any:
    """When a request is made again: as `Retry-After` says, but no longer than a few seconds, else later and later."""
    from urllib3.util import Retry

    times = MAX_RETRIES if retry.max_retries is None else retry.max_retries
    first = FIRST_RETRY_SECONDS if retry.first_delay_seconds is None else retry.first_delay_seconds
    return Retry(
        times,
        status_forcelist=RETRY_STATUSES,
        allowed_methods=("GET", "LIST"),
        raise_on_status=False,
        backoff_factor=first,
        backoff_jitter=first,
        backoff_max=MAX_RETRY_SECONDS,
        retry_after_max=MAX_RETRY_SECONDS,
    )


def _read_user_token() -> str:
    token = os.environ.get("VAULT_TOKEN", "")
    if not token:
        try:
            token = (Path.home() / ".vault-token").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise StoreError("there is no token for Vault: `vault login`, or set VAULT_TOKEN") from None
    return token


def _log_in(client: hvac.Client, login: VaultLogin) -> dict[str, Any]:
    """What Vault says to who signs in."""
    way, inner, where = login.method, login.fields, "signing in"
    if way == "appRole":
        role = inner.read_string("roleId", "") or _read_secret_text(login, "roleRef")
        path, secret = inner.read_string("path", "approle"), _read_secret_text(login, "secretRef")
        return send_request(lambda: client.auth.approle.login(role, secret, use_token=False, mount_point=path), where)
    if way == "userPass":
        user, path, secret = (
            inner.read_string("username"),
            inner.read_string("path", "userpass"),
            _read_secret_text(login, "secretRef"),
        )
        return send_request(lambda: client.auth.userpass.login(user, secret, use_token=False, mount_point=path), where)
    if way == "jwt":
        role, path, secret = inner.read_string("role", "").strip(), inner.read_string("path", "jwt"), _read_jwt(login)
        return send_request(lambda: client.auth.jwt.jwt_login(role, secret, use_token=False, path=path), where)
    if way == "kubernetes":
        role, path, secret = (
            inner.read_string("role"),
            inner.read_string("mountPath", "kubernetes"),
            _read_kubernetes_jwt(login),
        )
        return send_request(
            lambda: client.auth.kubernetes.login(role, secret, use_token=False, mount_point=path), where
        )
    path = inner.read_string("path", "cert")
    return send_request(lambda: client.adapter.post(f"/v1/auth/{path}/login", json={}), where)


def _read_secret_text(login: VaultLogin, name: str) -> str:
    fields = login.fields.read_object(name)
    if fields is None:
        login.fields.reject_field(name, "is missing")
    return credentials.read_secret_text(fields, login.source)


def _read_jwt(login: VaultLogin) -> str:
    """The token that JWT signs in with: out of a Secret, or a new one of a ServiceAccount."""
    fields = login.fields.read_object("kubernetesServiceAccountToken")
    if login.fields.has_field("secretRef") or fields is None:
        return _read_secret_text(login, "secretRef")
    named = fields.read_object("serviceAccountRef")
    if named is None:
        fields.reject_field("serviceAccountRef", "is missing")
    one = credentials.parse_service_account(named)
    audiences = fields.read_string_list("audiences") or ("vault",)
    seconds = int(fields.read_integer("expirationSeconds", TOKEN_LIFETIME_SECONDS))
    fields.reject_unknown()
    token = login.source.create_token(one.namespace, one.name, (*audiences, *one.audiences), seconds)
    return token.reveal().decode("ascii")


def _read_kubernetes_jwt(login: VaultLogin) -> str:
    """The token for `kubernetes`: a new one of a ServiceAccount, one out of a Secret, or that of this Pod."""
    fields = login.fields.read_object("serviceAccountRef")
    if fields is not None:
        one = credentials.parse_service_account(fields)
        return (
            login.source.create_token(one.namespace, one.name, one.audiences, TOKEN_LIFETIME_SECONDS)
            .reveal()
            .decode("ascii")
        )
    if login.fields.has_field("secretRef"):
        return _read_secret_text(login, "secretRef")
    try:
        return POD_TOKEN_FILE.read_text(encoding="ascii")
    except OSError:
        login.fields.reject_field(
            "serviceAccountRef", "or `secretRef` must be there: this is no Pod that has a ServiceAccount of its own"
        )


def _write_client_certificate(login: VaultLogin, files: MemoryFiles) -> tuple[str, str]:
    """A client's certificate and its key, as files."""
    names = []
    for field, key in (("clientCert", "tls.crt"), ("secretRef", "tls.key")):
        fields = login.fields.read_object(field)
        if fields is None:
            login.fields.reject_field(field, "is missing")
        names.append(
            credentials.put_file(files, field, credentials.read_secret(fields, login.source, key).reveal(), True)
        )
    return names[0], names[1]
