"""The Secrets of a namespace as a store, in this cluster or another, through lightkube.

Source: external-secrets `apis/externalsecrets/v1/secretstore_kubernetes_types.go`, `pkg/provider/kubernetes`.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.kube.decoder import FieldReader
from gatekeeper.kube.untrusted_kubeconfig import find_forbidden_field
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores import credentials
from gatekeeper.stores.credentials import CredentialSource
from gatekeeper.stores.protocol import (
    GO_JSON_ESCAPES,
    FetchOutcome,
    SecretNotFoundError,
    SecretQuery,
    SecretRef,
    StoreError,
    StructuredSecret,
    compile_name_pattern,
)

if TYPE_CHECKING:
    from lightkube import Client, KubeConfig

TIMEOUT_SECONDS = 15.0
# So many requests to one cluster at a time.
CONCURRENT_REQUESTS = 8
PAGE_SIZE = 200
TOKEN_LIFETIME_SECONDS = 3600
# Bytes that are no UTF-8, as Python keeps them in a text; and two signs that Go always escapes.
UNENCODABLE = re.compile("[\udc80-\udcff\u2028\u2029]")
HTTP_NOT_FOUND, HTTP_TOO_MANY_REQUESTS, HTTP_SERVER_ERROR = 404, 429, 500


def open_store(fields: FieldReader, source: CredentialSource | None, files: MemoryFiles) -> KubernetesStore:
    """A store of Secrets.

    Args:
        fields: `spec.provider.kubernetes`.
        source: where its credentials are; there is no store without.

    Raises:
        StoreError: a credential is not there.
        FieldError: it is not valid.
    """
    import httpx2
    from lightkube import Client

    namespace = fields.read_string("remoteNamespace", "") or "default"
    if source is None:
        raise StoreError("its credentials are in the cluster: give --kubeconfig")
    config = _build_kubeconfig(fields, source, files)
    fields.reject_unknown()
    try:
        single = config.get()
        return KubernetesStore(Client(config=single, timeout=httpx2.Timeout(TIMEOUT_SECONDS)), namespace, files)
    except (OSError, ValueError, AssertionError, KeyError) as error:
        raise StoreError(f"what it signs in to the cluster with is not good: {type(error).__name__}") from None


def _build_kubeconfig(fields: FieldReader, source: CredentialSource, files: MemoryFiles) -> KubeConfig:
    from lightkube import KubeConfig

    ref, auth, server = (
        fields.read_object("authRef"),
        fields.read_object("auth"),
        fields.read_object("server") or FieldReader({}),
    )
    if ref is not None:
        return _parse_kubeconfig(credentials.read_secret(ref, source, "config"))
    if auth is None:
        fields.reject_field("auth", "is missing")
    cluster: dict[str, Any] = {"server": server.read_string("url", "https://kubernetes.default.svc")}
    pem = credentials.read_ca_bundle(server, source)
    server.reject_unknown()
    if pem:
        cluster["certificate-authority"] = credentials.put_file(files, "authority.pem", pem, False)
    user = _build_user(auth, source, files)
    auth.reject_unknown()
    return KubeConfig.from_dict(
        {
            "clusters": [{"name": "it", "cluster": cluster}],
            "users": [{"name": "it", "user": user}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "current-context": "it",
        }
    )


def _parse_kubeconfig(text: SecretBytes) -> KubeConfig:
    """Parse a kubeconfig from a Secret.

    Raises:
        StoreError: it is no kubeconfig, or names a program, a file of this machine or a proxy.
    """
    import yaml
    from lightkube import KubeConfig
    from lightkube.core.exceptions import ConfigError

    try:
        value = yaml.safe_load(text.reveal())
        forbidden_field = find_forbidden_field(value)
        if forbidden_field:
            raise StoreError(
                f"the kubeconfig from the Secret of `authRef` has `{forbidden_field}`: a kubeconfig from a Secret must "
                "not name a program, a file or a proxy; remove the field"
            )
        return KubeConfig.from_dict(value)
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError, ConfigError):
        raise StoreError("the value that `authRef` names is no kubeconfig") from None


def _build_user(auth: FieldReader, source: CredentialSource, files: MemoryFiles) -> dict[str, str]:
    """Who signs in: by a token from a Secret, a new one of a ServiceAccount, or a certificate."""
    if (token := auth.read_object("token")) is not None:
        ref = token.read_object("bearerToken")
        if ref is None:
            token.reject_field("bearerToken", "is missing")
        token.reject_unknown()
        return {"token": credentials.read_secret_text(ref, source)}
    if (named := auth.read_object("serviceAccount")) is not None:
        one = credentials.parse_service_account(named)
        given = source.create_token(one.namespace, one.name, one.audiences, TOKEN_LIFETIME_SECONDS)
        return {"token": given.reveal().decode("ascii")}
    pair = auth.read_object("cert")
    if pair is None:
        auth.reject_field("token", "or `serviceAccount` or `cert` must be there")
    found = {}
    for field, name, key in (
        ("clientCert", "client-certificate", "tls.crt"),
        ("clientKey", "client-key", "tls.key"),
    ):
        ref = pair.read_object(field)
        if ref is None:
            pair.reject_field(field, "is missing")
        found[name] = credentials.put_file(files, field, credentials.read_secret(ref, source, key).reveal(), True)
    pair.reject_unknown()
    return found


class KubernetesStore:
    """The Secrets of a namespace: their names are the keys."""

    def __init__(self, client: Client, namespace: str, files: MemoryFiles) -> None:
        self._client = client
        self._namespace = namespace
        self._files = files
        self._expires_at = time.monotonic() + TOKEN_LIFETIME_SECONDS * 3 / 4
        self._request_count = 0

    @property
    def request_count(self) -> int:
        """How many requests were made."""
        return self._request_count

    def renew_session(self) -> bool:
        """See `Store.keep`."""
        return time.monotonic() < self._expires_at

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()
        self._files.close()

    def fetch(self, refs: Sequence[SecretRef]) -> list[FetchOutcome]:
        """See `Store.read`. Each Secret is read once, for its values and its metadata."""
        names = list(dict.fromkeys(wish.key for wish in refs))
        with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
            found = dict(zip(names, pool.map(self._fetch_secret, names), strict=True))
        return [_build_outcome(wish, found[wish.key]) for wish in refs]

    def _fetch_secret(self, name: str) -> Any:
        from lightkube.resources.core_v1 import Secret

        # A key is text from a manifest: it must stay a name.
        if not name or "/" in name or name in (".", ".."):
            return StoreError(f"`{name}`: is no name of a Secret")
        try:
            return self._send_request(f"`{name}`", lambda: self._client.get(Secret, name, namespace=self._namespace))
        except StoreError as error:
            return error

    def find(self, query: SecretQuery) -> Mapping[str, SecretBytes]:
        """See `Store.find`: by name, or by labels."""
        from lightkube.resources.core_v1 import Secret

        if query.path:
            raise StoreError("Secrets have names and no paths: leave `find.path` out")
        pattern = compile_name_pattern(query.name)

        def listed() -> list[Any]:
            return list(
                self._client.list(Secret, namespace=self._namespace, labels=dict(query.tags), chunk_size=PAGE_SIZE)
            )

        held = self._send_request("the list of Secrets", listed)
        return {one.metadata.name: _build_structured_secret(one) for one in held if pattern.search(one.metadata.name)}

    def _send_request(self, description: str, request: Callable[[], Any]) -> Any:
        self._request_count += 1
        with _translate_errors(description):
            return request()


@contextmanager
def _translate_errors(description: str) -> Iterator[None]:
    """Says why a cluster refuses, in our words; its own may repeat what was asked for."""
    import httpx2
    from lightkube.core.exceptions import ApiError

    try:
        yield
    except ApiError as error:
        code = error.status.code or 0
        if code == HTTP_NOT_FOUND:
            raise SecretNotFoundError(f"{description}: the cluster has no such Secret") from None
        passes = code >= HTTP_SERVER_ERROR or code == HTTP_TOO_MANY_REQUESTS
        raise StoreError(
            f"{description}: the cluster refuses ({error.status.reason or code})", is_transient=passes
        ) from None
    except httpx2.HTTPError as error:
        reason = f"the cluster does not answer ({type(error).__name__})"
        raise StoreError(reason, is_transient=True, is_store_wide=True) from None
    except OSError as error:
        reason = f"the cluster's certificate or ours is not good ({type(error).__name__})"
        raise StoreError(reason, is_store_wide=True) from None


def _build_outcome(ref: SecretRef, secret: Any) -> FetchOutcome:
    if isinstance(secret, StoreError):
        return secret
    if ref.version:
        return StoreError(f"{ref}: Secrets have no versions")
    if not ref.is_metadata:
        return _build_structured_secret(secret)
    notes = {field: getattr(secret.metadata, field) or None for field in ("labels", "annotations")}
    return SecretBytes(_encode_json(notes))


def _build_structured_secret(secret: Any) -> StructuredSecret:
    values = {key: base64.b64decode(text) for key, text in (secret.data or {}).items()}
    texts = {key: value.decode("utf-8", "surrogateescape") for key, value in values.items()}
    return StructuredSecret(_encode_json(texts), {key: SecretBytes(values[key]) for key in sorted(values)})


def _encode_json(value: Any) -> bytes:
    """As Go writes it here: keys in order, each byte that is no UTF-8 as U+FFFD, and no sign escaped for a page."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return UNENCODABLE.sub(lambda sign: GO_JSON_ESCAPES.get(sign[0], "\\ufffd"), text).encode()
