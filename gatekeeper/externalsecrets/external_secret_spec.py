"""From an ExternalSecret of any API version to one form.

What is not supported is refused by name, with its path: `generatorRef`, `nullBytePolicy`, `syncWindows` and
`target.manifest` of later releases among it. The defaults are those of the CRDs. Source: external-secrets
`apis/externalsecrets/*/externalsecret_types.go` and `externalsecret_validator.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gatekeeper.externalsecrets.model import (
    Find,
    Item,
    Many,
    Remote,
    Rewrite,
    StoreRef,
    Target,
    Template,
    TemplateFrom,
    Wanted,
)
from gatekeeper.kube.decoder import FieldError, Fields

GROUP = "external-secrets.io"
VERSIONS = ("v1alpha1", "v1beta1", "v1")
KINDS = ("SecretStore", "ClusterSecretStore")
CONVERSIONS = ("Default", "Unicode", "None")
DECODINGS = ("None", "Base64", "Base64URL", "Auto")
HOUR = 3600.0


def read(value: Any, namespace: str = "default") -> Wanted:
    """What an ExternalSecret asks for.

    Args:
        namespace: where the object itself names none.

    Raises:
        FieldError: it is not valid, or asks for something that is not supported.
    """
    whole = Fields(value)
    group, _, version = whole.text("apiVersion").partition("/")
    if group != GROUP or version not in VERSIONS or whole.text("kind") != "ExternalSecret":
        raise FieldError(("apiVersion",), f"is no ExternalSecret of {GROUP}/{', '.join(VERSIONS)}")
    metadata = whole.inner("metadata") or Fields({})
    name = metadata.text("name")
    spec = whole.inner("spec") or Fields({})
    store = _store(spec.inner("secretStoreRef"))
    wanted = Wanted(
        version,
        metadata.text("namespace", "") or namespace,
        name,
        metadata.texts("labels"),
        metadata.texts("annotations"),
        _target(spec.inner("target"), name, version),
        spec.choice("refreshPolicy", ("Periodic", "OnChange", "CreatedOnce"), "Periodic"),
        spec.seconds("refreshInterval", HOUR),
        tuple(_items(spec, store)),
        tuple(_many(spec, store, version)),
        metadata.text("uid", ""),
    )
    spec.end()
    _agree(wanted)
    return wanted


def nothing(namespace: str, name: str) -> Wanted:
    """An ExternalSecret that asks for nothing, as far as can be told: it is not valid."""
    return Wanted("", namespace, name, {}, {}, Target(name), "Periodic", HOUR, (), ())


def _agree(wanted: Wanted) -> None:
    """What single fields allow, and all together do not."""
    target = wanted.target
    if not wanted.items and not wanted.many:
        raise FieldError(("spec",), "asks for nothing; give `data` or `dataFrom`")
    if target.deletion == "Delete" and target.creation in ("Merge", "None"):
        raise FieldError(("spec", "target", "deletionPolicy"), "is Delete: that needs `creationPolicy: Owner`")
    if target.deletion == "Merge" and target.creation == "None":
        raise FieldError(
            ("spec", "target", "deletionPolicy"), "is Merge: with `creationPolicy: None` there is no Secret"
        )
    seen: set[str] = set()
    for number, item in enumerate(wanted.items):
        if item.secret_key in seen and target.deletion == "Retain":
            raise FieldError(("spec", "data", number, "secretKey"), f"is `{item.secret_key}` a second time")
        seen.add(item.secret_key)


def _store(fields: Fields | None) -> StoreRef:
    if fields is None:
        return StoreRef("", "")
    found = StoreRef(fields.choice("kind", KINDS, "SecretStore"), fields.text("name"))
    fields.end()
    return found


def _own_store(fields: Fields, store: StoreRef, path: str) -> StoreRef:
    """The store of one entry: its own, or that of the whole."""
    source = fields.inner("sourceRef")
    if source is not None:
        if source.has("generatorRef"):
            source.refuse("generatorRef", "is not supported: generators make secrets, and read none")
        store = _store(source.inner("storeRef"))
        source.end()
    if not store.name:
        raise FieldError(("spec", "secretStoreRef"), f"is missing, and `{path}` names no store of its own")
    return store


def _items(spec: Fields, store: StoreRef) -> Iterator[Item]:
    for fields in spec.each("data"):
        remote = fields.inner("remoteRef")
        if remote is None:
            fields.refuse("remoteRef", "is missing")
        own = _own_store(fields, store, "data")
        yield Item(fields.text("secretKey"), _remote(remote), own)
        fields.end()


def _remote(fields: Fields) -> Remote:
    found = Remote(
        fields.text("key"),
        fields.text("property", ""),
        fields.text("version", ""),
        fields.choice("metadataPolicy", ("None", "Fetch"), "None") == "Fetch",
        fields.choice("conversionStrategy", CONVERSIONS[:2], "Default"),
        fields.choice("decodingStrategy", DECODINGS, "None"),
    )
    fields.choice("nullBytePolicy", ("Ignore",), "Ignore")
    fields.end()
    return found


def _many(spec: Fields, store: StoreRef, version: str) -> Iterator[Many]:
    for fields in spec.each("dataFrom"):
        if version == "v1alpha1":
            # There the entry itself is what is extracted.
            yield Many(_remote(fields), (), _own_store(Fields({}), store, "dataFrom"))
            continue
        extract, find = fields.inner("extract"), fields.inner("find")
        own = _own_store(fields, store, "dataFrom")
        if (extract is None) == (find is None):
            fields.refuse("extract", "or `find` must be there, and not both")
        what = _remote(extract) if extract is not None else _find(find or Fields({}))
        yield Many(what, tuple(map(_rewrite, fields.each("rewrite"))), own)
        fields.end()


def _find(fields: Fields) -> Find:
    name = fields.inner("name")
    found = Find(
        fields.text("path", ""),
        name.text("regexp") if name else "",
        fields.texts("tags"),
        fields.choice("conversionStrategy", CONVERSIONS[:2], "Default"),
        fields.choice("decodingStrategy", DECODINGS, "None"),
    )
    if name:
        name.end()
    fields.end()
    return found


def _rewrite(fields: Fields) -> Rewrite:
    if regexp := fields.inner("regexp"):
        found = Rewrite("Regexp", regexp.text("source"), regexp.text("target", ""))
        regexp.end()
    elif transform := fields.inner("transform"):
        found = Rewrite("Transform", transform.text("template"))
        transform.end()
    elif merge := fields.inner("merge"):
        found = Rewrite(
            "Merge",
            into=merge.text("into", ""),
            priority=merge.words("priority"),
            strict=merge.choice("priorityPolicy", ("Strict", "IgnoreNotFound"), "Strict") == "Strict",
            conflicts=merge.choice("conflictPolicy", ("Error", "Ignore"), "Error") == "Ignore",
            as_json=merge.choice("strategy", ("Extract", "JSON"), "Extract") == "JSON",
        )
        if found.as_json and not found.into:
            merge.refuse("into", "is missing: the strategy JSON needs it")
        merge.end()
    else:
        fields.refuse("regexp", "or `transform` or `merge` must be there")
    fields.end()
    return found


def _target(fields: Fields | None, name: str, version: str) -> Target:
    if fields is None:
        return Target(name)
    found = Target(
        fields.text("name", "") or name,
        fields.choice("creationPolicy", ("Owner", "Orphan", "Merge", "None"), "Owner"),
        "Retain" if version == "v1alpha1" else fields.choice("deletionPolicy", ("Delete", "Merge", "Retain"), "Retain"),
        fields.flag("immutable"),
        _template(fields.inner("template"), version),
    )
    fields.end()
    return found


def _template(fields: Fields | None, version: str) -> Template | None:
    if fields is None:
        return None
    metadata = fields.inner("metadata") or Fields({})
    engines = ("v2",) if version == "v1" else ("v1", "v2")
    found = Template(
        fields.choice("engineVersion", engines, "v1" if version == "v1alpha1" else "v2"),
        fields.text("type", ""),
        metadata.texts("labels"),
        metadata.texts("annotations"),
        metadata.words("finalizers"),
        fields.choice("mergePolicy", ("Replace", "Merge"), "Replace") == "Merge",
        fields.texts("data"),
        tuple(_from(one) for one in fields.each("templateFrom")),
    )
    metadata.end()
    fields.end()
    return found


def _from(fields: Fields) -> TemplateFrom:
    target = fields.choice("target", ("Data", "Annotations", "Labels"), "Data")
    literal = fields.text("literal", "")
    config, secret = fields.inner("configMap"), fields.inner("secret")
    held = config or secret
    if held is None:
        if not literal:
            fields.refuse("literal", "or `configMap` or `secret` must be there")
        found = TemplateFrom("Literal", "", literal, (), target)
    else:
        items = []
        for item in held.each("items"):
            items.append(
                (item.text("key"), item.choice("templateAs", ("Values", "KeysAndValues"), "Values") != "Values")
            )
            item.end()
        found = TemplateFrom("ConfigMap" if config else "Secret", held.text("name"), "", tuple(items), target)
        held.end()
    fields.end()
    return found
