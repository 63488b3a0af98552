"""From an ExternalSecret of any API version to one form.

What is not supported is refused by name, with its path: `generatorRef`, `nullBytePolicy`, `syncWindows` and
`target.manifest` of later releases among it. The defaults are those of the CRDs. Source: external-secrets
`apis/externalsecrets/*/externalsecret_types.go` and `externalsecret_validator.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gatekeeper.externalsecrets.model import (
    DataEntry,
    DataFromEntry,
    DataFromFind,
    ExternalSecretSpec,
    ExternalSecretTarget,
    KeyRewrite,
    RemoteRef,
    SecretTemplate,
    StoreRef,
    TemplateFrom,
)
from gatekeeper.kube.decoder import FieldError, FieldReader

GROUP = "external-secrets.io"
VERSIONS = ("v1alpha1", "v1beta1", "v1")
STORE_KINDS = ("SecretStore", "ClusterSecretStore")
CONVERSION_STRATEGIES = ("Default", "Unicode", "None")
DECODING_STRATEGIES = ("None", "Base64", "Base64URL", "Auto")
DEFAULT_INTERVAL_SECONDS = 3600.0


def parse_external_secret(value: Any, namespace: str = "default") -> ExternalSecretSpec:
    """What an ExternalSecret asks for.

    Args:
        namespace: where the object itself names none.

    Raises:
        FieldError: it is not valid, or asks for something that is not supported.
    """
    whole = FieldReader(value)
    version = whole.read_head(GROUP, VERSIONS, "ExternalSecret")
    metadata = whole.read_object("metadata") or FieldReader({})
    name = metadata.read_string("name")
    spec = whole.read_object("spec") or FieldReader({})
    store = _parse_store_ref(spec.read_object("secretStoreRef"))
    wanted = ExternalSecretSpec(
        version,
        metadata.read_string("namespace", "") or namespace,
        name,
        metadata.read_string_map("labels"),
        metadata.read_string_map("annotations"),
        _parse_target(spec.read_object("target"), name, version),
        spec.read_choice("refreshPolicy", ("Periodic", "OnChange", "CreatedOnce"), "Periodic"),
        spec.read_duration("refreshInterval", DEFAULT_INTERVAL_SECONDS),
        tuple(_parse_data(spec, store)),
        tuple(_parse_data_from(spec, store, version)),
        metadata.read_string("uid", ""),
    )
    spec.reject_unknown()
    _check_combinations(wanted)
    return wanted


def build_empty_spec(namespace: str, name: str) -> ExternalSecretSpec:
    """An ExternalSecret that asks for nothing, as far as can be told: it is not valid."""
    return ExternalSecretSpec(
        "", namespace, name, {}, {}, ExternalSecretTarget(name), "Periodic", DEFAULT_INTERVAL_SECONDS, (), ()
    )


def _check_combinations(spec: ExternalSecretSpec) -> None:
    """What single fields allow, and all together do not."""
    target = spec.target
    if not spec.data and not spec.data_from:
        raise FieldError(("spec",), "asks for nothing; give `data` or `dataFrom`")
    if target.deletion_policy == "Delete" and target.creation_policy in ("Merge", "None"):
        raise FieldError(("spec", "target", "deletionPolicy"), "is Delete: that needs `creationPolicy: Owner`")
    if target.deletion_policy == "Merge" and target.creation_policy == "None":
        raise FieldError(
            ("spec", "target", "deletionPolicy"), "is Merge: with `creationPolicy: None` there is no Secret"
        )
    seen: set[str] = set()
    for number, item in enumerate(spec.data):
        if item.secret_key in seen and target.deletion_policy == "Retain":
            raise FieldError(("spec", "data", number, "secretKey"), f"is `{item.secret_key}` a second time")
        seen.add(item.secret_key)


def _parse_store_ref(fields: FieldReader | None) -> StoreRef:
    if fields is None:
        return StoreRef("", "")
    found = StoreRef(fields.read_choice("kind", STORE_KINDS, "SecretStore"), fields.read_string("name"))
    fields.reject_unknown()
    return found


def _resolve_store(fields: FieldReader, store: StoreRef, path: str) -> StoreRef:
    """The store of one entry: its own, or that of the whole."""
    source = fields.read_object("sourceRef")
    if source is not None:
        if source.has_field("generatorRef"):
            source.reject_field("generatorRef", "is not supported: generators make secrets, and read none")
        store = _parse_store_ref(source.read_object("storeRef"))
        source.reject_unknown()
    if not store.name:
        raise FieldError(("spec", "secretStoreRef"), f"is missing, and `{path}` names no store of its own")
    return store


def _parse_data(spec: FieldReader, store: StoreRef) -> Iterator[DataEntry]:
    for fields in spec.read_objects("data"):
        remote = fields.read_object("remoteRef")
        if remote is None:
            fields.reject_field("remoteRef", "is missing")
        own = _resolve_store(fields, store, "data")
        yield DataEntry(fields.read_string("secretKey"), _parse_remote_ref(remote), own)
        fields.reject_unknown()


def _parse_remote_ref(fields: FieldReader) -> RemoteRef:
    found = RemoteRef(
        fields.read_string("key"),
        fields.read_string("property", ""),
        fields.read_string("version", ""),
        fields.read_choice("metadataPolicy", ("None", "Fetch"), "None") == "Fetch",
        fields.read_choice("conversionStrategy", CONVERSION_STRATEGIES[:2], "Default"),
        fields.read_choice("decodingStrategy", DECODING_STRATEGIES, "None"),
    )
    fields.read_choice("nullBytePolicy", ("Ignore",), "Ignore")
    fields.reject_unknown()
    return found


def _parse_data_from(spec: FieldReader, store: StoreRef, version: str) -> Iterator[DataFromEntry]:
    for fields in spec.read_objects("dataFrom"):
        if version == "v1alpha1":
            # There the entry itself is what is extracted.
            yield DataFromEntry(_parse_remote_ref(fields), (), _resolve_store(FieldReader({}), store, "dataFrom"))
            continue
        extract, find = fields.read_object("extract"), fields.read_object("find")
        own = _resolve_store(fields, store, "dataFrom")
        if (extract is None) == (find is None):
            fields.reject_field("extract", "or `find` must be there, and not both")
        what = _parse_remote_ref(extract) if extract is not None else _parse_find(find or FieldReader({}))
        yield DataFromEntry(what, tuple(map(_parse_rewrite, fields.read_objects("rewrite"))), own)
        fields.reject_unknown()


def _parse_find(fields: FieldReader) -> DataFromFind:
    name = fields.read_object("name")
    found = DataFromFind(
        fields.read_string("path", ""),
        name.read_string("regexp") if name else "",
        fields.read_string_map("tags"),
        fields.read_choice("conversionStrategy", CONVERSION_STRATEGIES[:2], "Default"),
        fields.read_choice("decodingStrategy", DECODING_STRATEGIES, "None"),
    )
    if name:
        name.reject_unknown()
    fields.reject_unknown()
    return found


def _parse_rewrite(fields: FieldReader) -> KeyRewrite:
    if regexp := fields.read_object("regexp"):
        found = KeyRewrite("Regexp", regexp.read_string("source"), regexp.read_string("target", ""))
        regexp.reject_unknown()
    elif transform := fields.read_object("transform"):
        found = KeyRewrite("Transform", transform.read_string("template"))
        transform.reject_unknown()
    elif merge := fields.read_object("merge"):
        found = KeyRewrite(
            "Merge",
            into=merge.read_string("into", ""),
            priority=merge.read_string_list("priority"),
            is_strict=merge.read_choice("priorityPolicy", ("Strict", "IgnoreNotFound"), "Strict") == "Strict",
            is_conflict_allowed=merge.read_choice("conflictPolicy", ("Error", "Ignore"), "Error") == "Ignore",
            is_json=merge.read_choice("strategy", ("Extract", "JSON"), "Extract") == "JSON",
        )
        if found.is_json and not found.into:
            merge.reject_field("into", "is missing: the strategy JSON needs it")
        merge.reject_unknown()
    else:
        fields.reject_field("regexp", "or `transform` or `merge` must be there")
    fields.reject_unknown()
    return found


def _parse_target(fields: FieldReader | None, name: str, version: str) -> ExternalSecretTarget:
    if fields is None:
        return ExternalSecretTarget(name)
    found = ExternalSecretTarget(
        fields.read_string("name", "") or name,
        fields.read_choice("creationPolicy", ("Owner", "Orphan", "Merge", "None"), "Owner"),
        "Retain"
        if version == "v1alpha1"
        else fields.read_choice("deletionPolicy", ("Delete", "Merge", "Retain"), "Retain"),
        fields.read_bool("immutable"),
        _parse_template(fields.read_object("template"), version),
    )
    fields.reject_unknown()
    return found


def _parse_template(fields: FieldReader | None, version: str) -> SecretTemplate | None:
    if fields is None:
        return None
    metadata = fields.read_object("metadata") or FieldReader({})
    engines = ("v2",) if version == "v1" else ("v1", "v2")
    found = SecretTemplate(
        fields.read_choice("engineVersion", engines, "v1" if version == "v1alpha1" else "v2"),
        fields.read_string("type", ""),
        metadata.read_string_map("labels"),
        metadata.read_string_map("annotations"),
        metadata.read_string_list("finalizers"),
        fields.read_choice("mergePolicy", ("Replace", "Merge"), "Replace") == "Merge",
        fields.read_string_map("data"),
        tuple(_parse_template_from(one) for one in fields.read_objects("templateFrom")),
    )
    metadata.reject_unknown()
    fields.reject_unknown()
    return found


def _parse_template_from(fields: FieldReader) -> TemplateFrom:
    target = fields.read_choice("target", ("Data", "Annotations", "Labels"), "Data")
    literal = fields.read_string("literal", "")
    config, secret = fields.read_object("configMap"), fields.read_object("secret")
    held = config or secret
    if held is None:
        if not literal:
            fields.reject_field("literal", "or `configMap` or `secret` must be there")
        found = TemplateFrom("Literal", "", literal, (), target)
    else:
        items = []
        for item in held.read_objects("items"):
            items.append(
                (
                    item.read_string("key"),
                    item.read_choice("templateAs", ("Values", "KeysAndValues"), "Values") != "Values",
                )
            )
            item.reject_unknown()
        found = TemplateFrom("ConfigMap" if config else "Secret", held.read_string("name"), "", tuple(items), target)
        held.reject_unknown()
    fields.reject_unknown()
    return found
