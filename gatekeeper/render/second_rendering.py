"""A second rendering of charts: a value that differs in it is made at random by Helm, and is not in the repository."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from gatekeeper.model import FieldPath, Resource, get_field
from gatekeeper.render.helm.helm_origin import HelmOrigin
from gatekeeper.render.origin import KustomizeOrigin


def find_other_value(resource: Resource, path: FieldPath) -> str | None:
    """The value of a field in a second rendering; None if it is the same there, or the object is from no chart."""
    origin = resource.origin
    objects: Sequence[Any]
    if isinstance(origin, HelmOrigin):
        first, objects = origin.json, origin.chart_render.second_rendering.get(origin.template, ())
    elif isinstance(origin, KustomizeOrigin) and origin.second_rendering is not None:
        first, objects = origin.rendered_json, origin.second_rendering.objects
    else:
        return None
    if origin.number >= len(objects):
        return None
    value, own_value = get_field(objects[origin.number], path), get_field(orjson.loads(first), path)
    # A value that a later step of rendering has changed is not compared.
    if own_value != get_field(resource.value, path) or not isinstance(value, str) or value == own_value:
        return None
    return value
