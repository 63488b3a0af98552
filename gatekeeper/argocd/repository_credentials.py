"""With what a repository is reached: Secrets of a repository itself, or of all below an address.

Source: argo-cd `docs/operator-manual/declarative-setup.md` (repositories, repository credentials), `util/db`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from gatekeeper.argocd.application_spec import normal
from gatekeeper.cluster import secret_values
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.errors import ToolError
from gatekeeper.secret_value import Hidden

TYPE = "argocd.argoproj.io/secret-type"
HOSTS, AUTHORITIES, KEYS = "argocd-ssh-known-hosts-cm", "argocd-tls-certs-cm", "argocd-gpg-keys-cm"
# As the Secret of a GitRepository names the same.
NAMES = {
    "username": "username", "password": "password", "bearerToken": "bearerToken", "sshPrivateKey": "identity",
    "tlsClientCertData": "tls.crt", "tlsClientCertKey": "tls.key",
}  # fmt: skip
REFUSED = ("githubAppID", "githubAppPrivateKey", "gcpServiceAccountKey", "proxy", "useAzureWorkloadIdentity")
OFF = ("", "false")


def credentials(cluster: Objects, home: str, url: str, project: str) -> Mapping[str, Hidden]:
    """What a repository is reached with, named as fetching has it; empty where no Secret is about it.

    Args:
        home: the namespace of Argo CD's own objects.
        project: of the Application; a Secret may be for one project alone.

    Raises:
        ToolError: the cluster does not tell; or a Secret says what is not followed.
    """
    known = [_Held(one) for one in cluster.list(secret_values.SECRETS, home, f"{TYPE} in (repository,repo-creds)")]
    own = [one for one in known if one.kind == "repository" and normal(one.url) == normal(url)]
    mine = [one for one in own if one.project in ("", project)]
    if own and not mine:
        raise ToolError(f"{url}: the Secret {own[0].name} is for the project {own[0].project} alone")
    above = [one for one in known if one.kind == "repo-creds" and f"{normal(url)}/".startswith(f"{normal(one.url)}/")]
    found = _data(max(above, key=lambda one: len(one.url))) if above else {}
    # What is said of the repository itself counts first, and says all where it says how to sign in.
    itself = next((one for one in mine if one.project == project), mine[0] if mine else None)
    if itself is not None:
        data = _data(itself)
        found = data if data else found
    return {**found, **_trusted(cluster, home, url)}


def signing_keys(cluster: Objects, home: str, signers: Sequence[str]) -> Mapping[str, Hidden]:
    """The public keys of PGP of those who may sign, by file name.

    Raises:
        ToolError: the cluster does not tell, or one is not known.
    """
    held = secret_values.data(cluster, home, "ConfigMap", KEYS) or {}
    lacking = [one for one in signers if one not in held]
    if lacking:
        raise ToolError(f"the ConfigMap {home}/{KEYS} has not the key {lacking[0]} that the project names")
    return {f"{one}.asc": held[one] for one in signers}


class _Held:
    """A Secret about repositories; its values stay hidden."""

    __slots__ = ("data", "kind", "name", "project", "url")

    def __init__(self, value: Object) -> None:
        self.data = {key: Hidden(base64.b64decode(text)) for key, text in (value.get("data") or {}).items()}
        self.kind = value["metadata"]["labels"][TYPE]
        self.name = value["metadata"]["name"]
        self.url, self.project = (self.text(name) for name in ("url", "project"))

    def text(self, name: str) -> str:
        held = self.data.get(name)
        return held.reveal().decode("utf-8", "replace").strip() if held is not None else ""


def _data(one: _Held) -> dict[str, Hidden]:
    for name in REFUSED:
        if one.text(name) not in OFF:
            raise ToolError(f"the Secret {one.name}: `{name}` is not supported")
    for name in ("insecure", "insecureIgnoreHostKey"):
        if one.text(name) not in OFF:
            raise ToolError(
                f"the Secret {one.name}: `{name}` is not followed; name whom to trust in {AUTHORITIES}, {HOSTS}"
            )
    return {theirs: one.data[ours] for ours, theirs in NAMES.items() if one.text(ours)}


def _trusted(cluster: Objects, home: str, url: str) -> dict[str, Hidden]:
    """Whose keys and certificates are trusted."""
    parts = urlsplit(url)
    if parts.scheme == "ssh":
        held = secret_values.data(cluster, home, "ConfigMap", HOSTS) or {}
        return {"known_hosts": held["ssh_known_hosts"]} if "ssh_known_hosts" in held else {}
    if parts.scheme == "https":
        held = secret_values.data(cluster, home, "ConfigMap", AUTHORITIES) or {}
        return {"ca.crt": held[parts.hostname]} if parts.hostname in held else {}
    return {}
