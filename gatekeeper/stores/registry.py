"""From a SecretStore to a store that is open. A provider that is not supported is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.kube.decoder import FieldReader
from gatekeeper.stores import credentials
from gatekeeper.stores.credentials import CredentialSource
from gatekeeper.stores.protocol import Store, StoreError, StoreRetryPolicy


def open_store(value: Any, source: CredentialSource | None) -> Store:
    """A store, signed in to.

    Args:
        value: the SecretStore or ClusterSecretStore, of any API version.
        source: where the credentials are that it names; None to sign in as the user of this machine.

    Raises:
        FieldError: it is not valid, or asks for something that is not supported.
        StoreError: it cannot be signed in to.
    """
    whole = FieldReader(value)
    spec = whole.read_object("spec")
    provider = spec.read_object("provider") if spec else None
    if provider is None:
        whole.reject_field("spec", "names no `provider`")
    again = _parse_retry_policy(spec)
    for name, make in PROVIDERS.items():
        fields = provider.read_object(name)
        if fields is not None:
            with ExitStack() as undone:
                handed = MemoryFiles()
                undone.callback(handed.close)
                store = make(fields, ProviderContext(source, handed, again))
                undone.callback(store.close)
                fields.reject_unknown()
                # From here on all that is the store's, until it is closed.
                undone.pop_all()
            return store
    provider.reject_unknown(f"is not supported; there are {', '.join(PROVIDERS)}")
    raise StoreError("the store names no provider")


class ProviderContext(NamedTuple):
    """What a store is opened with beside its own fields."""

    source: CredentialSource | None
    files: MemoryFiles
    retry: StoreRetryPolicy


def _parse_retry_policy(spec: FieldReader | None) -> StoreRetryPolicy:
    """How often it is tried again; and refuses what else the store asks for."""
    if spec is None:
        return StoreRetryPolicy()
    if spec.read_string("controller", "") not in ("", "default"):
        spec.reject_field("controller", "names another controller, so the store is not ours to use")
    # The one is about how often external-secrets looks whether the store is good; `conditions` are looked at by others.
    for known in ("refreshInterval", "conditions"):
        spec.has_field(known)
    settings = spec.read_object("retrySettings")
    spec.reject_unknown()
    if settings is None:
        return StoreRetryPolicy()
    times = settings.read_integer("maxRetries", -1)
    found = StoreRetryPolicy(times if times >= 0 else None, settings.read_duration("retryInterval", -1.0))
    settings.reject_unknown()
    return found if found.first_delay_seconds != -1.0 else found._replace(first_delay_seconds=None)


def _open_vault(fields: FieldReader, context: ProviderContext) -> Store:
    from gatekeeper.stores import vault, vault_auth

    auth = fields.read_object("auth")
    for known in ("forwardInconsistent", "readYourWrites"):
        fields.read_bool(known)
    place = vault.VaultConfig(
        fields.read_string("server"),
        fields.read_string("path", ""),
        fields.read_choice("version", ("v1", "v2"), "v2"),
        fields.read_string("namespace", ""),
        _write_ca_file(fields, context),
        _write_client_certificate(fields, context),
        fields.read_string_map("headers"),
        context.retry,
    )
    fields.reject_unknown()
    return vault.VaultStore(place, vault_auth.sign_in(place, auth, context.source, context.files), context.files)


def _write_ca_file(fields: FieldReader, context: ProviderContext) -> str:
    pem = credentials.read_ca_bundle(fields, context.source)
    return credentials.put_file(context.files, "authority.pem", pem, False) if pem else ""


def _write_client_certificate(fields: FieldReader, context: ProviderContext) -> tuple[str, str] | None:
    """The certificate and key that are shown to a server which asks for them."""
    tls = fields.read_object("tls")
    if tls is None:
        return None
    if context.source is None:
        raise StoreError("its `tls` is a Secret of the cluster: give --kubeconfig")
    names = []
    for field, key in (("certSecretRef", "tls.crt"), ("keySecretRef", "tls.key")):
        inner = tls.read_object(field)
        if inner is None:
            tls.reject_field(field, "is missing")
        names.append(
            credentials.put_file(
                context.files, field, credentials.read_secret(inner, context.source, key).reveal(), True
            )
        )
    tls.reject_unknown()
    return names[0], names[1]


def _open_aws(fields: FieldReader, context: ProviderContext) -> Store:
    from gatekeeper.stores import aws, aws_auth

    service = fields.read_choice("service", ("SecretsManager", "ParameterStore"), "SecretsManager")
    prefix = fields.read_string("prefix", "")
    if (own := fields.read_object("secretsManager")) is not None:
        # Both are about deleting, which nothing here does.
        own.read_bool("forceDeleteWithoutRecovery")
        own.has_field("recoveryWindowInDays")
        own.reject_unknown()
    if service == "SecretsManager":
        return aws.SecretsManagerStore(
            aws_auth.create_client("secretsmanager", fields, context.source, context.retry), prefix
        )
    return aws.ParameterStore(aws_auth.create_client("ssm", fields, context.source, context.retry), prefix)


def _open_kubernetes(fields: FieldReader, context: ProviderContext) -> Store:
    from gatekeeper.stores import kubernetes

    return kubernetes.open_store(fields, context.source, context.files)


PROVIDERS: dict[str, Callable[[FieldReader, ProviderContext], Store]] = {
    "vault": _open_vault,
    "aws": _open_aws,
    "kubernetes": _open_kubernetes,
}
