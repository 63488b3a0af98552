"""With what a repository is reached: Secrets of a repository itself, or of all below an address.

Source: argo-cd `docs/operator-manual/declarative-setup.md` (repositories, repository credentials), `util/db`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from gatekeeper.argocd.application_spec import normalize_url
from gatekeeper.cluster import secret_values
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.errors import ToolError
from gatekeeper.secret_value import SecretBytes

SECRET_TYPE_LABEL = "argocd.argoproj.io/secret-type"
KNOWN_HOSTS_CONFIG_MAP, TLS_CERTS_CONFIG_MAP, GPG_KEYS_CONFIG_MAP = (
    "argocd-ssh-known-hosts-cm",
    "argocd-tls-certs-cm",
    "argocd-gpg-keys-cm",
)
# As the Secret of a GitRepository names the same.
CREDENTIAL_KEYS = {
    "username": "username",
    "password": "password",
    "bearerToken": "bearerToken",
    "sshPrivateKey": "identity",
    "tlsClientCertData": "tls.crt",
    "tlsClientCertKey": "tls.key",
}
UNSUPPORTED_KEYS = ("githubAppID", "githubAppPrivateKey", "gcpServiceAccountKey", "proxy", "useAzureWorkloadIdentity")
OFF_VALUES = ("", "false")


def find_credentials(
    cluster: DynamicClient, argocd_namespace: str, url: str, project: str
) -> Mapping[str, SecretBytes]:
    """What a repository is reached with, named as fetching has it; empty where no Secret is about it.

    Args:
        argocd_namespace: the namespace of Argo CD's own objects.
        project: of the Application; a Secret may be for one project alone.

    Raises:
        ToolError: the cluster does not tell; or a Secret says what is not followed.
    """
    known = [
        _RepositorySecret(one)
        for one in cluster.list(
            secret_values.SECRETS, argocd_namespace, f"{SECRET_TYPE_LABEL} in (repository,repo-creds)"
        )
    ]
    own = [one for one in known if one.kind == "repository" and normalize_url(one.url) == normalize_url(url)]
    mine = [one for one in own if one.project in ("", project)]
    if own and not mine:
        raise ToolError(f"{url}: the Secret {own[0].name} is for the project {own[0].project} alone")
    above = [
        one
        for one in known
        if one.kind == "repo-creds" and f"{normalize_url(url)}/".startswith(f"{normalize_url(one.url)}/")
    ]
    found = _extract_credentials(max(above, key=lambda one: len(one.url))) if above else {}
    # What is said of the repository itself counts first, and says all where it says how to sign in.
    itself = next((one for one in mine if one.project == project), mine[0] if mine else None)
    if itself is not None:
        data = _extract_credentials(itself)
        found = data if data else found
    return {**found, **_read_trusted_hosts(cluster, argocd_namespace, url)}


def read_signing_keys(
    cluster: DynamicClient, argocd_namespace: str, signers: Sequence[str]
) -> Mapping[str, SecretBytes]:
    """The public keys of PGP of those who may sign, by file name.

    Raises:
        ToolError: the cluster does not tell, or one is not known.
    """
    held = secret_values.read_data(cluster, argocd_namespace, "ConfigMap", GPG_KEYS_CONFIG_MAP) or {}
    lacking = [one for one in signers if one not in held]
    if lacking:
        raise ToolError(
            f"the ConfigMap {argocd_namespace}/{GPG_KEYS_CONFIG_MAP} has not the key {lacking[0]} "
            "that the project names"
        )
    return {f"{one}.asc": held[one] for one in signers}


class _RepositorySecret:
    """A Secret about repositories; its values stay hidden."""

    __slots__ = ("data", "kind", "name", "project", "url")

    def __init__(self, value: Object) -> None:
        self.data = {key: SecretBytes(base64.b64decode(text)) for key, text in (value.get("data") or {}).items()}
        self.kind = value["metadata"]["labels"][SECRET_TYPE_LABEL]
        self.name = value["metadata"]["name"]
        self.url, self.project = (self.read_text(name) for name in ("url", "project"))

    def read_text(self, name: str) -> str:
        held = self.data.get(name)
        return held.reveal().decode("utf-8", "replace").strip() if held is not None else ""


def _extract_credentials(secret: _RepositorySecret) -> dict[str, SecretBytes]:
    for name in UNSUPPORTED_KEYS:
        if secret.read_text(name) not in OFF_VALUES:
            raise ToolError(f"the Secret {secret.name}: `{name}` is not supported")
    for name in ("insecure", "insecureIgnoreHostKey"):
        if secret.read_text(name) not in OFF_VALUES:
            raise ToolError(
                f"the Secret {secret.name}: `{name}` is not followed; name whom to trust in "
                f"{TLS_CERTS_CONFIG_MAP}, {KNOWN_HOSTS_CONFIG_MAP}"
            )
    return {theirs: secret.data[ours] for ours, theirs in CREDENTIAL_KEYS.items() if secret.read_text(ours)}


def _read_trusted_hosts(cluster: DynamicClient, argocd_namespace: str, url: str) -> dict[str, SecretBytes]:
    """Whose keys and certificates are trusted."""
    parts = urlsplit(url)
    if parts.scheme == "ssh":
        held = secret_values.read_data(cluster, argocd_namespace, "ConfigMap", KNOWN_HOSTS_CONFIG_MAP) or {}
        return {"known_hosts": held["ssh_known_hosts"]} if "ssh_known_hosts" in held else {}
    if parts.scheme == "https":
        held = secret_values.read_data(cluster, argocd_namespace, "ConfigMap", TLS_CERTS_CONFIG_MAP) or {}
        return {"ca.crt": held[parts.hostname]} if parts.hostname in held else {}
    return {}
