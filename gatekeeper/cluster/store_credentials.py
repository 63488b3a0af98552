"""The credentials that stores name, out of a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gatekeeper.cluster import secrets
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.protocol import StoreError

if TYPE_CHECKING:
    from lightkube import Client


class ClusterCredentials:
    """What a store signs in with, of a cluster; see `stores.credentials.Credentials`.

    Args:
        namespace: of the store, or of who asks; empty for a cluster store that names namespaces itself.
        is_bound: whether it may name no other namespace, as a SecretStore may not.
    """

    def __init__(self, client: Client, namespace: str, is_bound: bool) -> None:
        self._client = client
        self._namespace = namespace
        self._is_bound = is_bound

    def _resolve_namespace(self, namespace: str, subject: str) -> str:
        found = namespace or self._namespace
        if self._is_bound and found != self._namespace:
            # Else whoever may write a SecretStore could use what is in any namespace.
            raise StoreError(f"names the {subject} of namespace {found}: a SecretStore has only what is in its own")
        if not found:
            raise StoreError(f"names no namespace for the {subject} that it signs in with")
        return found

    def read_secret(self, namespace: str, name: str, key: str) -> SecretBytes:
        """See `Credentials.secret`."""
        space = self._resolve_namespace(namespace, f"Secret {name}")
        found = secrets.get_secret_value(self._client, space, name, key)
        if found is None:
            raise StoreError(f"signs in with `{key}` of the Secret {space}/{name}, which is not there")
        return found

    def read_text(self, kind: str, namespace: str, name: str, key: str) -> str:
        """See `Credentials.text`."""
        space = self._resolve_namespace(namespace, f"{kind} {name}")
        found = secrets.get_text(self._client, kind, space, name, key)
        if found is None:
            raise StoreError(f"is vouched for by `{key}` of the {kind} {space}/{name}, which is not there")
        return found

    def create_token(self, namespace: str, name: str, audiences: Sequence[str], lifetime_seconds: int) -> SecretBytes:
        """See `Credentials.token`. Source: Kubernetes' TokenRequest API."""
        from lightkube.models.authentication_v1 import TokenRequestSpec
        from lightkube.models.meta_v1 import ObjectMeta
        from lightkube.resources.core_v1 import ServiceAccountToken

        space = self._resolve_namespace(namespace, f"ServiceAccount {name}")
        spec = TokenRequestSpec(audiences=list(audiences), expirationSeconds=lifetime_seconds)
        asked = ServiceAccountToken(spec=spec, metadata=ObjectMeta())
        with _translate_errors(space, name):
            answer: Any = self._client.create(asked, name, namespace=space)
        return SecretBytes(str(answer.status.token).encode())

    def read_annotations(self, namespace: str, name: str) -> Mapping[str, str]:
        """See `Credentials.annotations`."""
        from lightkube.resources.core_v1 import ServiceAccount

        space = self._resolve_namespace(namespace, f"ServiceAccount {name}")
        with _translate_errors(space, name):
            found: Any = self._client.get(ServiceAccount, name, namespace=space)
        return found.metadata.annotations or {}


@contextmanager
def _translate_errors(namespace: str, name: str) -> Iterator[None]:
    from lightkube.core.exceptions import ApiError

    try:
        yield
    except ApiError as error:
        reason = error.status.reason or error.status.code
        raise StoreError(f"the cluster gives no ServiceAccount {namespace}/{name} to sign in with ({reason})") from None
