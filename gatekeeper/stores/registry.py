"""From a SecretStore to a store that is open. A provider that is not supported is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

from gatekeeper.host.memory_files import Handed
from gatekeeper.kube.decoder import Fields
from gatekeeper.stores import credentials
from gatekeeper.stores.credentials import Credentials
from gatekeeper.stores.protocol import Again, Store, StoreError


def opened(value: Any, held: Credentials | None) -> Store:
    """A store, signed in to.

    Args:
        value: the SecretStore or ClusterSecretStore, of any API version.
        held: where the credentials are that it names; None to sign in as the user of this machine.

    Raises:
        FieldError: it is not valid, or asks for something that is not supported.
        StoreError: it cannot be signed in to.
    """
    whole = Fields(value)
    spec = whole.inner("spec")
    provider = spec.inner("provider") if spec else None
    if provider is None:
        whole.refuse("spec", "names no `provider`")
    again = _again(spec)
    for name, make in PROVIDERS.items():
        fields = provider.inner(name)
        if fields is not None:
            with ExitStack() as undone:
                handed = Handed()
                undone.callback(handed.close)
                store = make(fields, Given(held, handed, again))
                undone.callback(store.close)
                fields.end()
                # From here on all that is the store's, until it is closed.
                undone.pop_all()
            return store
    provider.end(f"is not supported; there are {', '.join(PROVIDERS)}")
    raise StoreError("the store names no provider")


class Given(NamedTuple):
    """What a store is opened with beside its own fields."""

    held: Credentials | None
    handed: Handed
    again: Again


def _again(spec: Fields | None) -> Again:
    """How often it is tried again; and refuses what else the store asks for."""
    if spec is None:
        return Again()
    if spec.text("controller", "") not in ("", "default"):
        spec.refuse("controller", "names another controller, so the store is not ours to use")
    # The one is about how often external-secrets looks whether the store is good; `conditions` are looked at by others.
    for known in ("refreshInterval", "conditions"):
        spec.has(known)
    settings = spec.inner("retrySettings")
    spec.end()
    if settings is None:
        return Again()
    times = settings.number("maxRetries", -1)
    found = Again(times if times >= 0 else None, settings.seconds("retryInterval", -1.0))
    settings.end()
    return found if found.seconds != -1.0 else found._replace(seconds=None)


def _vault(fields: Fields, given: Given) -> Store:
    from gatekeeper.stores import vault, vault_auth

    auth = fields.inner("auth")
    for known in ("forwardInconsistent", "readYourWrites"):
        fields.flag(known)
    place = vault.Place(
        fields.text("server"),
        fields.text("path", ""),
        fields.choice("version", ("v1", "v2"), "v2"),
        fields.text("namespace", ""),
        _authority(fields, given),
        _shown(fields, given),
        fields.texts("headers"),
        given.again,
    )
    fields.end()
    return vault.Vault(place, vault_auth.signed_in(place, auth, given.held, given.handed), given.handed)


def _authority(fields: Fields, given: Given) -> str:
    pem = credentials.authority(fields, given.held)
    return credentials.put_file(given.handed, "authority.pem", pem, False) if pem else ""


def _shown(fields: Fields, given: Given) -> tuple[str, str] | None:
    """The certificate and key that are shown to a server which asks for them."""
    tls = fields.inner("tls")
    if tls is None:
        return None
    if given.held is None:
        raise StoreError("its `tls` is a Secret of the cluster: give --kubeconfig")
    names = []
    for field, key in (("certSecretRef", "tls.crt"), ("keySecretRef", "tls.key")):
        inner = tls.inner(field)
        if inner is None:
            tls.refuse(field, "is missing")
        names.append(
            credentials.put_file(given.handed, field, credentials.secret(inner, given.held, key).reveal(), True)
        )
    tls.end()
    return names[0], names[1]


def _aws(fields: Fields, given: Given) -> Store:
    from gatekeeper.stores import aws, aws_auth

    service = fields.choice("service", ("SecretsManager", "ParameterStore"), "SecretsManager")
    prefix = fields.text("prefix", "")
    if (own := fields.inner("secretsManager")) is not None:
        # Both are about deleting, which nothing here does.
        own.flag("forceDeleteWithoutRecovery")
        own.has("recoveryWindowInDays")
        own.end()
    if service == "SecretsManager":
        return aws.SecretsManager(aws_auth.client("secretsmanager", fields, given.held, given.again), prefix)
    return aws.ParameterStore(aws_auth.client("ssm", fields, given.held, given.again), prefix)


def _kubernetes(fields: Fields, given: Given) -> Store:
    from gatekeeper.stores import kubernetes

    return kubernetes.opened(fields, given.held, given.handed)


PROVIDERS: dict[str, Callable[[Fields, Given], Store]] = {
    "vault": _vault,
    "aws": _aws,
    "kubernetes": _kubernetes,
}
