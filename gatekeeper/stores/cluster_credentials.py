"""The credentials that a SecretStore names, read from a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from gatekeeper.cluster import secrets
from gatekeeper.cluster.dynamic_client import ApiStatusError, DynamicClient, Kind
from gatekeeper.model import read_labels
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.protocol import StoreError

SERVICE_ACCOUNTS = Kind("v1", "serviceaccounts", True)


class ClusterCredentials:
    """The credentials of one store; see `stores.credentials.CredentialSource`.

    Args:
        namespace: of the store, or of the ExternalSecret that uses it; empty for a ClusterSecretStore that names the
            namespaces itself.
        is_bound: whether the store may use its own namespace alone, as a SecretStore.
    """

    def __init__(self, cluster: DynamicClient, namespace: str, is_bound: bool) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._is_bound = is_bound

    def _resolve_namespace(self, namespace: str, subject: str) -> str:
        resolved = namespace or self._namespace
        if self._is_bound and resolved != self._namespace:
            # Otherwise a user who may write a SecretStore could use the Secrets of every namespace.
            raise StoreError(
                f"names the {subject} of namespace {resolved}: a SecretStore may use only its own namespace"
            )
        if not resolved:
            raise StoreError(f"needs a namespace for the {subject} to sign in")
        return resolved

    def read_secret(self, namespace: str, name: str, key: str) -> SecretBytes:
        """See `CredentialSource.read_secret`.

        Raises:
            StoreError: the Secret or its key is missing, or belongs to a namespace that the store must not use.
        """
        resolved = self._resolve_namespace(namespace, f"Secret {name}")
        value = (secrets.read_secret(self._cluster, resolved, name) or {}).get(key)
        if value is None:
            raise StoreError(f"needs `{key}` of the Secret {resolved}/{name} to sign in, which is missing")
        return value

    def read_text(self, kind: str, namespace: str, name: str, key: str) -> str:
        """See `CredentialSource.read_text`.

        Raises:
            StoreError: the object or its key is missing, or belongs to a namespace that the store must not use.
        """
        resolved = self._resolve_namespace(namespace, f"{kind} {name}")
        text = secrets.read_text(self._cluster, kind, resolved, name, key)
        if text is None:
            raise StoreError(f"needs the CA certificate `{key}` of the {kind} {resolved}/{name}, which is missing")
        return text

    def create_token(self, namespace: str, name: str, audiences: Sequence[str], lifetime_seconds: int) -> SecretBytes:
        """See `CredentialSource.create_token`. Source: Kubernetes API reference, TokenRequest v1."""
        resolved = self._resolve_namespace(namespace, f"ServiceAccount {name}")
        spec = {"audiences": list(audiences), "expirationSeconds": lifetime_seconds}
        with _translate_errors(resolved, name):
            answer = self._cluster.create_token(resolved, name, spec)
        return SecretBytes(str(answer["status"]["token"]).encode())

    def read_annotations(self, namespace: str, name: str) -> Mapping[str, str]:
        """See `CredentialSource.read_annotations`.

        Raises:
            StoreError: the ServiceAccount is missing, or belongs to a namespace that the store must not use.
        """
        resolved = self._resolve_namespace(namespace, f"ServiceAccount {name}")
        with _translate_errors(resolved, name):
            account = self._cluster.get(SERVICE_ACCOUNTS, resolved, name)
        if account is None:
            raise StoreError(_format_refusal(resolved, name, "NotFound"))
        return read_labels(account, "annotations")


@contextmanager
def _translate_errors(namespace: str, name: str) -> Iterator[None]:
    try:
        yield
    except ApiStatusError as error:
        raise StoreError(_format_refusal(namespace, name, error.reason or str(error.code))) from None


def _format_refusal(namespace: str, name: str, reason: str) -> str:
    return f"the cluster gives no ServiceAccount {namespace}/{name} to sign in with ({reason})"
