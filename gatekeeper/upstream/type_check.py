"""The type check of ValidatingAdmissionPolicies by the API server's own code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from gatekeeper.named_tuple import NamedTuple
from gatekeeper.upstream.answers import decode_list
from gatekeeper.upstream.client import UpstreamClient

# For a start of the program and the schemas of the built-in kinds, and for each policy.
BASE_SECONDS, POLICY_SECONDS = 20.0, 2.0


class TypeWarning(NamedTuple):
    """What the type check says about an expression, and its field (`spec.validations[0].expression`)."""

    field: str
    message: str


def check_types(
    client: UpstreamClient, specs: Sequence[bytes], definitions: Sequence[bytes]
) -> list[list[TypeWarning]]:
    """The warnings of each policy (JSON of its `spec`), in their order.

    Args:
        definitions: those of custom kinds, as for `gatekeeper.upstream.validation.KindBatch`.

    Raises:
        ToolError: the program cannot be used.
    """
    payload = {
        "specs": [orjson.Fragment(one) for one in specs],
        "definitions": [orjson.Fragment(one) for one in definitions],
    }
    found = client.call("checkTypes", payload, BASE_SECONDS + POLICY_SECONDS * len(specs))
    return decode_list(_decode_warnings, found, len(specs))


def _decode_warnings(warnings: Sequence[Mapping[str, str]]) -> list[TypeWarning]:
    return [TypeWarning(str(one["field"]), str(one["message"])) for one in warnings]
