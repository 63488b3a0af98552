"""Substitution of `${VAR}` in objects by Flux's own library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.named_tuple import NamedTuple
from gatekeeper.upstream.answers import decode_list
from gatekeeper.upstream.batches import Call, call_or_fail, map_parts, split_batch
from gatekeeper.upstream.client import UpstreamClient

MAX_BATCH_OBJECTS = 500
# For one batch. An object usually takes less than a millisecond.
BATCH_SECONDS, OBJECT_SECONDS = 20.0, 0.1


class SubstitutionAnswer(NamedTuple):
    """The result for one object.

    Attributes:
        value: what it is after the substitution; None if nothing changes.
        fault: why there is no result, in the library's words; empty if there is one.
    """

    value: Any = None
    fault: str = ""


def substitute_objects(
    client: UpstreamClient, objects: Sequence[bytes], variables: Mapping[str, str]
) -> list[SubstitutionAnswer]:
    """The answers for objects (JSON), in their order; a reference to a variable without a value stays as it is.

    Raises:
        ToolError: the program is missing, cannot be started or has another version.
    """
    if not objects:
        return []
    client.get_worker()

    def substitute(part: Sequence[bytes], call: Call) -> list[SubstitutionAnswer]:
        payload = {"variables": dict(variables), "objects": [orjson.Fragment(one) for one in part]}
        answer = call("substitute", payload, BATCH_SECONDS + OBJECT_SECONDS * len(part))
        return decode_list(_decode_answer, answer, len(part))

    parts = list(split_batch(objects, len, MAX_BATCH_OBJECTS))
    answers = map_parts(
        lambda part: call_or_fail(client, part, substitute, lambda error: SubstitutionAnswer(fault=str(error))), parts
    )
    return [answer for part in answers for answer in part]


def _decode_answer(answer: Mapping[str, Any]) -> SubstitutionAnswer:
    return SubstitutionAnswer(answer.get("object"), answer.get("fault", ""))
