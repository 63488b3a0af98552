"""The store providers, and opening the store that a SecretStore describes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.kube.decoder import FieldReader
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.stores import aws, aws_auth, credentials, kubernetes, vault, vault_auth
from gatekeeper.stores.credentials import CredentialSource
from gatekeeper.stores.protocol import Store, StoreError, StoreRetryPolicy


class ProviderContext(NamedTuple):
    """What a provider gets besides its own fields.

    Attributes:
        source: the cluster with the credentials; None to sign in as the user of this machine.
        files: holds certificates and keys while the store is open.
    """

    source: CredentialSource | None
    files: MemoryFiles
    retry: StoreRetryPolicy


def open_store(store: Any, source: CredentialSource | None) -> Store:
    """Sign in to a store.

    Args:
        store: the SecretStore or ClusterSecretStore, of any API version.
        source: the cluster with the credentials that it names; None to sign in as the user of this machine.

    Raises:
        FieldError: the SecretStore is invalid, or uses a field or provider that is not supported.
        StoreError: signing in failed, or the SecretStore names no provider.
    """
    fields = FieldReader(store)
    spec = fields.read_object("spec")
    provider = spec.read_object("provider") if spec else None
    if provider is None:
        fields.reject_field("spec", "has no `provider`")
    retry = _parse_retry_policy(spec)
    for name, open_provider in PROVIDERS.items():
        provider_fields = provider.read_object(name)
        if provider_fields is None:
            continue
        with ExitStack() as cleanup:
            files = MemoryFiles()
            cleanup.callback(files.close)
            opened = open_provider(provider_fields, ProviderContext(source, files, retry))
            cleanup.callback(opened.close)
            provider_fields.reject_unknown()
            # From here on the open store owns the files, until it is closed.
            cleanup.pop_all()
        return opened
    provider.reject_unknown(f"is not supported; supported providers: {', '.join(PROVIDERS)}")
    raise StoreError("the store names no provider")


def _parse_retry_policy(spec: FieldReader | None) -> StoreRetryPolicy:
    """Parse `retrySettings`, and reject the fields of the spec that are not supported."""
    if spec is None:
        return StoreRetryPolicy()
    if spec.read_string("controller", "") not in ("", "default"):
        spec.reject_field("controller", "names another controller: that one uses this store")
    # `refreshInterval` sets how often external-secrets validates the store; `store_conditions` evaluates `conditions`.
    for ignored in ("refreshInterval", "conditions"):
        spec.has_field(ignored)
    settings = spec.read_object("retrySettings")
    spec.reject_unknown()
    if settings is None:
        return StoreRetryPolicy()
    max_retries, delay = settings.read_integer("maxRetries", -1), settings.read_duration("retryInterval", -1.0)
    settings.reject_unknown()
    return StoreRetryPolicy(max_retries if max_retries >= 0 else None, delay if delay != -1.0 else None)


def _open_vault(fields: FieldReader, context: ProviderContext) -> Store:
    auth = fields.read_object("auth")
    for ignored in ("forwardInconsistent", "readYourWrites"):
        fields.read_bool(ignored)
    config = vault.VaultConfig(
        url=fields.read_string("server"),
        mount=fields.read_string("path", ""),
        kv_version=fields.read_choice("version", ("v1", "v2"), "v2"),
        namespace=fields.read_string("namespace", ""),
        ca_file=_write_ca_file(fields, context),
        client_certificate=_write_client_certificate(fields, context),
        headers=fields.read_string_map("headers"),
        retry=context.retry,
    )
    fields.reject_unknown()
    return vault.VaultStore(config, vault_auth.sign_in(config, auth, context.source, context.files), context.files)


def _write_ca_file(fields: FieldReader, context: ProviderContext) -> str:
    pem = credentials.read_ca_bundle(fields, context.source)
    return credentials.put_file(context.files, "authority.pem", pem, False) if pem else ""


def _write_client_certificate(fields: FieldReader, context: ProviderContext) -> tuple[str, str] | None:
    """Write the certificate and key for a server that requests a client certificate; None if `tls` is not set."""
    tls = fields.read_object("tls")
    if tls is None:
        return None
    if context.source is None:
        raise StoreError("the client certificate (`tls`) is in a Secret of the cluster: give --kubeconfig")
    paths = credentials.put_key_pair(tls, ("certSecretRef", "keySecretRef"), context.source, context.files)
    tls.reject_unknown()
    return paths


def _open_aws(fields: FieldReader, context: ProviderContext) -> Store:
    service = fields.read_choice("service", ("SecretsManager", "ParameterStore"), "SecretsManager")
    prefix = fields.read_string("prefix", "")
    if (deletion := fields.read_object("secretsManager")) is not None:
        # Both fields set how secrets are deleted; this product deletes none.
        deletion.read_bool("forceDeleteWithoutRecovery")
        deletion.has_field("recoveryWindowInDays")
        deletion.reject_unknown()
    if service == "SecretsManager":
        client = aws_auth.create_client("secretsmanager", fields, context.source, context.retry)
        return aws.SecretsManagerStore(client, prefix)
    return aws.ParameterStore(aws_auth.create_client("ssm", fields, context.source, context.retry), prefix)


def _open_kubernetes(fields: FieldReader, context: ProviderContext) -> Store:
    return kubernetes.open_store(fields, context.source, context.files)


PROVIDERS: dict[str, Callable[[FieldReader, ProviderContext], Store]] = {
    "vault": _open_vault,
    "aws": _open_aws,
    "kubernetes": _open_kubernetes,
}
