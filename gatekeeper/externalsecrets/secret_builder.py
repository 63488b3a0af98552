"""The Secret that an ExternalSecret asks for, from what the stores gave, as external-secrets would make it.

Labels, annotations and the hash are those that it writes, so that a cluster can be taken over without a write. Source:
external-secrets `pkg/controllers/externalsecret/externalsecret_controller{,_secret,_template}.go`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from gatekeeper.externalsecrets import value_transforms as making
from gatekeeper.externalsecrets.fetch_plan import FetchResult, build_query, build_secret_ref, resolve_store_key
from gatekeeper.externalsecrets.model import DataFromFind, ExternalSecretSpec, RemoteRef, SecretTemplate, TemplateFrom
from gatekeeper.externalsecrets.value_transforms import SecretValues, ValueTransformError
from gatekeeper.gocompat import client
from gatekeeper.gocompat.client import GoFault
from gatekeeper.model import get_field
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.protocol import SecretNotFoundError
from gatekeeper.workspace import documents

MANAGED_LABEL = "reconcile.external-secrets.io/managed"
CREATED_BY_LABEL = "reconcile.external-secrets.io/created-by"
DATA_HASH_ANNOTATION = "reconcile.external-secrets.io/data-hash"
MANAGER_PREFIX = "externalsecrets.external-secrets.io/"
MAX_MANAGER_LENGTH = 63
# A key of a ConfigMap or Secret in which a template stands: its kind, name and key.
TemplateReader = Callable[[str, str, str], str]


def collect_values(spec: ExternalSecretSpec, fetched: FetchResult) -> tuple[SecretValues, list[str]]:
    """The values that an ExternalSecret asks for, and what was not there though that is allowed.

    Raises:
        Missing: something is not there, and `deletionPolicy` is Retain: the Secret stays as it is.
        StoreError: something could not be read.
        ValueFault: something cannot be made of what was read.
    """
    found: SecretValues = {}
    missing: list[str] = []
    for number in range(len(spec.data_from)):
        try:
            found.update(_collect_entry_values(spec, fetched, number))
        except SecretNotFoundError as error:
            if spec.target.deletion_policy == "Retain":
                raise
            missing.append(str(error))
        except ValueTransformError as error:
            raise ValueTransformError(f"`spec.dataFrom[{number}]` {error}") from None
    there = []
    for item in spec.data:
        try:
            there.append(
                (item, fetched.get_value(resolve_store_key(item.store, spec.namespace), build_secret_ref(item.remote)))
            )
        except SecretNotFoundError as error:
            if spec.target.deletion_policy == "Retain":
                raise
            missing.append(str(error))
    texts = making.extract_parts([(text, item.remote.property) for item, text in there])
    for (item, _), text in zip(there, texts, strict=True):
        if text is None:
            raise ValueTransformError(f"`{item.secret_key}`: `{item.remote.key}` has no `{item.remote.property}`")
        try:
            found[item.secret_key] = making.decode_value(text, item.remote.decoding)
        except ValueTransformError as error:
            raise ValueTransformError(f"`{item.secret_key}`: `{item.remote.key}` {error}") from None
    return making.check_keys(found), missing


def _collect_entry_values(spec: ExternalSecretSpec, fetched: FetchResult, number: int) -> SecretValues:
    many = spec.data_from[number]
    key = resolve_store_key(many.store, spec.namespace)
    what: RemoteRef | DataFromFind = many.source
    if isinstance(what, RemoteRef):
        [text] = making.extract_parts([(fetched.get_value(key, build_secret_ref(what)), what.property)])
        if text is None:
            raise ValueTransformError(f"`{what.key}` has no `{what.property}`")
        found = making.extract_values(text)
    else:
        found = dict(fetched.get_search_values(key, build_query(what)))
    found = making.rewrite_keys(found, many.rewrites) if many.rewrites else making.convert_keys(found, what.conversion)
    return {key: making.decode_value(value, what.decoding) for key, value in making.check_keys(found).items()}


def build_secret(
    spec: ExternalSecretSpec, data: SecretValues, existing: Mapping[str, Any] | None, template_reader: TemplateReader
) -> dict[str, Any]:
    """The Secret, from what there is of it and what it shall hold.

    Args:
        existing: the Secret that is there.

    Raises:
        ValueFault: a template cannot be filled.
    """
    held = existing or {"apiVersion": "v1", "kind": "Secret", "metadata": {}, "type": "Opaque"}
    metadata = dict(held.get("metadata") or {})
    template = spec.target.template
    source = template or spec
    # What it set before and sets no longer goes; what others have set stays.
    labels = {**_select_foreign_fields(held, spec, "labels"), **source.labels}
    annotations = {**_select_foreign_fields(held, spec, "annotations"), **source.annotations}
    before = decode_data(_select_foreign_fields(held, spec, "data")) if spec.target.creation_policy == "Merge" else {}
    made, more_labels, more_annotations = _apply_template(template, data, template_reader)
    content = {**before, **made}
    labels |= more_labels
    annotations |= more_annotations
    labels.pop(CREATED_BY_LABEL, None)
    if spec.target.creation_policy == "Owner":
        labels[CREATED_BY_LABEL] = compute_go_hash(f"{spec.namespace}/{spec.name}")
    labels[MANAGED_LABEL] = "true"
    annotations[DATA_HASH_ANNOTATION] = compute_data_hash(content)
    metadata |= {
        "name": spec.target.name,
        "namespace": spec.namespace,
        "labels": labels,
        "annotations": annotations,
    }
    if template and template.finalizers:
        metadata["finalizers"] = list(dict.fromkeys([*(metadata.get("finalizers") or ()), *template.finalizers]))
    _set_owner(metadata, spec)
    secret = {**held, "metadata": metadata, "data": encode_data(content)}
    if template and template.type:
        secret["type"] = template.type
    if spec.target.immutable:
        secret["immutable"] = True
    return secret


def _select_foreign_fields(secret: Mapping[str, Any], spec: ExternalSecretSpec, field: str) -> dict[str, str]:
    """The labels, annotations or data of a Secret that this ExternalSecret did not set."""
    path = ("data",) if field == "data" else ("metadata", field)
    held = get_field(secret, path) or {}
    mine = set()
    for entry in get_field(secret, ("metadata", "managedFields")) or ():
        if entry.get("manager") == build_field_manager(spec):
            fields = get_field(entry, ("fieldsV1", *(f"f:{step}" for step in path))) or {}
            mine |= {name.removeprefix("f:") for name in fields}
    return {key: text for key, text in held.items() if key not in mine}


def build_field_manager(spec: ExternalSecretSpec) -> str:
    """Under which name an ExternalSecret writes, so that Kubernetes notes which fields are its own."""
    name = f"{MANAGER_PREFIX}{spec.name}"
    return name if len(name) <= MAX_MANAGER_LENGTH else f"{MANAGER_PREFIX}sha3/{compute_go_hash(spec.name)}"


def _set_owner(metadata: dict[str, Any], spec: ExternalSecretSpec) -> None:
    """Names the ExternalSecret as the Secret's owner, so that the one goes with the other; or no longer.

    Where the ExternalSecret itself is not known (it is read from a repository), owners stay as they are.
    """
    if not spec.uid:
        return
    owners = [one for one in metadata.get("ownerReferences") or () if not is_owner(one, spec)]
    if spec.target.creation_policy == "Owner":
        owners.append(
            {
                "apiVersion": "external-secrets.io/v1",
                "kind": "ExternalSecret",
                "name": spec.name,
                "uid": spec.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        )
    metadata.pop("ownerReferences", None)
    if owners:
        metadata["ownerReferences"] = owners


def is_owner(owner: Mapping[str, Any], spec: ExternalSecretSpec) -> bool:
    """Whether an owner reference means this ExternalSecret, of whatever API version."""
    return is_external_secret_owner(owner) and owner.get("name") == spec.name


def is_external_secret_owner(owner: Mapping[str, Any]) -> bool:
    """Whether an owner reference means an ExternalSecret."""
    group = str(owner.get("apiVersion")).partition("/")[0]
    return owner.get("kind") == "ExternalSecret" and group == "external-secrets.io"


def _apply_template(
    template: SecretTemplate | None, data: SecretValues, template_reader: TemplateReader
) -> tuple[SecretValues, dict[str, str], dict[str, str]]:
    """What templates make: values, labels and annotations; later ones win."""
    if template is None:
        return data, {}, {}
    engine: client.TemplateEngine = "external-secrets" if template.engine == "v2" else "external-secrets-v1"
    made: dict[str, SecretValues] = {"Data": {}, "Labels": {}, "Annotations": {}}
    if template.is_merged or not (template.data or template.sources):
        made["Data"].update(data)
    for source in template.sources:
        for name, text, is_whole in _list_template_texts(source, template_reader):
            [filled] = _render_templates(engine, {name: text}, data).values()
            made[source.target].update(_parse_pairs(name, filled) if is_whole else {name: filled})
    made["Data"].update(_render_templates(engine, template.data, data))
    if template.engine == "v1":
        # There labels and annotations are no templates.
        return made["Data"], dict(template.labels), dict(template.annotations)
    made["Labels"].update(_render_templates(engine, template.labels, data))
    made["Annotations"].update(_render_templates(engine, template.annotations, data))
    return made["Data"], _decode_texts(made["Labels"]), _decode_texts(made["Annotations"])


def _list_template_texts(source: TemplateFrom, template_reader: TemplateReader) -> list[tuple[str, str, bool]]:
    """Each template of a source: its name, its text, and whether it makes keys and values."""
    if source.kind == "Literal":
        return [("literal", source.literal, True)]
    return [(key, template_reader(source.kind, source.name, key), is_whole) for key, is_whole in source.items]


def _render_templates(engine: client.TemplateEngine, templates: Mapping[str, str], data: SecretValues) -> SecretValues:
    if not templates:
        return {}
    answers = client.fill_templates(list(templates.values()), data, engine)
    found: SecretValues = {}
    for key, answer in zip(templates, answers, strict=True):
        if isinstance(answer, GoFault):
            raise ValueTransformError(f"the template `{key}` {answer.reason}")
        found[key] = answer
    return found


def _parse_pairs(name: str, text: SecretBytes) -> SecretValues:
    """Keys and values of a text in YAML, all of them texts."""
    parsed, failure = documents.parse(text.reveal())
    value = documents.to_value(parsed[0]) if parsed and failure is None else None
    if not isinstance(value, dict) or not all(isinstance(held, str) for held in value.values()):
        raise ValueTransformError(f"the template `{name}` makes no mapping of texts in YAML")
    return making.wrap_texts(value)


def _decode_texts(values: SecretValues) -> dict[str, str]:
    """Labels and annotations, which are not secret: their templates put them into the open."""
    return {key: value.reveal().decode("utf-8", "replace") for key, value in values.items()}


def encode_data(data: SecretValues) -> dict[str, str]:
    """Values in base64, as a Secret has them."""
    return {key: base64.b64encode(data[key].reveal()).decode("ascii") for key in sorted(data)}


def decode_data(data: Mapping[str, str]) -> SecretValues:
    """The values of a Secret out of base64."""
    return {key: SecretBytes(base64.b64decode(text)) for key, text in data.items()}


def compute_data_hash(data: SecretValues) -> str:
    """The hash that external-secrets notes of a Secret's data: SHA3-224 of how Go prints the map."""
    shown = (f"{key}:[{' '.join(map(str, data[key].reveal()))}]" for key in sorted(data, key=str.encode))
    return compute_go_hash(f"map[{' '.join(shown)}]")


def compute_go_hash(text: str) -> str:
    """SHA3-224, in hexadecimal."""
    return hashlib.sha3_224(text.encode("utf-8", "surrogatepass")).hexdigest()


def strip_marks(secret: Mapping[str, Any]) -> dict[str, Any]:
    """A Secret without the marks of who keeps it up to date, and without the hash of its values."""
    metadata = dict(secret["metadata"])
    for field in ("labels", "annotations"):
        held = metadata.get(field) or {}
        metadata[field] = {
            key: text
            for key, text in held.items()
            if key not in (MANAGED_LABEL, CREATED_BY_LABEL, DATA_HASH_ANNOTATION)
        }
    return {**secret, "metadata": metadata}


def is_up_to_date(secret: Mapping[str, Any], existing: Mapping[str, Any] | None) -> bool:
    """Whether a Secret is there as it shall be, so that nothing has to be written."""
    if existing is None:
        return False
    return all(
        orjson.dumps(get_field(secret, path), option=orjson.OPT_SORT_KEYS)
        == orjson.dumps(get_field(existing, path) or None, option=orjson.OPT_SORT_KEYS)
        for path in (
            ("data",),
            ("type",),
            ("immutable",),
            ("metadata", "labels"),
            ("metadata", "annotations"),
            ("metadata", "ownerReferences"),
            ("metadata", "finalizers"),
        )
        if get_field(secret, path) or get_field(existing, path)
    )
