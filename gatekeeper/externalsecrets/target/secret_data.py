"""Collects the values of an ExternalSecret from the results of the stores.

Source: external-secrets `pkg/controllers/externalsecret/externalsecret_controller_secret.go`.
"""

from __future__ import annotations

from gatekeeper.externalsecrets.fetch_plan import FetchResult, build_query, build_secret_ref, resolve_store_key
from gatekeeper.externalsecrets.model import DataEntry, ExternalSecretSpec, RemoteRef
from gatekeeper.externalsecrets.target.value_transforms import (
    SecretValues,
    ValueTransformError,
    check_keys,
    convert_keys,
    decode_value,
    extract_parts,
    extract_values,
    rewrite_keys,
)
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.protocol import SecretNotFoundError


def collect_values(spec: ExternalSecretSpec, fetched: FetchResult) -> tuple[SecretValues, list[str]]:
    """Return the values of an ExternalSecret by key, and a message for each secret that may be missing and is.

    Raises:
        SecretNotFoundError: a secret is missing, and `deletionPolicy` is Retain: the Secret must stay unchanged.
        StoreError: a secret cannot be read.
        ValueTransformError: a value cannot be decoded, extracted or renamed.
    """
    values: SecretValues = {}
    missing: list[str] = []
    for number in range(len(spec.data_from)):
        try:
            values.update(_collect_entry_values(spec, fetched, number))
        except SecretNotFoundError as error:
            if spec.target.deletion_policy == "Retain":
                raise
            missing.append(str(error))
        except ValueTransformError as error:
            raise ValueTransformError(f"`spec.dataFrom[{number}]` {error}") from None
    secrets: list[tuple[DataEntry, SecretBytes]] = []
    for entry in spec.data:
        store_key = resolve_store_key(entry.store, spec.namespace)
        try:
            secrets.append((entry, fetched.get_value(store_key, build_secret_ref(entry.remote))))
        except SecretNotFoundError as error:
            if spec.target.deletion_policy == "Retain":
                raise
            missing.append(str(error))
    parts = extract_parts([(secret, entry.remote.property) for entry, secret in secrets])
    for (entry, _), part in zip(secrets, parts, strict=True):
        if part is None:
            raise ValueTransformError(f"`{entry.secret_key}`: `{entry.remote.key}` has no `{entry.remote.property}`")
        try:
            values[entry.secret_key] = decode_value(part, entry.remote.decoding)
        except ValueTransformError as error:
            raise ValueTransformError(f"`{entry.secret_key}`: `{entry.remote.key}` {error}") from None
    return check_keys(values), missing


def _collect_entry_values(spec: ExternalSecretSpec, fetched: FetchResult, number: int) -> SecretValues:
    entry = spec.data_from[number]
    store_key, source = resolve_store_key(entry.store, spec.namespace), entry.source
    if isinstance(source, RemoteRef):
        [part] = extract_parts([(fetched.get_value(store_key, build_secret_ref(source)), source.property)])
        if part is None:
            raise ValueTransformError(f"`{source.key}` has no `{source.property}`")
        values = extract_values(part)
    else:
        values = dict(fetched.get_search_values(store_key, build_query(source)))
    values = rewrite_keys(values, entry.rewrites) if entry.rewrites else convert_keys(values, source.conversion)
    return {key: decode_value(value, source.decoding) for key, value in check_keys(values).items()}
