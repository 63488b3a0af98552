"""The parsed form of templates and constraints: their names in findings, and what their Rego reads."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gatekeeper.engines.admission import constraint_templates, constraints
from gatekeeper.engines.admission.model import ConstraintTemplate
from gatekeeper.model import Resource
from gatekeeper.render.appliers import build_cluster_resource

REGO = 'package team\nviolation[{"msg": "no"}] { %s }\n'


def resource(api_version: str, kind: str, name: str, spec: dict[str, Any]) -> Resource:
    return build_cluster_resource({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec})


def template(body: str) -> ConstraintTemplate:
    return constraint_templates.parse_template(
        resource(
            "templates.gatekeeper.sh/v1",
            "ConstraintTemplate",
            "teamlabel",
            {
                "crd": {"spec": {"names": {"kind": "TeamLabel"}}},
                "targets": [{"target": "admission.k8s.gatekeeper.sh", "rego": REGO % body}],
            },
        )
    )


@pytest.mark.parametrize(("body", "expected"), [("data.inventory.cluster", True), ("input.review", False)])
def test_a_template_needs_the_inventory_where_its_rego_reads_it(body: str, expected: bool) -> None:
    assert template(body).is_inventory_needed is expected


def test_a_template_is_queried_below_its_kind() -> None:
    assert template("true").query == f"data.{template('true').modules[0].package}.violation"
    assert template("true").query.startswith(f"data.{constraint_templates.PACKAGE_ROOT}.")


def test_the_findings_of_a_constraint_have_the_kind_and_its_name() -> None:
    parsed = template("true")
    constraint = constraints.parse_constraint(
        resource("constraints.gatekeeper.sh/v1beta1", "TeamLabel", "all", {"parameters": {"a": 1}}),
        {"TeamLabel": parsed},
    )
    assert constraint is not None
    assert (constraint.rule_name, constraint.template) == ("TeamLabel/all", parsed)
    assert orjson.loads(constraint.parameters) == {"a": 1}
