"""From a Secret to a SealedSecret and back (`bitnami.com/v1alpha1`).

Source: sealed-secrets `pkg/apis/sealedsecrets/v1alpha1/sealedsecret_expansion.go`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gatekeeper.errors import SealError
from gatekeeper.model import get_field
from gatekeeper.sealedsecrets import crypto, templates
from gatekeeper.sealedsecrets.keyring import SealingCertificate, SealingKey
from gatekeeper.sealedsecrets.scope import ANNOTATION_PREFIX, SEALED_WITH_ANNOTATION, build_label, parse_scope
from gatekeeper.secret_value import SecretBytes

API_VERSION, KIND = "bitnami.com/v1alpha1", "SealedSecret"
# What kubectl and others keep of the last object: it has the values in the open.
LAST_APPLIED_ANNOTATIONS = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubecfg.ksonnet.io/last-applied-configuration",
)
# What an API server writes, and a file does not say.
SERVER_FIELDS = (
    "creationTimestamp",
    "resourceVersion",
    "uid",
    "selfLink",
    "generation",
    "managedFields",
    "ownerReferences",
)


def seal_secret(
    secret: Mapping[str, Any], certificate: SealingCertificate, scope: str, namespace: str, is_empty_allowed: bool
) -> dict[str, Any]:
    """A SealedSecret for a Secret.

    Args:
        scope: one of `SCOPES`, or nothing for what the Secret's annotations say.
        namespace: where the Secret names none; empty for `default`.

    Raises:
        SealError: the object is no Secret, has no name, or holds nothing.
    """
    if secret.get("kind") != "Secret" or secret.get("apiVersion") != "v1":
        raise SealError(f"is a {secret.get('kind')}, and no Secret (v1)")
    metadata = _get_mapping(secret, "metadata")
    scope = scope or parse_scope(metadata.get("annotations"))
    name, home = _resolve_name(metadata, scope, namespace)
    held = decode_values(secret)
    if not held and not is_empty_allowed:
        raise SealError("holds no value; --allow-empty-data seals it all the same")
    mark = build_label(scope, home, name)
    marked = {ANNOTATION_PREFIX + scope: "true"} if scope != "strict" else {}
    template = {"metadata": _build_template_metadata(metadata, name, home, marked)}
    own = {"name": name, "namespace": home, "annotations": {**marked, SEALED_WITH_ANNOTATION: certificate.fingerprint}}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": own,
        "spec": {
            "encryptedData": {
                key: crypto.seal_value(value, certificate.public_key, mark) for key, value in held.items()
            },
            "template": {**template, **{key: secret[key] for key in ("type", "immutable") if key in secret}},
        },
    }


def _resolve_name(metadata: Mapping[str, Any], scope: str, namespace: str) -> tuple[str, str]:
    """The name and namespace that a Secret is sealed for."""
    name, home = metadata.get("name"), metadata.get("namespace")
    if namespace and home not in (None, namespace):
        raise SealError(f"is in namespace {home}, not in {namespace}")
    if (not isinstance(name, str) or not name) and scope == "strict":
        raise SealError("has no `metadata.name`, to which a strict scope binds it")
    return str(name or ""), str(home or namespace or "default")


def _build_template_metadata(
    metadata: Mapping[str, Any], name: str, namespace: str, scope_annotations: Mapping[str, str]
) -> dict[str, Any]:
    """The metadata that the Secret in the cluster will have."""
    kept = {key: value for key, value in metadata.items() if key not in SERVER_FIELDS}
    noted = _get_mapping(metadata, "annotations")
    own = {
        key: value
        for key, value in noted.items()
        if key not in LAST_APPLIED_ANNOTATIONS and not key.startswith(ANNOTATION_PREFIX)
    }
    whole = {"name": name, "namespace": namespace, **kept, "annotations": {**own, **scope_annotations}}
    return {key: value for key, value in whole.items() if value not in ({}, None)}


def decode_values(secret: Mapping[str, Any]) -> dict[str, SecretBytes]:
    """A Secret's values by key; what `stringData` says counts more.

    Raises:
        SealError: a value is no text, or no base64.
    """
    found: dict[str, SecretBytes] = {}
    for key, text in _list_texts(secret, "data"):
        try:
            found[key] = SecretBytes(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            raise SealError(f"`data.{key}` is not valid base64; `stringData` takes plain text") from None
    found.update((key, SecretBytes(text.encode())) for key, text in _list_texts(secret, "stringData"))
    return found


def _list_texts(secret: Mapping[str, Any], field: str) -> Iterable[tuple[str, str]]:
    held = secret.get(field) or {}
    if not isinstance(held, dict):
        raise SealError(f"`{field}` must be a mapping")
    for key, text in held.items():
        if not isinstance(text, str):
            raise SealError(f"`{field}.{key}` must be a text")
        yield str(key), text


def unseal_secret(sealed_secret: Mapping[str, Any], keys: list[SealingKey]) -> dict[str, Any]:
    """The Secret in a SealedSecret; its values in base64.

    Args:
        keys: see `_opened`.

    Raises:
        SealError: it is none, or a value cannot be opened; with the key of the value.
    """
    if sealed_secret.get("kind") != KIND or sealed_secret.get("apiVersion") != API_VERSION:
        raise SealError(f"is a {sealed_secret.get('kind')}, and no SealedSecret ({API_VERSION})")
    metadata = _get_mapping(sealed_secret, "metadata")
    template = _get_mapping(sealed_secret, "spec", "template")
    opened = {key: value for key, _, value, _ in _unseal_values(sealed_secret, keys)}
    more_data = templates.render_templates(_get_mapping(template, "data"), opened)
    data = {key: base64.b64encode(value.reveal()).decode("ascii") for key, value in (opened | more_data).items()}
    inner = {"name": metadata.get("name"), "namespace": metadata.get("namespace"), **_get_mapping(template, "metadata")}
    more: dict[str, Any] = {key: template[key] for key in ("type", "immutable") if key in template}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {field: held for field, held in inner.items() if held},
        "data": data,
        **more,
    }


def reseal_values(
    value: Mapping[str, Any], keys: list[SealingKey], certificate: SealingCertificate
) -> Iterator[tuple[str, str, str]]:
    """Each value: its text, the fingerprint that opened it, and the text for a certificate; empty where it is for it.

    Raises:
        SealError: a value cannot be opened.
    """
    mark = _build_secret_label(value)
    for _, text, opened, used in _unseal_values(value, keys):
        is_for_it = used.fingerprint == certificate.fingerprint
        yield text, used.fingerprint, "" if is_for_it else crypto.seal_value(opened, certificate.public_key, mark)


def find_faults(sealed_secret: Mapping[str, Any], keys: list[SealingKey]) -> Iterator[tuple[str, SealError, bool]]:
    """Each value that does not open: its key, why, and whether only its private key may be missing here.

    Args:
        keys: see `_opened`.
    """
    noted = get_field(sealed_secret, ("metadata", "annotations", SEALED_WITH_ANNOTATION))
    is_here = _move_to_front(keys, noted)
    entries = get_field(sealed_secret, ("spec", "encryptedData"))
    mark = _build_secret_label(sealed_secret)
    for key, text in entries.items() if isinstance(entries, dict) else ():
        try:
            _unseal_value(str(text), keys, mark)
        except crypto.WrongKeyError as error:
            yield str(key), error, not is_here
        except SealError as error:
            yield str(key), error, False


def _build_secret_label(sealed_secret: Mapping[str, Any]) -> bytes:
    metadata = _get_mapping(sealed_secret, "metadata")
    scope = parse_scope(metadata.get("annotations"))
    return build_label(scope, str(metadata.get("namespace") or "default"), str(metadata.get("name") or ""))


def _unseal_values(
    sealed_secret: Mapping[str, Any], keys: list[SealingKey]
) -> Iterator[tuple[str, str, SecretBytes, SealingKey]]:
    """Each value of a SealedSecret: its key, its text, itself, and what opened it.

    Args:
        keys: are put in another order: what opened one value most likely opens the next, and the next file's.
    """
    mark = _build_secret_label(sealed_secret)
    _move_to_front(keys, get_field(sealed_secret, ("metadata", "annotations", SEALED_WITH_ANNOTATION)))
    entries = get_field(sealed_secret, ("spec", "encryptedData"))
    for key, text in entries.items() if isinstance(entries, dict) else ():
        try:
            value = _unseal_value(str(text), keys, mark)
        except SealError as error:
            raise SealError(f"`spec.encryptedData.{key}` {error}") from error
        yield str(key), str(text), value, keys[0]


def _get_mapping(value: Any, *path: str) -> dict[str, Any]:
    """What stands at a path, where it is a mapping; else nothing."""
    held = get_field(value, path)
    return held if isinstance(held, dict) else {}


def _unseal_value(text: str, keys: list[SealingKey], label: bytes) -> SecretBytes:
    """A value; the key that opened it comes first from now on."""
    value, used = crypto.unseal_value(text, (one.private_key for one in keys), label)
    place = next(number for number, one in enumerate(keys) if one.private_key is used)
    keys.insert(0, keys.pop(place))
    return value


def _move_to_front(keys: list[SealingKey], fingerprint: Any) -> bool:
    """Puts the key of a fingerprint first; whether it is there."""
    for number, one in enumerate(keys):
        if one.fingerprint == fingerprint:
            keys.insert(0, keys.pop(number))
            return True
    return False
