"""What stores sign in with: Secrets, tokens of ServiceAccounts and certificates, as a SecretStore names them.

Source: external-secrets `apis/meta/v1/types.go` (SecretKeySelector, ServiceAccountSelector), `CAProvider`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from gatekeeper.errors import ToolError
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.kube.decoder import FieldReader
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.protocol import StoreError


class CredentialSource(Protocol):
    """Where credentials are: a cluster. A namespace that is empty is the store's own."""

    def read_secret(self, namespace: str, name: str, key: str) -> SecretBytes:
        """A value of a Secret.

        Raises:
            StoreError: it is not there.
        """

    def read_text(self, kind: str, namespace: str, name: str, key: str) -> str:
        """A text of a ConfigMap or Secret.

        Raises:
            StoreError: it is not there.
        """

    def create_token(self, namespace: str, name: str, audiences: Sequence[str], lifetime_seconds: int) -> SecretBytes:
        """A new token of a ServiceAccount, good for so long.

        Raises:
            StoreError: there is none, or the cluster gives none.
        """

    def read_annotations(self, namespace: str, name: str) -> Mapping[str, str]:
        """The annotations of a ServiceAccount.

        Raises:
            StoreError: there is none.
        """


class ServiceAccountRef(NamedTuple):
    """A ServiceAccount that a store names."""

    namespace: str
    name: str
    audiences: tuple[str, ...]


def read_secret(fields: FieldReader, source: CredentialSource, default_key: str = "token") -> SecretBytes:
    """What a `SecretKeySelector` names.

    Args:
        default_key: where it names none.
    """
    name, chosen, namespace = (
        fields.read_string("name"),
        fields.read_string("key", "") or default_key,
        fields.read_string("namespace", ""),
    )
    fields.reject_unknown()
    return source.read_secret(namespace, name, chosen)


def read_secret_text(fields: FieldReader, source: CredentialSource, default_key: str = "token") -> str:
    """What a `SecretKeySelector` names, as a text without spaces around it.

    Raises:
        StoreError: it is no text, or not there.
    """
    try:
        return read_secret(fields, source, default_key).reveal().decode("utf-8").strip()
    except UnicodeDecodeError:
        raise StoreError("a credential of the store is no text") from None


def parse_service_account(fields: FieldReader) -> ServiceAccountRef:
    """What a `ServiceAccountSelector` names."""
    found = ServiceAccountRef(
        fields.read_string("namespace", ""), fields.read_string("name"), fields.read_string_list("audiences")
    )
    fields.reject_unknown()
    return found


def read_ca_bundle(fields: FieldReader, source: CredentialSource | None) -> bytes:
    """The certificates (PEM) that vouch for a server: `caBundle`, or what `caProvider` names; empty for the system's.

    Raises:
        StoreError: they are not there, or there is no cluster to look in.
    """
    try:
        bundle = base64.b64decode(fields.read_string("caBundle", ""), validate=True)
    except binascii.Error:
        fields.reject_field("caBundle", "is no base64")
    provider = fields.read_object("caProvider")
    if provider is None or bundle:
        return bundle
    kind = provider.read_choice("type", ("Secret", "ConfigMap"), "")
    name, key, namespace = (
        provider.read_string("name"),
        provider.read_string("key", ""),
        provider.read_string("namespace", ""),
    )
    provider.reject_unknown()
    if source is None:
        raise StoreError(f"its certificates are in the {kind} {name} of the cluster: give --kubeconfig")
    return source.read_text(kind, namespace, name, key or "ca.crt").encode()


def put_file(files: MemoryFiles, name: str, content: bytes, is_secret: bool) -> str:
    """Writes a certificate or a key for as long as the store is open, and returns its path.

    Raises:
        StoreError: the content is secret and this machine has no memory file system.
    """
    try:
        return files.write_file(name, content, is_secret)
    except ToolError as error:
        raise StoreError(str(error)) from None
