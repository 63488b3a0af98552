"""The name and the values of a HelmRelease, as helm-controller takes them.

Source: helm-controller `api/v2` (HelmRelease), `internal/release` (name); fluxcd/pkg `chartutil` (values).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from gatekeeper.model import Gap, Resource, get_field
from gatekeeper.render.helm import unknown_values
from gatekeeper.upstream.helm_release import FluxValues, ValuesReference

UNKNOWN_VALUES_REASON = (
    "takes values from objects that are not readable in the repository, so its chart was rendered without them"
)
STAND_IN_REASON = "values of Secrets that are not readable in the repository were replaced by stand-ins in its chart"
MAX_NAME_LENGTH, HASH_LENGTH = 53, 12
DEFAULT_KEY = "values.yaml"
# The texts of ConfigMaps and plaintext Secrets, by kind, namespace and name.
ValuesObjects = Mapping[tuple[str, str, str], Mapping[str, bytes]]


def collect_values_objects(resources: Iterable[Resource]) -> ValuesObjects:
    """The ConfigMaps and Secrets that values can come from; encrypted Secrets are not among them."""
    found: dict[tuple[str, str, str], Mapping[str, bytes]] = {}
    for resource in resources:
        if resource.ref.kind in ("ConfigMap", "Secret") and resource.ref.api_version == "v1":
            value = resource.value
            texts = {key: text.encode() for key, text in _list_texts(value.get("data"))}
            if resource.ref.kind == "Secret":
                texts = {key: plain for key, text in texts.items() if (plain := _decode(text)) is not None}
                texts |= {key: text.encode() for key, text in _list_texts(value.get("stringData"))}
            if "sops" not in value:
                found[resource.ref.kind, resource.ref.namespace, resource.ref.name] = texts
    return found


def _list_texts(data: Any) -> Iterator[tuple[str, str]]:
    for key, text in data.items() if isinstance(data, dict) else ():
        if isinstance(text, str):
            yield key, text


def _decode(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def get_release_name(release: Resource) -> str:
    """The name of the Helm release, which can have 53 characters: longer ones end with a part of their digest."""
    spec = release.value.get("spec")
    target = get_field(spec, ("targetNamespace",))
    name = str(get_field(spec, ("releaseName",)) or (f"{target}-{release.ref.name}" if target else release.ref.name))
    if len(name) <= MAX_NAME_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:HASH_LENGTH]
    return f"{name[: MAX_NAME_LENGTH - HASH_LENGTH - 1]}-{digest}"


def read_post_rendering(spec: Any) -> bytes:
    """The fields of a HelmRelease that change what its chart renders, as JSON; empty if there are none."""
    fields = {name: get_field(spec, (name,)) for name in ("postRenderers", "commonMetadata")}
    return orjson.dumps(fields) if any(fields.values()) else b""


def read_values(release: Resource, objects: ValuesObjects, gaps: list[Gap]) -> FluxValues:
    """The values of a HelmRelease, in the order in which they are merged.

    Args:
        gaps: receives what is not known.
    """
    spec = release.value.get("spec")
    references: list[ValuesReference] = []
    listed = get_field(spec, ("valuesFrom",))
    for entry in listed if isinstance(listed, list) else ():
        kind, name = str(get_field(entry, ("kind",))), str(get_field(entry, ("name",)))
        key = str(get_field(entry, ("valuesKey",)) or DEFAULT_KEY)
        target, is_literal = str(get_field(entry, ("targetPath",)) or ""), get_field(entry, ("literal",)) is True
        content = objects.get((kind, release.ref.namespace, name), {}).get(key)
        if content is None and get_field(entry, ("optional",)):
            continue
        if content is None and target and kind == "Secret":
            content = unknown_values.build_stand_in(kind, name, key).encode()
            gaps.append(Gap(release.origin.file, f"a HelmRelease: {STAND_IN_REASON}"))
        if content is None:
            gaps.append(Gap(release.origin.file, f"a HelmRelease: {UNKNOWN_VALUES_REASON}"))
            continue
        references.append(ValuesReference(f"{key} of {kind} {name}", content, target, is_literal))
    inline = get_field(spec, ("values",))
    chart_files = get_field(spec, ("chart", "spec", "valuesFiles"))
    return FluxValues(
        chart_files=tuple(map(str, chart_files)) if isinstance(chart_files, list) else (),
        ignores_missing=get_field(spec, ("chart", "spec", "ignoreMissingValuesFiles")) is True,
        references=tuple(references),
        inline=orjson.dumps(inline) if isinstance(inline, dict) else b"",
    )
