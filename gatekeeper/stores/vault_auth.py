"""Signing in to Vault as a SecretStore says: with a token, AppRole, userpass, JWT, Kubernetes or a TLS certificate.

Source: external-secrets `apis/externalsecrets/v1/secretstore_vault_types.go`, `pkg/provider/vault/auth*.go`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.kube.decoder import FieldReader
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.stores import credentials
from gatekeeper.stores.credentials import CredentialSource
from gatekeeper.stores.protocol import StoreError, StoreRetryPolicy
from gatekeeper.stores.vault import TIMEOUT_SECONDS, VaultConfig, VaultSession, send_request

if TYPE_CHECKING:
    import hvac

AUTH_METHODS = ("tokenSecretRef", "appRole", "userPass", "jwt", "kubernetes", "cert")
# A request is retried when the rate is limited, or when a proxy has no answer from Vault.
RETRY_STATUSES = (429, 502, 503, 504)
MAX_RETRIES, FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 2, 0.2, 5
# The shortest lifetime that Kubernetes allows:
# https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/
TOKEN_LIFETIME_SECONDS = 600
POD_TOKEN_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class VaultLogin(NamedTuple):
    """How a store signs in: the method, its fields, and the cluster with the credentials."""

    method: str
    fields: FieldReader
    source: CredentialSource


def sign_in(
    config: VaultConfig, auth: FieldReader | None, source: CredentialSource | None, files: MemoryFiles
) -> VaultSession:
    """Sign in to Vault; return a client with a token and the lifetime of that token.

    Args:
        auth: `auth` of the SecretStore.
        source: the cluster with the credentials; None to sign in as the user of this machine (VAULT_TOKEN,
            `~/.vault-token`).
        files: receives the client certificate and its key.

    Raises:
        StoreError: a credential is missing, Vault refuses, or Vault does not answer.
        FieldError: `auth` names a method that is not supported.
    """
    if auth is None or source is None:
        return VaultSession(_create_client(config, _read_user_token()))
    namespace = auth.read_string("namespace", "") or config.namespace
    method = next((method for method in AUTH_METHODS if auth.has_field(method)), "")
    if not method:
        auth.reject_unknown(f"is not supported; supported methods: {', '.join(AUTH_METHODS)}")
        raise StoreError("`auth` of the store names no method to sign in to Vault")
    login = VaultLogin(method, auth.read_object(method) or FieldReader({}), source)
    auth.reject_unknown()
    if method == "tokenSecretRef":
        return VaultSession(_create_client(config, credentials.read_secret_text(login.fields, source)))
    login_config = config._replace(namespace=namespace)
    if method == "cert":
        pair = credentials.put_key_pair(login.fields, ("clientCert", "secretRef"), source, files)
        login_config = login_config._replace(client_certificate=pair)
    answer = _log_in(_create_client(login_config), login).get("auth")
    if not isinstance(answer, dict) or not answer.get("client_token"):
        raise StoreError("Vault issued no token for the credentials of the store")
    seconds = float(answer.get("lease_duration") or 0)
    client = _create_client(config, str(answer["client_token"]))
    return VaultSession(client, seconds, bool(answer.get("renewable")), time.monotonic() + seconds)


def _create_client(config: VaultConfig, token: str | None = None) -> hvac.Client:
    # hvac starts slowly; it is loaded only if a store uses it.
    import hvac
    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    # The SecretStore alone determines the CA and the proxy, never the environment.
    session.trust_env = False
    # hvac uses these settings of the session instead of its own arguments.
    session.verify = config.ca_file or True
    session.cert = config.client_certificate
    session.headers.update(config.headers)
    session.mount(config.url, HTTPAdapter(pool_maxsize=16, max_retries=_build_retry(config.retry)))
    return hvac.Client(
        url=config.url, token=token, namespace=config.namespace or None, timeout=TIMEOUT_SECONDS, session=session
    )


def _build_retry(retry: StoreRetryPolicy) -> Any:
    """Build the retry policy: wait as `Retry-After` says, up to a few seconds; else with exponential back-off."""
    # hvac starts slowly; it and its libraries are loaded only if a store uses it.
    from urllib3.util import Retry

    max_retries = MAX_RETRIES if retry.max_retries is None else retry.max_retries
    first_delay = FIRST_RETRY_SECONDS if retry.first_delay_seconds is None else retry.first_delay_seconds
    return Retry(
        max_retries,
        status_forcelist=RETRY_STATUSES,
        allowed_methods=("GET", "LIST"),
        raise_on_status=False,
        backoff_factor=first_delay,
        backoff_jitter=first_delay,
        backoff_max=MAX_RETRY_SECONDS,
        retry_after_max=MAX_RETRY_SECONDS,
    )


def _read_user_token() -> str:
    token = os.environ.get("VAULT_TOKEN", "")
    if not token:
        try:
            token = (Path.home() / ".vault-token").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise StoreError("no token for Vault: run `vault login`, or set VAULT_TOKEN") from None
    return token


def _log_in(client: hvac.Client, login: VaultLogin) -> dict[str, Any]:
    """Send the login request of a method, and return the response."""
    fields, auth = login.fields, client.auth
    request: Callable[[], Any]
    if login.method == "appRole":
        role = fields.read_string("roleId", "") or _read_secret_text(login, "roleRef")
        path, secret = fields.read_string("path", "approle"), _read_secret_text(login, "secretRef")
        request = partial(auth.approle.login, role, secret, use_token=False, mount_point=path)
    elif login.method == "userPass":
        user, path = fields.read_string("username"), fields.read_string("path", "userpass")
        password = _read_secret_text(login, "secretRef")
        request = partial(auth.userpass.login, user, password, use_token=False, mount_point=path)
    elif login.method == "jwt":
        role, path = fields.read_string("role", "").strip(), fields.read_string("path", "jwt")
        request = partial(auth.jwt.jwt_login, role, _read_jwt(login), use_token=False, path=path)
    elif login.method == "kubernetes":
        role, path = fields.read_string("role"), fields.read_string("mountPath", "kubernetes")
        token = _read_kubernetes_jwt(login)
        request = partial(auth.kubernetes.login, role, token, use_token=False, mount_point=path)
    else:
        request = partial(client.adapter.post, f"/v1/auth/{fields.read_string('path', 'cert')}/login", json={})
    return send_request(request, "signing in")


def _read_secret_text(login: VaultLogin, name: str) -> str:
    fields = login.fields.read_object(name)
    if fields is None:
        login.fields.reject_field(name, "is missing")
    return credentials.read_secret_text(fields, login.source)


def _read_jwt(login: VaultLogin) -> str:
    """Return the token for the method `jwt`: from a Secret, or a new token of a ServiceAccount."""
    fields = login.fields.read_object("kubernetesServiceAccountToken")
    if login.fields.has_field("secretRef") or fields is None:
        return _read_secret_text(login, "secretRef")
    account_fields = fields.read_object("serviceAccountRef")
    if account_fields is None:
        fields.reject_field("serviceAccountRef", "is missing")
    account = credentials.parse_service_account(account_fields)
    audiences = fields.read_string_list("audiences") or ("vault",)
    seconds = int(fields.read_integer("expirationSeconds", TOKEN_LIFETIME_SECONDS))
    fields.reject_unknown()
    token = login.source.create_token(account.namespace, account.name, (*audiences, *account.audiences), seconds)
    return token.reveal().decode("ascii")


def _read_kubernetes_jwt(login: VaultLogin) -> str:
    """Return the token for `kubernetes`: a new token of a ServiceAccount, one from a Secret, or that of the Pod."""
    fields = login.fields.read_object("serviceAccountRef")
    if fields is not None:
        account = credentials.parse_service_account(fields)
        token = login.source.create_token(account.namespace, account.name, account.audiences, TOKEN_LIFETIME_SECONDS)
        return token.reveal().decode("ascii")
    if login.fields.has_field("secretRef"):
        return _read_secret_text(login, "secretRef")
    try:
        return POD_TOKEN_FILE.read_text(encoding="ascii")
    except OSError:
        login.fields.reject_field(
            "serviceAccountRef", "or `secretRef` is required: this process does not run in a Pod with a ServiceAccount"
        )
