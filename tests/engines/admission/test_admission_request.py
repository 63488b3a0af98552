"""Admission requests of resources, and parsed AdmissionReviews."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gatekeeper.engines.admission import admission_request
from gatekeeper.errors import PolicyError
from tests.engines.resources import build_resource

DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "prod"}}


def build_review(request: Any) -> dict[str, Any]:
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def test_a_request_creates_the_resource() -> None:
    resource = build_resource(DEPLOYMENT)
    request = orjson.loads(admission_request.build_request(resource.ref, resource.json))
    assert request["kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert (request["operation"], request["name"], request["namespace"]) == ("CREATE", "web", "prod")
    assert request["object"] == DEPLOYMENT and request["oldObject"] is None


def test_the_object_of_a_deletion_is_the_deleted_one() -> None:
    review = build_review({"operation": "DELETE", "oldObject": DEPLOYMENT})
    parsed, json = admission_request.parse_review(review, build_resource(DEPLOYMENT))
    request = orjson.loads(json)
    assert str(parsed.ref) == "Deployment prod/web"
    assert request["object"] == request["oldObject"] == DEPLOYMENT and request["operation"] == "DELETE"


@pytest.mark.parametrize(
    ("request_value", "reason"),
    [(None, "no `request`"), ({}, "no `object`"), ({"object": {"kind": "Pod"}}, "no `object`")],
)
def test_a_malformed_review_is_refused(request_value: Any, reason: str) -> None:
    with pytest.raises(PolicyError, match=reason):
        admission_request.parse_review(build_review(request_value), build_resource(DEPLOYMENT))
