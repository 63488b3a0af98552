"""From a SecretStore to a store that is open. A provider that is not supported is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from gatekeeper.fields import Fields
from gatekeeper.stores import credentials
from gatekeeper.stores.credentials import Credentials
from gatekeeper.stores.handed import Handed
from gatekeeper.stores.reading import Store, StoreError

GROUP = "external-secrets.io"


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
    if spec and spec.text("controller", "") not in ("", "default"):
        spec.refuse("controller", "names another controller, so the store is not ours to use")
    for name, make in PROVIDERS.items():
        fields = provider.inner(name)
        if fields is not None:
            with ExitStack() as undone:
                handed = Handed()
                undone.callback(handed.close)
                store = make(fields, held, handed)
                undone.callback(store.close)
                fields.end()
                # From here on all that is the store's, until it is closed.
                undone.pop_all()
            return store
    provider.end(f"is not supported; there are {', '.join(PROVIDERS)}")
    raise StoreError("the store names no provider")


def _vault(fields: Fields, held: Credentials | None, handed: Handed) -> Store:
    from gatekeeper.stores import vault, vault_auth

    auth = fields.inner("auth")
    for known in ("forwardInconsistent", "readYourWrites"):
        fields.flag(known)
    place = vault.Place(
        fields.text("server"),
        fields.text("path", ""),
        fields.choice("version", ("v1", "v2"), "v2"),
        fields.text("namespace", ""),
        _authority(fields, held, handed),
        _shown(fields, held, handed),
        fields.texts("headers"),
    )
    fields.end()
    return vault.Vault(place, vault_auth.signed_in(place, auth, held, handed), handed)


def _authority(fields: Fields, held: Credentials | None, handed: Handed) -> str:
    pem = credentials.authority(fields, held)
    return handed.put("authority.pem", pem, False) if pem else ""


def _shown(fields: Fields, held: Credentials | None, handed: Handed) -> tuple[str, str] | None:
    """The certificate and key that are shown to a server which asks for them."""
    tls = fields.inner("tls")
    if tls is None:
        return None
    if held is None:
        raise StoreError("its `tls` is a Secret of the cluster: give --kubeconfig")
    names = []
    for field, key in (("certSecretRef", "tls.crt"), ("keySecretRef", "tls.key")):
        inner = tls.inner(field)
        if inner is None:
            tls.refuse(field, "is missing")
        names.append(handed.put(field, credentials.secret(inner, held, key).reveal(), True))
    tls.end()
    return names[0], names[1]


def _aws(fields: Fields, held: Credentials | None, handed: Handed) -> Store:
    from gatekeeper.stores import aws, aws_auth

    service = fields.choice("service", ("SecretsManager", "ParameterStore"), "SecretsManager")
    prefix = fields.text("prefix", "")
    if (own := fields.inner("secretsManager")) is not None:
        # Both are about deleting, which nothing here does.
        own.flag("forceDeleteWithoutRecovery")
        own.has("recoveryWindowInDays")
        own.end()
    if service == "SecretsManager":
        return aws.SecretsManager(aws_auth.client("secretsmanager", fields, held), prefix)
    return aws.ParameterStore(aws_auth.client("ssm", fields, held), prefix)


def _kubernetes(fields: Fields, held: Credentials | None, handed: Handed) -> Store:
    from gatekeeper.stores import kubernetes

    return kubernetes.opened(fields, held, handed)


PROVIDERS: dict[str, Callable[[Fields, Credentials | None, Handed], Store]] = {
    "vault": _vault,
    "aws": _aws,
    "kubernetes": _kubernetes,
}
