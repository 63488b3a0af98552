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
from gatekeeper.externalsecrets.fetch_plan import Fetched, key_of, query_of, wish_of
from gatekeeper.externalsecrets.model import Find, Remote, Template, TemplateFrom, Wanted
from gatekeeper.externalsecrets.value_transforms import ValueFault, Values
from gatekeeper.gocompat import client
from gatekeeper.gocompat.client import Fault
from gatekeeper.model import at
from gatekeeper.secret_value import Hidden
from gatekeeper.stores.protocol import Missing
from gatekeeper.workspace import documents

MANAGED = "reconcile.external-secrets.io/managed"
CREATED_BY = "reconcile.external-secrets.io/created-by"
DATA_HASH = "reconcile.external-secrets.io/data-hash"
MANAGER = "externalsecrets.external-secrets.io/"
MOST_MANAGER = 63
# A key of a ConfigMap or Secret in which a template stands: its kind, name and key.
TextOf = Callable[[str, str, str], str]


def gathered(wanted: Wanted, fetched: Fetched) -> tuple[Values, list[str]]:
    """The values that an ExternalSecret asks for, and what was not there though that is allowed.

    Raises:
        Missing: something is not there, and `deletionPolicy` is Retain: the Secret stays as it is.
        StoreError: something could not be read.
        ValueFault: something cannot be made of what was read.
    """
    found: Values = {}
    missing: list[str] = []
    for number in range(len(wanted.many)):
        try:
            found.update(_several(wanted, fetched, number))
        except Missing as error:
            if wanted.target.deletion == "Retain":
                raise
            missing.append(str(error))
        except ValueFault as error:
            raise ValueFault(f"`spec.dataFrom[{number}]` {error}") from None
    there = []
    for item in wanted.items:
        try:
            there.append((item, fetched.value(key_of(item.store, wanted.namespace), wish_of(item.remote))))
        except Missing as error:
            if wanted.target.deletion == "Retain":
                raise
            missing.append(str(error))
    texts = making.parts([(text, item.remote.property) for item, text in there])
    for (item, _), text in zip(there, texts, strict=True):
        if text is None:
            raise ValueFault(f"`{item.secret_key}`: `{item.remote.key}` has no `{item.remote.property}`")
        try:
            found[item.secret_key] = making.decoded(text, item.remote.decoding)
        except ValueFault as error:
            raise ValueFault(f"`{item.secret_key}`: `{item.remote.key}` {error}") from None
    return making.checked(found), missing


def _several(wanted: Wanted, fetched: Fetched, number: int) -> Values:
    many = wanted.many[number]
    key = key_of(many.store, wanted.namespace)
    what: Remote | Find = many.what
    if isinstance(what, Remote):
        [text] = making.parts([(fetched.value(key, wish_of(what)), what.property)])
        if text is None:
            raise ValueFault(f"`{what.key}` has no `{what.property}`")
        found = making.each(text)
    else:
        found = dict(fetched.all(key, query_of(what)))
    found = making.rewritten(found, many.rewrite) if many.rewrite else making.converted(found, what.conversion)
    return {key: making.decoded(value, what.decoding) for key, value in making.checked(found).items()}


def built(wanted: Wanted, data: Values, existing: Mapping[str, Any] | None, text_of: TextOf) -> dict[str, Any]:
    """The Secret, from what there is of it and what it shall hold.

    Args:
        existing: the Secret that is there.

    Raises:
        ValueFault: a template cannot be filled.
    """
    held = existing or {"apiVersion": "v1", "kind": "Secret", "metadata": {}, "type": "Opaque"}
    metadata = dict(held.get("metadata") or {})
    template = wanted.target.template
    source = template or wanted
    # What it set before and sets no longer goes; what others have set stays.
    labels = {**_others(held, wanted, "labels"), **source.labels}
    annotations = {**_others(held, wanted, "annotations"), **source.annotations}
    before = unpacked(_others(held, wanted, "data")) if wanted.target.creation == "Merge" else {}
    made, more_labels, more_annotations = _filled(template, data, text_of)
    content = {**before, **made}
    labels |= more_labels
    annotations |= more_annotations
    labels.pop(CREATED_BY, None)
    if wanted.target.creation == "Owner":
        labels[CREATED_BY] = go_hash(f"{wanted.namespace}/{wanted.name}")
    labels[MANAGED] = "true"
    annotations[DATA_HASH] = data_hash(content)
    metadata |= {
        "name": wanted.target.name,
        "namespace": wanted.namespace,
        "labels": labels,
        "annotations": annotations,
    }
    if template and template.finalizers:
        metadata["finalizers"] = list(dict.fromkeys([*(metadata.get("finalizers") or ()), *template.finalizers]))
    _own(metadata, wanted)
    secret = {**held, "metadata": metadata, "data": packed(content)}
    if template and template.type:
        secret["type"] = template.type
    if wanted.target.immutable:
        secret["immutable"] = True
    return secret


def _others(secret: Mapping[str, Any], wanted: Wanted, field: str) -> dict[str, str]:
    """The labels, annotations or data of a Secret that this ExternalSecret did not set."""
    path = ("data",) if field == "data" else ("metadata", field)
    held = at(secret, path) or {}
    mine = set()
    for entry in at(secret, ("metadata", "managedFields")) or ():
        if entry.get("manager") == manager(wanted):
            fields = at(entry, ("fieldsV1", *(f"f:{step}" for step in path))) or {}
            mine |= {name.removeprefix("f:") for name in fields}
    return {key: text for key, text in held.items() if key not in mine}


def manager(wanted: Wanted) -> str:
    """Under which name an ExternalSecret writes, so that Kubernetes notes which fields are its own."""
    name = f"{MANAGER}{wanted.name}"
    return name if len(name) <= MOST_MANAGER else f"{MANAGER}sha3/{go_hash(wanted.name)}"


def _own(metadata: dict[str, Any], wanted: Wanted) -> None:
    """Names the ExternalSecret as the Secret's owner, so that the one goes with the other; or no longer.

    Where the ExternalSecret itself is not known (it is read from a repository), owners stay as they are.
    """
    if not wanted.uid:
        return
    owners = [one for one in metadata.get("ownerReferences") or () if not is_own(one, wanted)]
    if wanted.target.creation == "Owner":
        owners.append(
            {
                "apiVersion": "external-secrets.io/v1",
                "kind": "ExternalSecret",
                "name": wanted.name,
                "uid": wanted.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        )
    metadata.pop("ownerReferences", None)
    if owners:
        metadata["ownerReferences"] = owners


def is_own(owner: Mapping[str, Any], wanted: Wanted) -> bool:
    """Whether an owner reference means this ExternalSecret, of whatever API version."""
    return is_external(owner) and owner.get("name") == wanted.name


def is_external(owner: Mapping[str, Any]) -> bool:
    """Whether an owner reference means an ExternalSecret."""
    group = str(owner.get("apiVersion")).partition("/")[0]
    return owner.get("kind") == "ExternalSecret" and group == "external-secrets.io"


def _filled(template: Template | None, data: Values, text_of: TextOf) -> tuple[Values, dict[str, str], dict[str, str]]:
    """What templates make: values, labels and annotations; later ones win."""
    if template is None:
        return data, {}, {}
    engine: client.Engine = "external-secrets" if template.engine == "v2" else "external-secrets-v1"
    made: dict[str, Values] = {"Data": {}, "Labels": {}, "Annotations": {}}
    if template.merge or not (template.data or template.sources):
        made["Data"].update(data)
    for source in template.sources:
        for name, text, is_whole in _texts(source, text_of):
            [filled] = _asked(engine, {name: text}, data).values()
            made[source.target].update(_pairs(name, filled) if is_whole else {name: filled})
    made["Data"].update(_asked(engine, template.data, data))
    if template.engine == "v1":
        # There labels and annotations are no templates.
        return made["Data"], dict(template.labels), dict(template.annotations)
    made["Labels"].update(_asked(engine, template.labels, data))
    made["Annotations"].update(_asked(engine, template.annotations, data))
    return made["Data"], _plain(made["Labels"]), _plain(made["Annotations"])


def _texts(source: TemplateFrom, text_of: TextOf) -> list[tuple[str, str, bool]]:
    """Each template of a source: its name, its text, and whether it makes keys and values."""
    if source.kind == "Literal":
        return [("literal", source.literal, True)]
    return [(key, text_of(source.kind, source.name, key), is_whole) for key, is_whole in source.items]


def _asked(engine: client.Engine, templates: Mapping[str, str], data: Values) -> Values:
    if not templates:
        return {}
    answers = client.ask(engine, data, list(templates.values())).templates
    found: Values = {}
    for key, answer in zip(templates, answers, strict=True):
        if isinstance(answer, Fault):
            raise ValueFault(f"the template `{key}` {answer.reason}")
        found[key] = answer
    return found


def _pairs(name: str, text: Hidden) -> Values:
    """Keys and values of a text in YAML, all of them texts."""
    parsed, failure = documents.parse(text.reveal())
    value = documents.value_of(parsed[0]) if parsed and failure is None else None
    if not isinstance(value, dict) or not all(isinstance(held, str) for held in value.values()):
        raise ValueFault(f"the template `{name}` makes no mapping of texts in YAML")
    return making.hidden_texts(value)


def _plain(values: Values) -> dict[str, str]:
    """Labels and annotations, which are not secret: their templates put them into the open."""
    return {key: value.reveal().decode("utf-8", "replace") for key, value in values.items()}


def packed(data: Values) -> dict[str, str]:
    """Values in base64, as a Secret has them."""
    return {key: base64.b64encode(data[key].reveal()).decode("ascii") for key in sorted(data)}


def unpacked(data: Mapping[str, str]) -> Values:
    """The values of a Secret out of base64."""
    return {key: Hidden(base64.b64decode(text)) for key, text in data.items()}


def data_hash(data: Values) -> str:
    """The hash that external-secrets notes of a Secret's data: SHA3-224 of how Go prints the map."""
    shown = (f"{key}:[{' '.join(map(str, data[key].reveal()))}]" for key in sorted(data, key=str.encode))
    return go_hash(f"map[{' '.join(shown)}]")


def go_hash(text: str) -> str:
    """SHA3-224, in hexadecimal."""
    return hashlib.sha3_224(text.encode("utf-8", "surrogatepass")).hexdigest()


def unmarked(secret: Mapping[str, Any]) -> dict[str, Any]:
    """A Secret without the marks of who keeps it up to date, and without the hash of its values."""
    metadata = dict(secret["metadata"])
    for field in ("labels", "annotations"):
        held = metadata.get(field) or {}
        metadata[field] = {key: text for key, text in held.items() if key not in (MANAGED, CREATED_BY, DATA_HASH)}
    return {**secret, "metadata": metadata}


def is_same(secret: Mapping[str, Any], existing: Mapping[str, Any] | None) -> bool:
    """Whether a Secret is there as it shall be, so that nothing has to be written."""
    if existing is None:
        return False
    return all(
        orjson.dumps(at(secret, path), option=orjson.OPT_SORT_KEYS)
        == orjson.dumps(at(existing, path) or None, option=orjson.OPT_SORT_KEYS)
        for path in (
            ("data",),
            ("type",),
            ("immutable",),
            ("metadata", "labels"),
            ("metadata", "annotations"),
            ("metadata", "ownerReferences"),
            ("metadata", "finalizers"),
        )
        if at(secret, path) or at(existing, path)
    )
