"""Validation of objects by the API server's own code, without a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from gatekeeper.errors import ToolError
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.upstream.answers import decode_answer, decode_list
from gatekeeper.upstream.batches import Call, call_or_fail, map_parts, split_batch
from gatekeeper.upstream.client import UpstreamClient

MAX_BATCH_OBJECTS = 250
# For one batch: a start of the program, and time for each object. An object usually takes less than a millisecond.
BATCH_SECONDS, OBJECT_SECONDS = 20.0, 0.1


class ApiServerFault(NamedTuple):
    """One reason why the API server refuses an object, or one warning.

    Attributes:
        field: the field as the API server writes it (`spec.containers[0].image`); empty where it names none.
        type: a type of `k8s.io/apimachinery/pkg/util/validation/field`, or `UnknownField`, `DuplicateField`,
            `Undecodable`, `Refused`, `Warning`.
        detail: the API server's text, without the value of the field.
        entry: the key, or the value of a label, at fault where the field is a mapping of labels or annotations.
    """

    field: str
    type: str
    detail: str = ""
    entry: str = ""


class ApiServerAnswer(NamedTuple):
    """The result for one object.

    Attributes:
        unchecked: why the object was not validated; empty if it was.
        is_failure: whether validation failed on this object, as opposed to a kind that is not supported.
    """

    faults: tuple[ApiServerFault, ...] = ()
    unchecked: str = ""
    is_failure: bool = False


# The answer for most objects.
VALID = ApiServerAnswer()


class KindBatch(NamedTuple):
    """Objects (JSON) of one kind.

    Attributes:
        definition: for a custom kind, JSON with `group`, `version`, `kind`, `namespaced`, `schema` and `subresources`
            of its CRD; empty for a built-in kind.
    """

    api_version: str
    kind: str
    objects: Sequence[bytes]
    definition: bytes = b""


def list_validated_kinds(client: UpstreamClient) -> tuple[list[str], list[str]]:
    """The built-in kinds (`apps/v1/Deployment`) that are validated, and those that are not.

    Raises:
        ToolError: the program cannot be used.
    """
    answer = client.call("kinds", {}, BATCH_SECONDS)
    return decode_answer(lambda kinds: (kinds["checked"], kinds["unchecked"]), answer)


def validate_objects(
    client: UpstreamClient, batches: Sequence[KindBatch], markers: Sequence[str]
) -> list[list[ApiServerAnswer]]:
    """The answers for the objects of each batch, in their order.

    Args:
        markers: texts that mark a value as not known yet: if it has the wrong type, it is ignored.

    Raises:
        ToolError: the program is missing, cannot be started or has another version.
    """
    # An error in starting the program concerns all objects, an error of a call only its own.
    client.get_worker()
    parts = [
        (index, batch._replace(objects=objects))
        for index, batch in enumerate(batches)
        for objects in split_batch(batch.objects, len, MAX_BATCH_OBJECTS)
    ]
    answers: list[list[ApiServerAnswer]] = [[] for _ in batches]
    found = map_parts(lambda numbered: _validate_part(client, numbered[1], markers), parts)
    for (index, _), part_answers in zip(parts, found, strict=True):
        answers[index].extend(part_answers)
    return answers


def _validate_part(client: UpstreamClient, part: KindBatch, markers: Sequence[str]) -> list[ApiServerAnswer]:
    """The answers for a part that is small enough for one call."""
    kind: dict[str, Any] = {"apiVersion": part.api_version, "kind": part.kind, "markers": list(markers)}
    if part.definition:
        kind["definition"] = orjson.Fragment(part.definition)

    def validate(objects: Sequence[bytes], call: Call) -> list[ApiServerAnswer]:
        payload = {**kind, "objects": [orjson.Fragment(one) for one in objects]}
        answer = call("validate", payload, BATCH_SECONDS + OBJECT_SECONDS * len(objects))
        return decode_list(_decode_answer, answer, len(objects))

    def fail(error: ToolError) -> ApiServerAnswer:
        return ApiServerAnswer(unchecked=str(error), is_failure=True)

    return call_or_fail(client, part.objects, validate, fail)


def _decode_answer(answer: dict[str, Any]) -> ApiServerAnswer:
    if answer == {}:
        return VALID
    faults = tuple(
        ApiServerFault(fault["field"], fault["type"], fault.get("detail", ""), fault.get("entry", ""))
        for fault in answer.get("findings", ())
    )
    return ApiServerAnswer(faults, answer.get("unchecked", ""), answer.get("crashed", False))
