"""Validation of objects by the API server's own code, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import orjson

from gatekeeper.errors import ToolError
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.worker import WorkerLostError

MAX_BATCH_OBJECTS = 250
MAX_BATCH_BYTES = 4 * 1024 * 1024
# For one batch: a start of the program, and time for each object. An object usually takes less than a millisecond.
BATCH_SECONDS, OBJECT_SECONDS = 20.0, 0.1
# While Go validates one batch, another is encoded and decoded.
CONCURRENT_BATCHES = 2


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
    return answer["checked"], answer["unchecked"]


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
    parts = [(index, part) for index, batch in enumerate(batches) for part in _split(batch)]
    answers: list[list[ApiServerAnswer]] = [[] for _ in batches]

    def validate(numbered: tuple[int, KindBatch]) -> list[ApiServerAnswer]:
        return _validate_part(client, numbered[1], markers)

    if len(parts) == 1:
        answers[parts[0][0]] = validate(parts[0])
        return answers
    with ThreadPoolExecutor(CONCURRENT_BATCHES) as pool:
        for (index, _), found in zip(parts, pool.map(validate, parts), strict=True):
            answers[index].extend(found)
    return answers


def _split(batch: KindBatch) -> Iterator[KindBatch]:
    """Parts of a batch that are small enough for one call."""
    part: list[bytes] = []
    size = 0
    for one in batch.objects:
        if part and (len(part) >= MAX_BATCH_OBJECTS or size + len(one) > MAX_BATCH_BYTES):
            yield batch._replace(objects=part)
            part, size = [], 0
        part.append(one)
        size += len(one)
    if part:
        yield batch._replace(objects=part)


def _validate_part(
    client: UpstreamClient, part: KindBatch, markers: Sequence[str], is_separate: bool = False
) -> list[ApiServerAnswer]:
    """The answers for a part; if it ends its process, those for each half of it, so that one object alone fails.

    Args:
        is_separate: whether it gets a process of its own: a part that ended a process must not end that of others.
    """
    payload: dict[str, Any] = {
        "apiVersion": part.api_version,
        "kind": part.kind,
        "markers": list(markers),
        "objects": [orjson.Fragment(one) for one in part.objects],
    }
    if part.definition:
        payload["definition"] = orjson.Fragment(part.definition)
    call = client.call_separately if is_separate else client.call
    try:
        found = call("validate", payload, BATCH_SECONDS + OBJECT_SECONDS * len(part.objects))
    except WorkerLostError as error:
        if len(part.objects) == 1:
            return [ApiServerAnswer(unchecked=str(error), is_failure=True)]
        middle = len(part.objects) // 2
        halves = [part._replace(objects=part.objects[:middle]), part._replace(objects=part.objects[middle:])]
        return [answer for half in halves for answer in _validate_part(client, half, markers, is_separate=True)]
    except ToolError as error:
        return [ApiServerAnswer(unchecked=str(error), is_failure=True)] * len(part.objects)
    return [_decode_answer(one) for one in found]


def _decode_answer(answer: dict[str, Any]) -> ApiServerAnswer:
    faults = tuple(
        ApiServerFault(fault["field"], fault["type"], fault.get("detail", ""), fault.get("entry", ""))
        for fault in answer.get("findings", ())
    )
    return ApiServerAnswer(faults, answer.get("unchecked", ""), answer.get("crashed", False))
