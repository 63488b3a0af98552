"""From a SecretStore to a store that is open. A provider that is not supported is refused by name."""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gatekeeper.fields import Fields
from gatekeeper.stores.reading import Store, StoreError
from gatekeeper.stores.vault_auth import SecretOf

GROUP = "external-secrets.io"


def opened(value: Any, secret_of: SecretOf, as_user: bool) -> Store:
    """A store, signed in to.

    Args:
        value: the SecretStore or ClusterSecretStore, of any API version.
        secret_of: gives the credentials that it names.
        as_user: sign in as the user of this machine instead, as where there is no cluster.

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
            store = make(fields, secret_of, as_user)
            fields.end()
            return store
    provider.end(f"is not supported; there are {', '.join(PROVIDERS)}")
    raise StoreError("the store names no provider")


def _vault(fields: Fields, secret_of: SecretOf, as_user: bool) -> Store:
    from gatekeeper.stores import vault, vault_auth

    auth = fields.inner("auth")
    for known in ("forwardInconsistent", "readYourWrites"):
        fields.flag(known)
    place = vault.Place(
        fields.text("server"),
        fields.text("path", ""),
        fields.choice("version", ("v1", "v2"), "v2"),
        fields.text("namespace", ""),
    )
    text = fields.text("caBundle", "")
    try:
        pem = base64.b64decode(text, validate=True)
    except binascii.Error:
        fields.refuse("caBundle", "is no base64")
    fields.end()
    with ExitStack() as undone:
        if pem:
            # The library takes certificates, which are public, from a file only.
            handle, name = tempfile.mkstemp(prefix="gatekeeper-authority-", suffix=".pem")
            undone.callback(Path(name).unlink)
            with os.fdopen(handle, "wb") as file:
                file.write(pem)
            place = place._replace(authority=Path(name))
        store = vault.Vault(place, vault_auth.signed_in(place, None if as_user else auth, secret_of))
        # From here on the file is the store's, to remove when it is closed.
        undone.pop_all()
    return store


def _aws(fields: Fields, secret_of: SecretOf, as_user: bool) -> Store:
    from gatekeeper.stores import aws, aws_auth

    service = fields.choice("service", ("SecretsManager", "ParameterStore"), "SecretsManager")
    prefix = fields.text("prefix", "")
    if (own := fields.inner("secretsManager")) is not None:
        # Both are about deleting, which nothing here does.
        own.flag("forceDeleteWithoutRecovery")
        own.has("recoveryWindowInDays")
        own.end()
    if service == "SecretsManager":
        return aws.SecretsManager(aws.Counted(aws_auth.client("secretsmanager", fields, secret_of, as_user)), prefix)
    return aws.ParameterStore(aws.Counted(aws_auth.client("ssm", fields, secret_of, as_user)), prefix)


PROVIDERS: dict[str, Callable[[Fields, SecretOf, bool], Store]] = {"vault": _vault, "aws": _aws}
