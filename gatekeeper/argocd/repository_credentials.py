"""Credentials of repositories, from Argo CD's Secrets of type `repository` and `repo-creds`.

Source: argo-cd `docs/operator-manual/declarative-setup.md` (repositories, repository credentials), `util/db`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from gatekeeper.argocd.source_spec import normalize_url
from gatekeeper.cluster import secrets
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import ToolError
from gatekeeper.model import Object
from gatekeeper.secret_value import SecretBytes

SECRET_TYPE_LABEL = "argocd.argoproj.io/secret-type"
KNOWN_HOSTS_CONFIG_MAP, TLS_CERTS_CONFIG_MAP, GPG_KEYS_CONFIG_MAP = (
    "argocd-ssh-known-hosts-cm",
    "argocd-tls-certs-cm",
    "argocd-gpg-keys-cm",
)
# Argo CD's key of each credential, and the key that Flux's GitRepository Secrets and our fetch use.
CREDENTIAL_KEYS = {
    "username": "username",
    "password": "password",
    "bearerToken": "bearerToken",
    "sshPrivateKey": "identity",
    "tlsClientCertData": "tls.crt",
    "tlsClientCertKey": "tls.key",
}
UNSUPPORTED_KEYS = ("githubAppID", "githubAppPrivateKey", "gcpServiceAccountKey", "proxy", "useAzureWorkloadIdentity")
INSECURE_KEYS = ("insecure", "insecureIgnoreHostKey")
OFF_VALUES = ("", "false")


class _RepositorySecret:
    """A Secret about repositories; its values stay hidden."""

    __slots__ = ("data", "kind", "name", "project", "url")

    def __init__(self, secret: Object) -> None:
        self.data = {key: SecretBytes(base64.b64decode(text)) for key, text in (secret.get("data") or {}).items()}
        self.kind = secret["metadata"]["labels"][SECRET_TYPE_LABEL]
        self.name = secret["metadata"]["name"]
        self.url, self.project = (self.read_text(key) for key in ("url", "project"))

    def read_text(self, key: str) -> str:
        value = self.data.get(key)
        return value.reveal().decode("utf-8", "replace").strip() if value is not None else ""


def find_credentials(
    cluster: DynamicClient, argocd_namespace: str, url: str, project: str
) -> Mapping[str, SecretBytes]:
    """Find the credentials of a repository, by the keys that our fetch uses; empty if no Secret has any.

    Args:
        argocd_namespace: namespace of Argo CD's own objects.
        project: the Application's project; a repository Secret may be for one project only.

    Raises:
        ToolError: the cluster does not answer, a Secret is for another project, or uses an unsupported setting.
    """
    selector = f"{SECRET_TYPE_LABEL} in (repository,repo-creds)"
    candidates = [_RepositorySecret(secret) for secret in cluster.list(secrets.SECRETS, argocd_namespace, selector)]
    normalized = normalize_url(url)
    exact = [secret for secret in candidates if secret.kind == "repository" and normalize_url(secret.url) == normalized]
    usable = [secret for secret in exact if secret.project in ("", project)]
    if exact and not usable:
        raise ToolError(f"{url}: only the project {exact[0].project} may use the Secret {exact[0].name}")
    templates = [
        secret
        for secret in candidates
        if secret.kind == "repo-creds" and f"{normalized}/".startswith(f"{normalize_url(secret.url)}/")
    ]
    credentials = _extract_credentials(max(templates, key=lambda secret: len(secret.url))) if templates else {}
    # The repository's own Secret, preferably that of the project, replaces the template if it has credentials.
    own = next((secret for secret in usable if secret.project == project), usable[0] if usable else None)
    if own is not None:
        credentials = _extract_credentials(own) or credentials
    return {**credentials, **_read_trusted_hosts(cluster, argocd_namespace, url)}


def read_signing_keys(
    cluster: DynamicClient, argocd_namespace: str, signers: Sequence[str]
) -> Mapping[str, SecretBytes]:
    """Read the public PGP keys of signers, by file name.

    Raises:
        ToolError: the cluster does not answer, or a key is missing.
    """
    keys = secrets.read_data(cluster, argocd_namespace, "ConfigMap", GPG_KEYS_CONFIG_MAP) or {}
    for signer in signers:
        if signer not in keys:
            raise ToolError(
                f"ConfigMap {argocd_namespace}/{GPG_KEYS_CONFIG_MAP}: the key {signer} is missing: add it, or remove "
                "it from the project's `signatureKeys`"
            )
    return {f"{signer}.asc": keys[signer] for signer in signers}


def _extract_credentials(secret: _RepositorySecret) -> dict[str, SecretBytes]:
    for key in UNSUPPORTED_KEYS:
        if secret.read_text(key) not in OFF_VALUES:
            raise ToolError(f"Secret {secret.name}: `{key}` is not supported")
    for key in INSECURE_KEYS:
        if secret.read_text(key) not in OFF_VALUES:
            raise ToolError(
                f"Secret {secret.name}: `{key}` is not supported: add the certificate or host key to "
                f"{TLS_CERTS_CONFIG_MAP} or {KNOWN_HOSTS_CONFIG_MAP}"
            )
    return {ours: secret.data[theirs] for theirs, ours in CREDENTIAL_KEYS.items() if secret.read_text(theirs)}


def _read_trusted_hosts(cluster: DynamicClient, argocd_namespace: str, url: str) -> dict[str, SecretBytes]:
    """Read the host keys, or the certificate authority, to trust for a URL."""
    parts = urlsplit(url)
    if parts.scheme == "ssh":
        data = secrets.read_data(cluster, argocd_namespace, "ConfigMap", KNOWN_HOSTS_CONFIG_MAP) or {}
        return {"known_hosts": data["ssh_known_hosts"]} if "ssh_known_hosts" in data else {}
    if parts.scheme == "https":
        data = secrets.read_data(cluster, argocd_namespace, "ConfigMap", TLS_CERTS_CONFIG_MAP) or {}
        return {"ca.crt": data[parts.hostname]} if parts.hostname in data else {}
    return {}
