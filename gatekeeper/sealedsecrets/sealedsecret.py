"""Sealing a Secret into a SealedSecret (`bitnami.com/v1alpha1`), and unsealing it.

Source: sealed-secrets `pkg/apis/sealedsecrets/v1alpha1/sealedsecret_expansion.go`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gatekeeper.errors import SecretFileError
from gatekeeper.model import get_field
from gatekeeper.sealedsecrets import crypto, templates
from gatekeeper.sealedsecrets.keyring import SealingCertificate, SealingKey
from gatekeeper.sealedsecrets.scope import (
    ANNOTATION_PREFIX,
    SCOPE_ANNOTATIONS,
    SEALED_WITH_ANNOTATION,
    build_label,
    find_sealed_with,
    parse_scope,
)
from gatekeeper.secret_value import SecretBytes

API_VERSION, KIND = "bitnami.com/v1alpha1", "SealedSecret"
# kubectl and kubecfg store the last applied object here, with the plaintext values.
LAST_APPLIED_ANNOTATIONS = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubecfg.ksonnet.io/last-applied-configuration",
)
# The API server writes these fields; a manifest does not contain them.
SERVER_FIELDS = (
    "creationTimestamp",
    "resourceVersion",
    "uid",
    "selfLink",
    "generation",
    "managedFields",
    "ownerReferences",
)
DELETION_FIELDS = ("deletionTimestamp", "deletionGracePeriodSeconds")


def seal_secret(
    secret: Mapping[str, Any],
    certificate: SealingCertificate,
    scope: str,
    namespace: str,
    is_empty_allowed: bool,
    *,
    override_name: str = "",
) -> dict[str, Any]:
    """Seal a Secret into a SealedSecret.

    Args:
        scope: one of `SCOPES`; empty, and for kubeseal `strict`, too, for the scope that the Secret's annotations set.
        namespace: the namespace of a Secret that names none; empty for `default`. In the cluster-wide scope such a
            Secret has none.
        override_name: replaces the name of the Secret.

    Source: sealed-secrets `pkg/kubeseal/kubeseal.go`, `Seal`.

    Raises:
        SecretFileError: the object is not a Secret, has no name or value, or a label or annotation is not a text.
    """
    if secret.get("kind") != "Secret" or secret.get("apiVersion") != "v1":
        raise SecretFileError(f"not a Secret (v1), but {secret.get('kind')} ({secret.get('apiVersion')})")
    metadata = _get_mapping(secret, "metadata")
    annotations = _get_texts(metadata, "annotations")
    if scope and scope != "strict":
        # The argument replaces the scope that the annotations set.
        annotations = {key: text for key, text in annotations.items() if key not in SCOPE_ANNOTATIONS}
    scope = parse_scope(annotations) if scope in ("", "strict") else scope
    name, home = _resolve_name(metadata, namespace, scope, override_name)
    values = decode_values(secret)
    if not values and not is_empty_allowed:
        raise SecretFileError("holds no value; --allow-empty-data seals it without values")
    label = build_label(scope, home, name)
    scope_annotations = {ANNOTATION_PREFIX + scope: "true"} if scope != "strict" else {}
    template = {"metadata": _build_template_metadata(metadata, name, home, {**annotations, **scope_annotations})}
    own_annotations = {**scope_annotations, SEALED_WITH_ANNOTATION: certificate.fingerprint}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, **({"namespace": home} if home else {}), "annotations": own_annotations},
        "spec": {
            "encryptedData": {
                key: crypto.seal_value(value, certificate.public_key, label) for key, value in values.items()
            },
            "template": {**template, **{key: secret[key] for key in ("type", "immutable") if key in secret}},
        },
    }


def _resolve_name(metadata: Mapping[str, Any], namespace: str, scope: str, override_name: str) -> tuple[str, str]:
    """Return the name and namespace that a Secret is sealed for; a cluster-wide Secret may have no namespace."""
    name, home = override_name or metadata.get("name"), metadata.get("namespace") or ""
    if not isinstance(name, str) or not name:
        raise SecretFileError("`metadata.name` is missing: a SealedSecret has the name of its Secret; add it")
    if scope == "cluster-wide":
        return name, str(home)
    if namespace and home not in ("", namespace):
        raise SecretFileError(f"is in namespace {home}, not in {namespace}")
    return name, str(home or namespace or "default")


def _get_texts(metadata: Mapping[str, Any], field: str) -> dict[str, str]:
    """Return the labels or annotations; null is an empty text, as Kubernetes decodes it."""
    entries = metadata.get(field)
    if not isinstance(entries, dict | None):
        raise SecretFileError(f"`metadata.{field}` must be a mapping")
    texts = {str(key): "" if text is None else text for key, text in (entries or {}).items()}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise SecretFileError(f"`metadata.{field}.{key}` must be a string: put its value in quotes")
    return texts


def _build_template_metadata(
    metadata: Mapping[str, Any], name: str, namespace: str, annotations: Mapping[str, str]
) -> dict[str, Any]:
    """Build the metadata of the Secret that the controller will create."""
    kept = {key: value for key, value in metadata.items() if key not in (*SERVER_FIELDS, *DELETION_FIELDS)}
    fields = {
        **kept,
        "name": name,
        "namespace": namespace or None,
        "labels": _get_texts(metadata, "labels"),
        "annotations": {key: text for key, text in annotations.items() if key not in LAST_APPLIED_ANNOTATIONS},
    }
    return {key: value for key, value in fields.items() if value not in ({}, None)}


def decode_values(secret: Mapping[str, Any]) -> dict[str, SecretBytes]:
    """Decode the values of a Secret by key; `stringData` overrides `data`.

    Raises:
        SecretFileError: a value is not a text, or not base64.
    """
    values: dict[str, SecretBytes] = {}
    for key, text in _list_texts(secret, "data"):
        try:
            # Go's decoder, and so kubeseal and Kubernetes, skips line ends, but no other space.
            encoded = text.replace("\r", "").replace("\n", "")
            values[key] = SecretBytes(base64.b64decode(encoded, validate=True))
        except (binascii.Error, ValueError):
            raise SecretFileError(f"`data.{key}` is not valid base64; `stringData` takes plain text") from None
    values.update((key, SecretBytes(text.encode())) for key, text in _list_texts(secret, "stringData"))
    return values


def _list_texts(secret: Mapping[str, Any], field: str) -> Iterable[tuple[str, str]]:
    texts = secret.get(field) or {}
    if not isinstance(texts, dict):
        raise SecretFileError(f"`{field}` must be a mapping")
    for key, text in texts.items():
        # Kubernetes decodes null as an empty value.
        if not isinstance(text, str | None):
            raise SecretFileError(f"`{field}.{key}` must be a string")
        yield str(key), text or ""


def unseal_secret(sealed_secret: Mapping[str, Any], keys: list[SealingKey]) -> dict[str, Any]:
    """Decrypt a SealedSecret into its Secret, with base64 values.

    Args:
        keys: the private keys to try; reordered so that the last successful key comes first.

    Raises:
        SecretFileError: the object is not a SealedSecret, or a value cannot be decrypted; the message names the value.
        ToolError: the program that renders Go templates is missing.
    """
    if sealed_secret.get("kind") != KIND or sealed_secret.get("apiVersion") != API_VERSION:
        raise SecretFileError(
            f"not a SealedSecret ({API_VERSION}), but {sealed_secret.get('kind')} ({sealed_secret.get('apiVersion')})"
        )
    metadata = _get_mapping(sealed_secret, "metadata")
    template = _get_mapping(sealed_secret, "spec", "template")
    unsealed = {key: value for key, _, value, _ in _unseal_values(sealed_secret, keys)}
    rendered = templates.render_templates(_get_mapping(template, "data"), unsealed)
    data = {key: base64.b64encode(value.reveal()).decode("ascii") for key, value in (unsealed | rendered).items()}
    own_metadata = {
        "name": metadata.get("name"),
        "namespace": metadata.get("namespace"),
        **_get_mapping(template, "metadata"),
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {field: value for field, value in own_metadata.items() if value},
        "data": data,
        **{key: template[key] for key in ("type", "immutable") if key in template},
    }


def reseal_values(
    value: Mapping[str, Any], keys: list[SealingKey], certificate: SealingCertificate
) -> Iterator[tuple[str, str, str]]:
    """Seal the values of a SealedSecret for another certificate.

    Yields, for each value, its sealed text, the fingerprint of the key that decrypted it, and the new sealed text;
    empty if the value is sealed for this certificate already.

    Raises:
        SecretFileError: a value cannot be decrypted.
    """
    label = _build_secret_label(value)
    for _, text, unsealed, key in _unseal_values(value, keys):
        is_current = key.fingerprint == certificate.fingerprint
        yield text, key.fingerprint, "" if is_current else crypto.seal_value(unsealed, certificate.public_key, label)


def find_faults(
    sealed_secret: Mapping[str, Any], keys: list[SealingKey]
) -> Iterator[tuple[str, SecretFileError, bool]]:
    """Yield each value that cannot be decrypted: its key, the reason, and whether its private key may just be missing.

    Args:
        keys: the private keys to try; reordered so that the last successful key comes first.
    """
    has_named_key = _move_to_front(keys, find_sealed_with(sealed_secret)[1])
    entries = get_field(sealed_secret, ("spec", "encryptedData"))
    label = _build_secret_label(sealed_secret)
    for key, text in entries.items() if isinstance(entries, dict) else ():
        try:
            _unseal_value(str(text), keys, label)
        except crypto.WrongKeyError as error:
            yield str(key), error, not has_named_key
        except SecretFileError as error:
            yield str(key), error, False


def _build_secret_label(sealed_secret: Mapping[str, Any]) -> bytes:
    metadata = _get_mapping(sealed_secret, "metadata")
    scope = parse_scope(metadata.get("annotations"))
    return build_label(scope, str(metadata.get("namespace") or "default"), str(metadata.get("name") or ""))


def _unseal_values(
    sealed_secret: Mapping[str, Any], keys: list[SealingKey]
) -> Iterator[tuple[str, str, SecretBytes, SealingKey]]:
    """Yield each value of a SealedSecret: its key, its sealed text, the plaintext, and the key that decrypted it.

    Args:
        keys: reordered: the key that decrypted one value most likely decrypts the next one, and the next file.
    """
    label = _build_secret_label(sealed_secret)
    _move_to_front(keys, find_sealed_with(sealed_secret)[1])
    entries = get_field(sealed_secret, ("spec", "encryptedData"))
    for key, text in entries.items() if isinstance(entries, dict) else ():
        try:
            value = _unseal_value(str(text), keys, label)
        except SecretFileError as error:
            raise SecretFileError(f"`spec.encryptedData.{key}` {error}") from error
        yield str(key), str(text), value, keys[0]


def _get_mapping(value: Any, *path: str) -> dict[str, Any]:
    """Return the mapping at a path; empty if there is none."""
    mapping = get_field(value, path)
    return mapping if isinstance(mapping, dict) else {}


def _unseal_value(text: str, keys: list[SealingKey], label: bytes) -> SecretBytes:
    """Decrypt a value, and move the key that decrypted it to the front."""
    value, private_key = crypto.unseal_value(text, (key.private_key for key in keys), label)
    index = next(index for index, key in enumerate(keys) if key.private_key is private_key)
    keys.insert(0, keys.pop(index))
    return value


def _move_to_front(keys: list[SealingKey], fingerprint: str) -> bool:
    """Move the key with a fingerprint to the front; return whether there is one."""
    for index, key in enumerate(keys):
        if key.fingerprint == fingerprint:
            keys.insert(0, keys.pop(index))
            return True
    return False
