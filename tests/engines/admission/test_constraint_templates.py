"""ConstraintTemplates: what is parsed, and each malformed one is refused."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gatekeeper.engines.admission import constraint_templates
from gatekeeper.engines.admission.model import ConstraintTemplate
from gatekeeper.errors import PolicyError
from tests.engines.admission.test_constraints import CEL, TEMPLATE
from tests.engines.resources import build_resource, parse_resources

REGO = 'package t\nviolation[{"msg": "no"}] { input.review }\n'


def parse(target: dict[str, Any], kind: Any = "Team", name: str = "team") -> ConstraintTemplate:
    value = {
        "apiVersion": "templates.gatekeeper.sh/v1",
        "kind": "ConstraintTemplate",
        "metadata": {"name": name},
        "spec": {"crd": {"spec": {"names": {"kind": kind}}}, "targets": [target]},
    }
    return constraint_templates.parse_template(build_resource(value))


def admit(**fields: Any) -> dict[str, Any]:
    return {"target": "admission.k8s.gatekeeper.sh", **fields}


def test_packages_of_a_template_are_below_its_kind() -> None:
    [resource] = parse_resources(TEMPLATE)
    main, library = constraint_templates.parse_template(resource).modules
    assert main.package == "constraint_templates.TeamLabel.main"
    assert library.package == "constraint_templates.TeamLabel.lib.names"
    assert "data.constraint_templates.TeamLabel.lib.names" in main.text


def test_rego_is_preferred_to_cel_and_the_version_of_rego_counts() -> None:
    code = [
        {"engine": "K8sNativeValidation", "source": {"validations": []}},
        {
            "engine": "Rego",
            "source": {
                "version": "v1",
                "rego": REGO.replace("violation[", "violation contains ").replace("}] {", "} if {"),
            },
        },
    ]
    template = parse(admit(code=code))
    assert template.cel_source is None and template.modules[0].is_v0 is False
    assert parse(admit(rego=REGO, code=code)).modules[0].is_v0 is True
    [resource] = parse_resources(CEL)
    assert constraint_templates.parse_template(resource).cel_source is not None


@pytest.mark.parametrize("kind", ["", "Team-Label", None, 7, ["Team"]])
def test_a_template_without_a_kind_of_constraints_is_refused(kind: Any) -> None:
    with pytest.raises(PolicyError, match="needs the kind of its constraints"):
        parse(admit(rego=REGO), kind)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (admit(), "has no Rego and no K8sNativeValidation"),
        (admit(code=[{"engine": "Other"}]), ", but Other"),
        (admit(rego="violation[x] { x := 1 }"), "no `package` line"),
        (admit(rego="package t\nallow { true }"), "no `violation` rule"),
        (admit(rego=REGO + 'x { data["secrets"].y }'), "reads `data.secrets`"),
        (admit(rego=REGO + "x { data[y] }"), r"reads `data.\[...\]`"),
        (admit(rego=REGO, libs=["package other\n"]), "must begin with `lib`"),
        (admit(rego=REGO, libs=["x := 1\n"]), "no `package` line"),
        (admit(rego=REGO, libs=[7]), "libs"),
        ({"target": "other", "rego": REGO}, "exactly one target"),
    ],
)
def test_a_malformed_template_is_refused(target: dict[str, Any], reason: str) -> None:
    with pytest.raises(PolicyError, match=reason):
        parse(target)


def test_the_word_data_in_a_text_is_no_reference() -> None:
    assert parse(admit(rego=REGO + '# data.other\nx { y := "data.other"; mydata.other }')).modules


def test_only_constraint_templates_are_templates() -> None:
    value = orjson.loads(parse_resources(TEMPLATE)[0].json)
    assert constraint_templates.is_template(build_resource(value))
    assert not constraint_templates.is_template(build_resource({**value, "apiVersion": "example.com/v1"}))
