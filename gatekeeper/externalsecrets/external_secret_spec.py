"""Parsing an ExternalSecret of any API version into an `ExternalSecretSpec`.

A field that is not supported is refused with its path, for example `generatorRef`, `nullBytePolicy`, `syncWindows` and
`target.manifest`. The defaults are those of the CRDs. Source: external-secrets
`apis/externalsecrets/*/externalsecret_types.go` and `externalsecret_validator.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from gatekeeper.externalsecrets.model import (
    GROUP,
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
from gatekeeper.named_tuple import NamedTuple

VERSIONS = ("v1alpha1", "v1beta1", "v1")
STORE_KINDS = ("SecretStore", "ClusterSecretStore")
CONVERSION_STRATEGIES = ("Default", "Unicode", "None")
DECODING_STRATEGIES = ("None", "Base64", "Base64URL", "Auto")
DEFAULT_INTERVAL_SECONDS = 3600.0


def parse_external_secret(value: Any, namespace: str = "default") -> ExternalSecretSpec:
    """Parse an ExternalSecret.

    Args:
        namespace: the namespace of an object that names none.

    Raises:
        FieldError: a field is invalid or not supported.
    """
    fields = FieldReader(value)
    version = fields.read_head(GROUP, VERSIONS, "ExternalSecret")
    metadata = fields.read_object("metadata") or FieldReader({})
    name = metadata.read_string("name")
    spec = fields.read_object("spec") or FieldReader({})
    store = _parse_store_ref(spec.read_object("secretStoreRef"))
    parsed = ExternalSecretSpec(
        version=version,
        namespace=metadata.read_string("namespace", "") or namespace,
        name=name,
        labels=metadata.read_string_map("labels"),
        annotations=metadata.read_string_map("annotations"),
        target=_parse_target(spec.read_object("target"), name, version),
        refresh_policy=spec.read_choice("refreshPolicy", ("Periodic", "OnChange", "CreatedOnce"), "Periodic"),
        interval=spec.read_duration("refreshInterval", DEFAULT_INTERVAL_SECONDS),
        data=tuple(_parse_data(spec, store)),
        data_from=tuple(_parse_data_from(spec, store, version)),
        uid=metadata.read_string("uid", ""),
    )
    spec.reject_unknown()
    _check_combinations(parsed)
    return parsed


class ParsedObject(NamedTuple):
    """The result of parsing one object, and the resourceVersion that it is valid for."""

    resource_version: str
    namespace: str
    result: ExternalSecretSpec | FieldError


class SpecCache:
    """Parsed ExternalSecrets of a cluster, so that a sync parses only those that have changed."""

    def __init__(self) -> None:
        self._parsed: dict[str, ParsedObject] = {}

    def parse_all(self, objects: Iterable[tuple[Any, str]]) -> list[ExternalSecretSpec | FieldError]:
        """Parse objects, or return their earlier results; results of other objects are forgotten.

        Args:
            objects: each ExternalSecret, and the namespace of an object that names none.
        """
        current: dict[str, ParsedObject] = {}
        results: list[ExternalSecretSpec | FieldError] = []
        for value, namespace in objects:
            metadata = value.get("metadata") or {}
            uid, version = metadata.get("uid"), metadata.get("resourceVersion")
            parsed = self._parsed.get(uid) if uid and version else None
            if parsed is None or (parsed.resource_version, parsed.namespace) != (version, namespace):
                parsed = ParsedObject(str(version), namespace, _try_parse(value, namespace))
            if uid and version:
                current[uid] = parsed
            results.append(parsed.result)
        self._parsed = current
        return results


def _try_parse(value: Any, namespace: str) -> ExternalSecretSpec | FieldError:
    try:
        return parse_external_secret(value, namespace)
    except FieldError as error:
        return error


def build_empty_spec(namespace: str, name: str) -> ExternalSecretSpec:
    """Build the spec of an ExternalSecret that could not be parsed, for its status."""
    return ExternalSecretSpec(
        version="",
        namespace=namespace,
        name=name,
        labels={},
        annotations={},
        target=ExternalSecretTarget(name),
        refresh_policy="Periodic",
        interval=DEFAULT_INTERVAL_SECONDS,
        data=(),
        data_from=(),
    )


def _check_combinations(spec: ExternalSecretSpec) -> None:
    """Check rules that concern several fields."""
    target = spec.target
    if not spec.data and not spec.data_from:
        raise FieldError(("spec",), "must have `data` or `dataFrom`")
    if target.deletion_policy == "Delete" and target.creation_policy in ("Merge", "None"):
        raise FieldError(("spec", "target", "deletionPolicy"), "is Delete, which requires `creationPolicy: Owner`")
    if target.deletion_policy == "Merge" and target.creation_policy == "None":
        raise FieldError(("spec", "target", "deletionPolicy"), "is Merge, but `creationPolicy: None` creates no Secret")
    seen: set[str] = set()
    for number, entry in enumerate(spec.data):
        if entry.secret_key in seen and target.deletion_policy == "Retain":
            raise FieldError(("spec", "data", number, "secretKey"), f"is a duplicate: `{entry.secret_key}`")
        seen.add(entry.secret_key)


def _parse_store_ref(fields: FieldReader | None) -> StoreRef:
    if fields is None:
        return StoreRef("", "")
    store = StoreRef(fields.read_choice("kind", STORE_KINDS, "SecretStore"), fields.read_string("name"))
    fields.reject_unknown()
    return store


def _resolve_store(fields: FieldReader, store: StoreRef, path: str) -> StoreRef:
    """Return the store of one entry: its own one, or that of the ExternalSecret."""
    source = fields.read_object("sourceRef")
    if source is not None:
        if source.has_field("generatorRef"):
            source.reject_field("generatorRef", "is not supported: generators create secrets instead of reading them")
        store = _parse_store_ref(source.read_object("storeRef"))
        source.reject_unknown()
    if not store.name:
        raise FieldError(("spec", "secretStoreRef"), f"is missing, and an entry of `{path}` has no `sourceRef`")
    return store


def _parse_data(spec: FieldReader, store: StoreRef) -> Iterator[DataEntry]:
    for fields in spec.read_objects("data"):
        remote = fields.read_object("remoteRef")
        if remote is None:
            fields.reject_field("remoteRef", "is missing")
        entry_store = _resolve_store(fields, store, "data")
        yield DataEntry(fields.read_string("secretKey"), _parse_remote_ref(remote), entry_store)
        fields.reject_unknown()


def _parse_remote_ref(fields: FieldReader) -> RemoteRef:
    remote = RemoteRef(
        key=fields.read_string("key"),
        property=fields.read_string("property", ""),
        version=fields.read_string("version", ""),
        is_metadata=fields.read_choice("metadataPolicy", ("None", "Fetch"), "None") == "Fetch",
        conversion=fields.read_choice("conversionStrategy", CONVERSION_STRATEGIES[:2], "Default"),
        decoding=fields.read_choice("decodingStrategy", DECODING_STRATEGIES, "None"),
    )
    fields.read_choice("nullBytePolicy", ("Ignore",), "Ignore")
    fields.reject_unknown()
    return remote


def _parse_data_from(spec: FieldReader, store: StoreRef, version: str) -> Iterator[DataFromEntry]:
    for fields in spec.read_objects("dataFrom"):
        if version == "v1alpha1":
            # In this version the entry itself is the reference to extract.
            yield DataFromEntry(_parse_remote_ref(fields), (), _resolve_store(FieldReader({}), store, "dataFrom"))
            continue
        extract, find = fields.read_object("extract"), fields.read_object("find")
        entry_store = _resolve_store(fields, store, "dataFrom")
        if (extract is None) == (find is None):
            fields.reject_field("extract", "or `find` is required, and not both")
        source = _parse_remote_ref(extract) if extract is not None else _parse_find(find or FieldReader({}))
        yield DataFromEntry(source, tuple(map(_parse_rewrite, fields.read_objects("rewrite"))), entry_store)
        fields.reject_unknown()


def _parse_find(fields: FieldReader) -> DataFromFind:
    name = fields.read_object("name")
    find = DataFromFind(
        fields.read_string("path", ""),
        name.read_string("regexp") if name else "",
        fields.read_string_map("tags"),
        fields.read_choice("conversionStrategy", CONVERSION_STRATEGIES[:2], "Default"),
        fields.read_choice("decodingStrategy", DECODING_STRATEGIES, "None"),
    )
    if name:
        name.reject_unknown()
    fields.reject_unknown()
    return find


def _parse_rewrite(fields: FieldReader) -> KeyRewrite:
    if regexp := fields.read_object("regexp"):
        rule = KeyRewrite("Regexp", regexp.read_string("source"), regexp.read_string("target", ""))
        regexp.reject_unknown()
    elif transform := fields.read_object("transform"):
        rule = KeyRewrite("Transform", transform.read_string("template"))
        transform.reject_unknown()
    elif merge := fields.read_object("merge"):
        rule = KeyRewrite(
            "Merge",
            into=merge.read_string("into", ""),
            priority=merge.read_string_list("priority"),
            is_strict=merge.read_choice("priorityPolicy", ("Strict", "IgnoreNotFound"), "Strict") == "Strict",
            is_conflict_allowed=merge.read_choice("conflictPolicy", ("Error", "Ignore"), "Error") == "Ignore",
            is_json=merge.read_choice("strategy", ("Extract", "JSON"), "Extract") == "JSON",
        )
        if rule.is_json and not rule.into:
            merge.reject_field("into", "is missing: the strategy JSON requires it")
        merge.reject_unknown()
    else:
        fields.reject_field("regexp", "or `transform` or `merge` is required")
    fields.reject_unknown()
    return rule


def _parse_target(fields: FieldReader | None, name: str, version: str) -> ExternalSecretTarget:
    if fields is None:
        return ExternalSecretTarget(name)
    target = ExternalSecretTarget(
        fields.read_string("name", "") or name,
        fields.read_choice("creationPolicy", ("Owner", "Orphan", "Merge", "None"), "Owner"),
        "Retain"
        if version == "v1alpha1"
        else fields.read_choice("deletionPolicy", ("Delete", "Merge", "Retain"), "Retain"),
        fields.read_bool("immutable"),
        _parse_template(fields.read_object("template"), version),
    )
    fields.reject_unknown()
    return target


def _parse_template(fields: FieldReader | None, version: str) -> SecretTemplate | None:
    if fields is None:
        return None
    metadata = fields.read_object("metadata") or FieldReader({})
    engines = ("v2",) if version == "v1" else ("v1", "v2")
    template = SecretTemplate(
        engine=fields.read_choice("engineVersion", engines, "v1" if version == "v1alpha1" else "v2"),
        type=fields.read_string("type", ""),
        labels=metadata.read_string_map("labels"),
        annotations=metadata.read_string_map("annotations"),
        finalizers=metadata.read_string_list("finalizers"),
        is_merged=fields.read_choice("mergePolicy", ("Replace", "Merge"), "Replace") == "Merge",
        data=fields.read_string_map("data"),
        sources=tuple(_parse_template_from(source) for source in fields.read_objects("templateFrom")),
    )
    metadata.reject_unknown()
    fields.reject_unknown()
    return template


def _parse_template_from(fields: FieldReader) -> TemplateFrom:
    target = fields.read_choice("target", ("Data", "Annotations", "Labels"), "Data")
    literal = fields.read_string("literal", "")
    config_map, secret = fields.read_object("configMap"), fields.read_object("secret")
    source = config_map or secret
    if source is None:
        if not literal:
            fields.reject_field("literal", "or `configMap` or `secret` is required")
        template_from = TemplateFrom("Literal", "", literal, (), target)
    else:
        items = []
        for item in source.read_objects("items"):
            is_mapping = item.read_choice("templateAs", ("Values", "KeysAndValues"), "Values") != "Values"
            items.append((item.read_string("key"), is_mapping))
            item.reject_unknown()
        kind: Literal["ConfigMap", "Secret"] = "ConfigMap" if config_map else "Secret"
        template_from = TemplateFrom(kind, source.read_string("name"), "", tuple(items), target)
        source.reject_unknown()
    fields.reject_unknown()
    return template_from
