"""Resources as the API server sends them to admission: the `request` of an AdmissionReview.

Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/.
"""

from __future__ import annotations

from typing import Any

import orjson

from gatekeeper.errors import PolicyError
from gatekeeper.model import ObjectRef, Resource, build_ref

# The resources of a repository are checked as if they were created in an empty cluster.
OPERATION = "CREATE"


def build_request_head(ref: ObjectRef, plural: str = "") -> bytes:
    """Builds a request without its objects, as JSON without the final `}`."""
    version = ref.api_version.rpartition("/")[2]
    kind = {"group": ref.group, "version": version, "kind": ref.kind}
    head = {
        "uid": "",
        "kind": kind,
        "resource": {"group": ref.group, "version": version, "resource": plural},
        "name": ref.name,
        "namespace": ref.namespace,
        "operation": OPERATION,
        "userInfo": {},
        "dryRun": False,
    }
    return orjson.dumps(head)[:-1]


def build_request(ref: ObjectRef, json: bytes, plural: str = "") -> bytes:
    """Builds the request, as JSON, that creates a resource (`json`).

    Args:
        plural: the name of the kind in addresses; empty where policies do not see it.
    """
    return build_request_head(ref, plural) + b',"oldObject":null,"object":' + json + b"}"


def parse_review(review: Any, resource: Resource) -> tuple[Resource, bytes]:
    """Parses an AdmissionReview to the object and the request; the object of a deletion is the one that is deleted.

    Args:
        resource: the AdmissionReview, for the origin of the object.

    Raises:
        PolicyError: there is neither `object` nor `oldObject`.
    """
    request = review.get("request")
    if not isinstance(request, dict):
        raise PolicyError("the AdmissionReview has no `request`")
    value = request.get("object") or request.get("oldObject")
    if not isinstance(value, dict) or not value.get("kind") or not value.get("apiVersion"):
        raise PolicyError("the request of the AdmissionReview has no `object` and no `oldObject`")
    ref = build_ref(value)
    if request.get("operation") == "DELETE" and not request.get("object"):
        request = {**request, "object": value}
    complete = {**orjson.loads(build_request(ref, b"null")), **request}
    return Resource(ref, orjson.dumps(value), resource.origin), orjson.dumps(complete)
