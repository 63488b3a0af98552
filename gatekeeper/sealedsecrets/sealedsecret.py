"""From a Secret to a SealedSecret and back (`bitnami.com/v1alpha1`).

Source: sealed-secrets `pkg/apis/sealedsecrets/v1alpha1/sealedsecret_expansion.go`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gatekeeper.errors import SealError
from gatekeeper.model import at
from gatekeeper.sealedsecrets import crypto, templates
from gatekeeper.sealedsecrets.keyring import Certificate, Key
from gatekeeper.sealedsecrets.scope import PREFIX, SEALED_WITH, label, scope_of
from gatekeeper.secret_value import Hidden

API_VERSION, KIND = "bitnami.com/v1alpha1", "SealedSecret"
# What kubectl and others keep of the last object: it has the values in the open.
COPIES = ("kubectl.kubernetes.io/last-applied-configuration", "kubecfg.ksonnet.io/last-applied-configuration")
# What an API server writes, and a file does not say.
SERVERS_OWN = (
    "creationTimestamp",
    "resourceVersion",
    "uid",
    "selfLink",
    "generation",
    "managedFields",
    "ownerReferences",
)


def seal(
    secret: Mapping[str, Any], certificate: Certificate, scope: str, namespace: str, may_be_empty: bool
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
    metadata = _mapping(secret, "metadata")
    scope = scope or scope_of(metadata.get("annotations"))
    name, home = _place(metadata, scope, namespace)
    held = plain(secret)
    if not held and not may_be_empty:
        raise SealError("holds no value; --allow-empty-data seals it all the same")
    mark = label(scope, home, name)
    marked = {PREFIX + scope: "true"} if scope != "strict" else {}
    template = {"metadata": _template(metadata, name, home, marked)}
    own = {"name": name, "namespace": home, "annotations": {**marked, SEALED_WITH: certificate.fingerprint}}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": own,
        "spec": {
            "encryptedData": {key: crypto.seal(value, certificate.key, mark) for key, value in held.items()},
            "template": {**template, **{key: secret[key] for key in ("type", "immutable") if key in secret}},
        },
    }


def _place(metadata: Mapping[str, Any], scope: str, namespace: str) -> tuple[str, str]:
    """The name and namespace that a Secret is sealed for."""
    name, home = metadata.get("name"), metadata.get("namespace")
    if namespace and home not in (None, namespace):
        raise SealError(f"is in namespace {home}, not in {namespace}")
    if (not isinstance(name, str) or not name) and scope == "strict":
        raise SealError("has no `metadata.name`, to which a strict scope binds it")
    return str(name or ""), str(home or namespace or "default")


def _template(metadata: Mapping[str, Any], name: str, home: str, marked: Mapping[str, str]) -> dict[str, Any]:
    """The metadata that the Secret in the cluster will have."""
    kept = {key: value for key, value in metadata.items() if key not in SERVERS_OWN}
    noted = _mapping(metadata, "annotations")
    own = {key: value for key, value in noted.items() if key not in COPIES and not key.startswith(PREFIX)}
    whole = {"name": name, "namespace": home, **kept, "annotations": {**own, **marked}}
    return {key: value for key, value in whole.items() if value not in ({}, None)}


def plain(secret: Mapping[str, Any]) -> dict[str, Hidden]:
    """A Secret's values by key; what `stringData` says counts more.

    Raises:
        SealError: a value is no text, or no base64.
    """
    found: dict[str, Hidden] = {}
    for key, text in _texts(secret, "data"):
        try:
            found[key] = Hidden(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            raise SealError(f"`data.{key}` is not valid base64; `stringData` takes plain text") from None
    found.update((key, Hidden(text.encode())) for key, text in _texts(secret, "stringData"))
    return found


def _texts(secret: Mapping[str, Any], field: str) -> Iterable[tuple[str, str]]:
    held = secret.get(field) or {}
    if not isinstance(held, dict):
        raise SealError(f"`{field}` must be a mapping")
    for key, text in held.items():
        if not isinstance(text, str):
            raise SealError(f"`{field}.{key}` must be a text")
        yield str(key), text


def unseal(sealed: Mapping[str, Any], keys: list[Key]) -> dict[str, Any]:
    """The Secret in a SealedSecret; its values in base64.

    Args:
        keys: see `_opened`.

    Raises:
        SealError: it is none, or a value cannot be opened; with the key of the value.
    """
    if sealed.get("kind") != KIND or sealed.get("apiVersion") != API_VERSION:
        raise SealError(f"is a {sealed.get('kind')}, and no SealedSecret ({API_VERSION})")
    metadata = _mapping(sealed, "metadata")
    template = _mapping(sealed, "spec", "template")
    opened = {key: value for key, _, value, _ in _opened(sealed, keys)}
    more_data = templates.filled(_mapping(template, "data"), opened)
    data = {key: base64.b64encode(value.reveal()).decode("ascii") for key, value in (opened | more_data).items()}
    inner = {"name": metadata.get("name"), "namespace": metadata.get("namespace"), **_mapping(template, "metadata")}
    more: dict[str, Any] = {key: template[key] for key in ("type", "immutable") if key in template}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {field: held for field, held in inner.items() if held},
        "data": data,
        **more,
    }


def resealed(value: Mapping[str, Any], keys: list[Key], certificate: Certificate) -> Iterator[tuple[str, str, str]]:
    """Each value: its text, the fingerprint that opened it, and the text for a certificate; empty where it is for it.

    Raises:
        SealError: a value cannot be opened.
    """
    mark = _label_of(value)
    for _, text, opened, used in _opened(value, keys):
        is_for_it = used.fingerprint == certificate.fingerprint
        yield text, used.fingerprint, "" if is_for_it else crypto.seal(opened, certificate.key, mark)


def faults(sealed: Mapping[str, Any], keys: list[Key]) -> Iterator[tuple[str, SealError, bool]]:
    """Each value that does not open: its key, why, and whether only its private key may be missing here.

    Args:
        keys: see `_opened`.
    """
    noted = at(sealed, ("metadata", "annotations", SEALED_WITH))
    is_here = _first(keys, noted)
    entries = at(sealed, ("spec", "encryptedData"))
    mark = _label_of(sealed)
    for key, text in entries.items() if isinstance(entries, dict) else ():
        try:
            _open(str(text), keys, mark)
        except crypto.WrongKey as error:
            yield str(key), error, not is_here
        except SealError as error:
            yield str(key), error, False


def _label_of(sealed: Mapping[str, Any]) -> bytes:
    metadata = _mapping(sealed, "metadata")
    scope = scope_of(metadata.get("annotations"))
    return label(scope, str(metadata.get("namespace") or "default"), str(metadata.get("name") or ""))


def _opened(sealed: Mapping[str, Any], keys: list[Key]) -> Iterator[tuple[str, str, Hidden, Key]]:
    """Each value of a SealedSecret: its key, its text, itself, and what opened it.

    Args:
        keys: are put in another order: what opened one value most likely opens the next, and the next file's.
    """
    mark = _label_of(sealed)
    _first(keys, at(sealed, ("metadata", "annotations", SEALED_WITH)))
    entries = at(sealed, ("spec", "encryptedData"))
    for key, text in entries.items() if isinstance(entries, dict) else ():
        try:
            value = _open(str(text), keys, mark)
        except SealError as error:
            raise SealError(f"`spec.encryptedData.{key}` {error}") from error
        yield str(key), str(text), value, keys[0]


def _mapping(value: Any, *path: str) -> dict[str, Any]:
    """What stands at a path, where it is a mapping; else nothing."""
    held = at(value, path)
    return held if isinstance(held, dict) else {}


def _open(text: str, keys: list[Key], mark: bytes) -> Hidden:
    """A value; the key that opened it comes first from now on."""
    value, used = crypto.unseal(text, (one.private for one in keys), mark)
    place = next(number for number, one in enumerate(keys) if one.private is used)
    keys.insert(0, keys.pop(place))
    return value


def _first(keys: list[Key], fingerprint: Any) -> bool:
    """Puts the key of a fingerprint first; whether it is there."""
    for number, one in enumerate(keys):
        if one.fingerprint == fingerprint:
            keys.insert(0, keys.pop(number))
            return True
    return False
