"""Building the Secret of an ExternalSecret, as external-secrets would build it.

Labels, annotations and the data hash are those of external-secrets, so that a cluster can be taken over without a
write. Source: external-secrets `pkg/controllers/externalsecret/externalsecret_controller{,_template}.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gatekeeper.externalsecrets.model import ExternalSecretSpec
from gatekeeper.externalsecrets.target.data_hash import compute_data_hash
from gatekeeper.externalsecrets.target.ownership import (
    CREATED_BY_LABEL,
    DATA_HASH_ANNOTATION,
    MANAGED_LABEL,
    build_field_manager,
    compute_creator_mark,
    set_owner,
)
from gatekeeper.externalsecrets.target.template import TemplateReader, render_template
from gatekeeper.externalsecrets.target.value_transforms import SecretValues, decode_data, encode_data
from gatekeeper.model import FieldPath, get_field

COMPARED_PATHS: tuple[FieldPath, ...] = (
    ("data",),
    ("type",),
    ("immutable",),
    ("metadata", "labels"),
    ("metadata", "annotations"),
    ("metadata", "ownerReferences"),
    ("metadata", "finalizers"),
)


def build_secret(
    spec: ExternalSecretSpec, data: SecretValues, existing: Mapping[str, Any] | None, template_reader: TemplateReader
) -> dict[str, Any]:
    """Build the desired Secret from its values and the existing Secret.

    Args:
        existing: the Secret in the cluster; None if there is none.
        template_reader: returns templates from ConfigMaps and Secrets.

    Raises:
        ValueTransformError: a template cannot be rendered.
        StoreError: the object with a template is missing.
    """
    secret = existing or {"apiVersion": "v1", "kind": "Secret", "metadata": {}, "type": "Opaque"}
    metadata = dict(secret.get("metadata") or {})
    template = spec.target.template
    source = template or spec
    # Fields that this ExternalSecret set earlier and no longer sets are removed; fields of others stay.
    labels = {**_select_foreign_fields(secret, spec, "labels"), **source.labels}
    annotations = {**_select_foreign_fields(secret, spec, "annotations"), **source.annotations}
    merged = decode_data(_select_foreign_fields(secret, spec, "data")) if spec.target.creation_policy == "Merge" else {}
    rendered = render_template(template, data, template_reader)
    content = {**merged, **rendered.data}
    labels |= rendered.labels
    annotations |= rendered.annotations
    labels.pop(CREATED_BY_LABEL, None)
    if spec.target.creation_policy == "Owner":
        labels[CREATED_BY_LABEL] = compute_creator_mark(spec)
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
    set_owner(metadata, spec)
    desired = {**secret, "metadata": metadata, "data": encode_data(content)}
    if template and template.type:
        desired["type"] = template.type
    if spec.target.immutable:
        desired["immutable"] = True
    return desired


def _select_foreign_fields(secret: Mapping[str, Any], spec: ExternalSecretSpec, field: str) -> dict[str, str]:
    """Return the labels, annotations or data of a Secret that this ExternalSecret did not set."""
    path = ("data",) if field == "data" else ("metadata", field)
    manager = build_field_manager(spec)
    own_names: set[str] = set()
    for entry in get_field(secret, ("metadata", "managedFields")) or ():
        if entry.get("manager") == manager:
            fields = get_field(entry, ("fieldsV1", *(f"f:{step}" for step in path))) or {}
            own_names |= {name.removeprefix("f:") for name in fields}
    return {key: text for key, text in (get_field(secret, path) or {}).items() if key not in own_names}


def strip_marks(secret: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Secret without the labels of its manager and without the hash of its values."""
    metadata = dict(secret["metadata"])
    for field in ("labels", "annotations"):
        metadata[field] = {
            key: text
            for key, text in (metadata.get(field) or {}).items()
            if key not in (MANAGED_LABEL, CREATED_BY_LABEL, DATA_HASH_ANNOTATION)
        }
    return {**secret, "metadata": metadata}


def is_up_to_date(secret: Mapping[str, Any], existing: Mapping[str, Any] | None) -> bool:
    """Return whether the existing Secret equals the desired one, so that nothing has to be written."""
    if existing is None:
        return False
    return all(
        orjson.dumps(get_field(secret, path), option=orjson.OPT_SORT_KEYS)
        == orjson.dumps(get_field(existing, path) or None, option=orjson.OPT_SORT_KEYS)
        for path in COMPARED_PATHS
        if get_field(secret, path) or get_field(existing, path)
    )
