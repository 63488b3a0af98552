"""The credentials that a SecretStore names: Secrets, tokens of ServiceAccounts, and CA certificates.

Source: external-secrets `apis/meta/v1/types.go` (SecretKeySelector, ServiceAccountSelector), `CAProvider`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Protocol

from gatekeeper.errors import ToolError
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.kube.decoder import FieldReader
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.protocol import StoreError


class CredentialSource(Protocol):
    """The cluster that holds the credentials. An empty namespace is the namespace of the store."""

    def read_secret(self, namespace: str, name: str, key: str) -> SecretBytes:
        """Return a value of a Secret.

        Raises:
            StoreError: the Secret or the key is missing, or the store may not use this namespace.
        """

    def read_text(self, kind: str, namespace: str, name: str, key: str) -> str:
        """Return a text of a ConfigMap or Secret.

        Raises:
            StoreError: the object or the key is missing, or the store may not use this namespace.
        """

    def create_token(self, namespace: str, name: str, audiences: Sequence[str], lifetime_seconds: int) -> SecretBytes:
        """Create a token of a ServiceAccount.

        Raises:
            StoreError: the ServiceAccount is missing, or the cluster refuses.
        """

    def read_annotations(self, namespace: str, name: str) -> Mapping[str, str]:
        """Return the annotations of a ServiceAccount.

        Raises:
            StoreError: the ServiceAccount is missing, or the cluster refuses.
        """


class ServiceAccountRef(NamedTuple):
    """A ServiceAccount that a store names, and the audiences for its tokens."""

    namespace: str
    name: str
    audiences: tuple[str, ...]


def read_secret(fields: FieldReader, source: CredentialSource, default_key: str = "token") -> SecretBytes:
    """Return the value that a `SecretKeySelector` names.

    Args:
        default_key: the key for a selector that names none.
    """
    name, key, namespace = (
        fields.read_string("name"),
        fields.read_string("key", "") or default_key,
        fields.read_string("namespace", ""),
    )
    fields.reject_unknown()
    return source.read_secret(namespace, name, key)


def read_secret_text(fields: FieldReader, source: CredentialSource, default_key: str = "token") -> str:
    """Return the value that a `SecretKeySelector` names, as text without surrounding white space.

    Raises:
        StoreError: the value is missing, or is not UTF-8 text.
    """
    try:
        return read_secret(fields, source, default_key).reveal().decode("utf-8").strip()
    except UnicodeDecodeError:
        raise StoreError("a credential of the store is not UTF-8 text") from None


def parse_service_account(fields: FieldReader) -> ServiceAccountRef:
    """Parse a `ServiceAccountSelector`."""
    account = ServiceAccountRef(
        fields.read_string("namespace", ""), fields.read_string("name"), fields.read_string_list("audiences")
    )
    fields.reject_unknown()
    return account


def read_ca_bundle(fields: FieldReader, source: CredentialSource | None) -> bytes:
    """Return the CA certificates (PEM) of `caBundle` or `caProvider`; empty for those of the system.

    Raises:
        StoreError: the certificates are missing, or are in a cluster and none is given.
    """
    try:
        bundle = base64.b64decode(fields.read_string("caBundle", ""), validate=True)
    except binascii.Error:
        fields.reject_field("caBundle", "is not valid base64")
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
        raise StoreError(f"the CA certificates are in the {kind} {name} of the cluster: give --kubeconfig")
    return source.read_text(kind, namespace, name, key or "ca.crt").encode()


def put_file(files: MemoryFiles, name: str, content: bytes, is_secret: bool) -> str:
    """Write a certificate or a key to a file that exists while the store is open; return its path.

    Raises:
        StoreError: the content is secret and this machine has no file system in memory.
    """
    try:
        return files.write_file(name, content, is_secret)
    except ToolError as error:
        raise StoreError(str(error)) from None


def put_key_pair(
    fields: FieldReader, selectors: tuple[str, str], source: CredentialSource, files: MemoryFiles
) -> tuple[str, str]:
    """Write a client certificate and its key to files; return their paths.

    Args:
        selectors: the fields with the `SecretKeySelector` of the certificate and of the key.

    Raises:
        StoreError: a value is missing, or this machine has no file system in memory.
        FieldError: a selector is missing.
    """
    paths = []
    for selector, default_key in zip(selectors, ("tls.crt", "tls.key"), strict=True):
        reference = fields.read_object(selector)
        if reference is None:
            fields.reject_field(selector, "is missing")
        content = read_secret(reference, source, default_key).reveal()
        paths.append(put_file(files, selector, content, True))
    return paths[0], paths[1]
