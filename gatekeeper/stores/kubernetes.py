"""The Secrets of a namespace as a store, in this cluster or another one.

Source: external-secrets `apis/externalsecrets/v1/secretstore_kubernetes_types.go`, `pkg/provider/kubernetes`.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import yaml
from lightkube import KubeConfig
from lightkube.core.exceptions import ConfigError

from gatekeeper.cluster.dynamic_client import (
    NOT_FOUND,
    TOO_MANY_REQUESTS,
    ApiStatusError,
    ClusterUnreachableError,
    DynamicClient,
)
from gatekeeper.cluster.secrets import SECRETS
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.kube.decoder import FieldReader
from gatekeeper.kube.untrusted_kubeconfig import find_forbidden_field
from gatekeeper.model import Object, get_field
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

TIMEOUT_SECONDS = 15.0
# The number of concurrent requests to one cluster.
CONCURRENT_REQUESTS = 8
TOKEN_LIFETIME_SECONDS = 3600
# Bytes that are not UTF-8, as Python represents them in a text, and two characters that Go always escapes.
UNENCODABLE = re.compile("[\udc80-\udcff\u2028\u2029]")
HTTP_SERVER_ERROR = 500


def open_store(fields: FieldReader, source: CredentialSource | None, files: MemoryFiles) -> KubernetesStore:
    """Open a store of Secrets.

    Args:
        fields: `spec.provider.kubernetes` of the SecretStore.
        source: the cluster with the credentials; required.

    Raises:
        StoreError: a credential is missing or unusable.
        FieldError: a field is invalid.
    """
    namespace = fields.read_string("remoteNamespace", "") or "default"
    if source is None:
        raise StoreError("--kubeconfig is needed to read the store's credentials")
    config = _build_kubeconfig(fields, source, files)
    fields.reject_unknown()
    try:
        cluster = config.get()
        if cluster is None:
            raise ValueError("no current context")
        return KubernetesStore(DynamicClient(cluster, timeout=TIMEOUT_SECONDS), namespace, files)
    except (OSError, ValueError, AssertionError, KeyError) as error:
        raise StoreError(f"its credentials for the cluster are unusable: {type(error).__name__}") from None


def _build_kubeconfig(fields: FieldReader, source: CredentialSource, files: MemoryFiles) -> KubeConfig:
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
            "clusters": [{"name": "store", "cluster": cluster}],
            "users": [{"name": "store", "user": user}],
            "contexts": [{"name": "store", "context": {"cluster": "store", "user": "store"}}],
            "current-context": "store",
        }
    )


def _parse_kubeconfig(text: SecretBytes) -> KubeConfig:
    """Parse a kubeconfig from a Secret.

    Raises:
        StoreError: it is not a kubeconfig, or names a program, a file of this machine or a proxy.
    """
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
        raise StoreError("the value that `authRef` names is not a kubeconfig") from None


def _build_user(auth: FieldReader, source: CredentialSource, files: MemoryFiles) -> dict[str, str]:
    """Build the user of a kubeconfig: with a token from a Secret, a token of a ServiceAccount, or a certificate."""
    if (token_fields := auth.read_object("token")) is not None:
        selector = token_fields.read_object("bearerToken")
        if selector is None:
            token_fields.reject_field("bearerToken", "is missing")
        token_fields.reject_unknown()
        return {"token": credentials.read_secret_text(selector, source)}
    if (account_fields := auth.read_object("serviceAccount")) is not None:
        account = credentials.parse_service_account(account_fields)
        token = source.create_token(account.namespace, account.name, account.audiences, TOKEN_LIFETIME_SECONDS)
        return {"token": token.reveal().decode("ascii")}
    pair = auth.read_object("cert")
    if pair is None:
        auth.reject_field("token", "or `serviceAccount` or `cert` is required")
    certificate, key = credentials.put_key_pair(pair, ("clientCert", "clientKey"), source, files)
    pair.reject_unknown()
    return {"client-certificate": certificate, "client-key": key}


class KubernetesStore:
    """The Secrets of a namespace; their names are the keys.

    Args:
        files: the files of the credentials; closed with the store.
    """

    def __init__(self, client: DynamicClient, namespace: str, files: MemoryFiles) -> None:
        self._client = client
        self._namespace = namespace
        self._files = files
        self._expires_at = time.monotonic() + TOKEN_LIFETIME_SECONDS * 3 / 4
        self._request_count = 0

    @property
    def request_count(self) -> int:
        """See `Store.request_count`."""
        return self._request_count

    def renew_session(self) -> bool:
        """See `Store.renew_session`: a token of a ServiceAccount is replaced before it expires."""
        return time.monotonic() < self._expires_at

    def close(self) -> None:
        """See `Store.close`."""
        self._client.close()
        self._files.close()

    def fetch(self, refs: Sequence[SecretRef]) -> list[FetchOutcome]:
        """See `Store.fetch`. Each Secret is fetched once, for its values and its metadata."""
        names = list(dict.fromkeys(ref.key for ref in refs))
        with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
            secrets = dict(zip(names, pool.map(self._fetch_secret, names), strict=True))
        return [_build_outcome(ref, secrets[ref.key]) for ref in refs]

    def _fetch_secret(self, name: str) -> Object | StoreError:
        # The key comes from a manifest: it must be a name, and not a path of the API.
        if not name or "/" in name or name in (".", ".."):
            return StoreError(f"`{name}`: not a valid name of a Secret")
        try:
            with self._count_request(f"`{name}`"):
                secret = self._client.get(SECRETS, self._namespace, name)
        except StoreError as error:
            return error
        return SecretNotFoundError(f"`{name}`: the cluster has no such Secret") if secret is None else secret

    def find(self, query: SecretQuery) -> Mapping[str, SecretBytes]:
        """See `Store.find`: by name, or by labels.

        Raises:
            StoreError: the query has a path, or the cluster refuses or does not answer.
        """
        if query.path:
            raise StoreError("Secrets have no paths: remove `find.path`")
        pattern = compile_name_pattern(query.name)

        selector = ",".join(f"{key}={value}" for key, value in query.tags.items())
        with self._count_request("the list of Secrets"):
            secrets = list(self._client.list(SECRETS, self._namespace, selector))
        return {
            name: _build_structured_secret(secret)
            for secret in secrets
            if pattern.search(name := secret["metadata"]["name"])
        }

    @contextmanager
    def _count_request(self, description: str) -> Iterator[None]:
        """Count a request; raise our own errors, because a message of the cluster may repeat parts of the request."""
        self._request_count += 1
        try:
            yield
        except ApiStatusError as error:
            if error.code == NOT_FOUND:
                raise SecretNotFoundError(f"{description}: the cluster has no such Secret") from None
            is_transient = error.code >= HTTP_SERVER_ERROR or error.code == TOO_MANY_REQUESTS
            reason = f"{description}: the cluster refuses ({error.reason or error.code})"
            raise StoreError(reason, is_transient) from None
        except ClusterUnreachableError as error:
            raise StoreError(error.reason, is_transient=True, is_store_wide=True) from None
        except OSError as error:
            reason = f"the certificate of the cluster or of the client is invalid ({type(error).__name__})"
            raise StoreError(reason, is_store_wide=True) from None


def _build_outcome(ref: SecretRef, secret: Object | StoreError) -> FetchOutcome:
    if isinstance(secret, StoreError):
        return secret
    if ref.version:
        return StoreError(f"{ref}: Secrets have no versions")
    if not ref.is_metadata:
        return _build_structured_secret(secret)
    metadata = {field: get_field(secret, ("metadata", field)) or None for field in ("labels", "annotations")}
    return SecretBytes(_encode_json(metadata))


def _build_structured_secret(secret: Object) -> StructuredSecret:
    values = {key: base64.b64decode(text) for key, text in (secret.get("data") or {}).items()}
    texts = {key: value.decode("utf-8", "surrogateescape") for key, value in values.items()}
    return StructuredSecret(_encode_json(texts), {key: SecretBytes(values[key]) for key in sorted(values)})


def _encode_json(value: Any) -> bytes:
    """Encode as external-secrets does here: sorted keys, invalid UTF-8 as U+FFFD, and no escapes for HTML."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return UNENCODABLE.sub(lambda match: GO_JSON_ESCAPES.get(match[0], "\\ufffd"), text).encode()
