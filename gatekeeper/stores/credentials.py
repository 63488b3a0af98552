"""What stores sign in with: Secrets, tokens of ServiceAccounts and certificates, as a SecretStore names them.

Source: external-secrets `apis/meta/v1/types.go` (SecretKeySelector, ServiceAccountSelector), `CAProvider`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from gatekeeper.errors import ToolError
from gatekeeper.host.memory_files import Handed
from gatekeeper.kube.decoder import Fields
from gatekeeper.secret_value import Hidden
from gatekeeper.stores.protocol import StoreError


class Credentials(Protocol):
    """Where credentials are: a cluster. A namespace that is empty is the store's own."""

    def secret(self, namespace: str, name: str, key: str) -> Hidden:
        """A value of a Secret.

        Raises:
            StoreError: it is not there.
        """

    def text(self, kind: str, namespace: str, name: str, key: str) -> str:
        """A text of a ConfigMap or Secret.

        Raises:
            StoreError: it is not there.
        """

    def token(self, namespace: str, name: str, audiences: Sequence[str], seconds: int) -> Hidden:
        """A new token of a ServiceAccount, good for so long.

        Raises:
            StoreError: there is none, or the cluster gives none.
        """

    def annotations(self, namespace: str, name: str) -> Mapping[str, str]:
        """The annotations of a ServiceAccount.

        Raises:
            StoreError: there is none.
        """


class Account(NamedTuple):
    """A ServiceAccount that a store names."""

    namespace: str
    name: str
    audiences: tuple[str, ...]


def secret(fields: Fields, held: Credentials, key: str = "token") -> Hidden:
    """What a `SecretKeySelector` names.

    Args:
        key: where it names none.
    """
    name, chosen, namespace = fields.text("name"), fields.text("key", "") or key, fields.text("namespace", "")
    fields.end()
    return held.secret(namespace, name, chosen)


def word(fields: Fields, held: Credentials, key: str = "token") -> str:
    """What a `SecretKeySelector` names, as a text without spaces around it.

    Raises:
        StoreError: it is no text, or not there.
    """
    try:
        return secret(fields, held, key).reveal().decode("utf-8").strip()
    except UnicodeDecodeError:
        raise StoreError("a credential of the store is no text") from None


def account(fields: Fields) -> Account:
    """What a `ServiceAccountSelector` names."""
    found = Account(fields.text("namespace", ""), fields.text("name"), fields.words("audiences"))
    fields.end()
    return found


def authority(fields: Fields, held: Credentials | None) -> bytes:
    """The certificates (PEM) that vouch for a server: `caBundle`, or what `caProvider` names; empty for the system's.

    Raises:
        StoreError: they are not there, or there is no cluster to look in.
    """
    try:
        bundle = base64.b64decode(fields.text("caBundle", ""), validate=True)
    except binascii.Error:
        fields.refuse("caBundle", "is no base64")
    provider = fields.inner("caProvider")
    if provider is None or bundle:
        return bundle
    kind = provider.choice("type", ("Secret", "ConfigMap"), "")
    name, key, namespace = provider.text("name"), provider.text("key", ""), provider.text("namespace", "")
    provider.end()
    if held is None:
        raise StoreError(f"its certificates are in the {kind} {name} of the cluster: give --kubeconfig")
    return held.text(kind, namespace, name, key or "ca.crt").encode()


def put_file(files: Handed, name: str, content: bytes, is_secret: bool) -> str:
    """Writes a certificate or a key for as long as the store is open, and returns its path.

    Raises:
        StoreError: the content is secret and this machine has no memory file system.
    """
    try:
        return files.put(name, content, is_secret)
    except ToolError as error:
        raise StoreError(str(error)) from None
