"""Templates and constraints of OPA Gatekeeper, evaluated on the resources of a repository."""

from __future__ import annotations

import pytest

from tests.conftest import Repository, judge

TEMPLATE = """\
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata:
  name: teamlabel
  annotations: {description: "Everything belongs to a team. Really."}
spec:
  crd:
    spec:
      names: {kind: TeamLabel}
      validation:
        openAPIV3Schema: {type: object, properties: {teams: {type: array, items: {type: string}}}}
  targets:
  - target: admission.k8s.gatekeeper.sh
    rego: |
      package teamlabel

      import data.lib.names.known

      violation[{"msg": msg}] {
        team := input.review.object.metadata.labels.team
        not known(team, input.parameters.teams)
        msg := sprintf("no team %v", [team])
      }
    libs:
    - |
      package lib.names

      known(name, names) {
        names[_] == name
      }
"""
CONSTRAINT = """\
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: TeamLabel
metadata: {name: teams}
spec:
  match:
    kinds: [{apiGroups: [""], kinds: [ConfigMap]}]
  parameters: {teams: [web]}
"""
OBJECT = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: a
  namespace: b
  labels:
    team: TEAM
"""
ALONE = """\
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: uniquevalue}
spec:
  crd: {spec: {names: {kind: UniqueValue}}}
  targets:
  - target: admission.k8s.gatekeeper.sh
    code:
    - engine: Rego
      source:
        version: v1
        rego: |
          package uniquevalue

          violation contains {"msg": msg} if {
            some namespace
            other := data.inventory.namespace[namespace][_].ConfigMap[_]
            other.data.host == input.review.object.data.host
            [other.metadata.namespace, other.metadata.name] != [input.review.namespace, input.review.name]
            msg := sprintf("%v is taken", [other.data.host])
          }
"""
CEL = """\
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: celname}
spec:
  crd: {spec: {names: {kind: CelName}}}
  targets:
  - target: admission.k8s.gatekeeper.sh
    code:
    - engine: K8sNativeValidation
      source:
        variables:
        - {name: wanted, expression: 'variables.params.prefix'}
        validations:
        - expression: 'variables.anyObject.metadata.name.startsWith(variables.wanted)'
          messageExpression: '"name must begin with " + variables.wanted'
"""


def test_a_finding_has_the_name_of_the_constraint_and_the_line_of_the_field(repository: Repository) -> None:
    root = repository({"t.yaml": TEMPLATE, "c.yaml": CONSTRAINT, "o.yaml": OBJECT.replace("TEAM", "wbe")})
    [finding] = judge(root).findings
    assert (finding.rule, finding.severity, finding.message) == ("TeamLabel/teams", "error", "no team wbe")
    assert (finding.location.file, finding.location.line, finding.hint) == ("o.yaml", 6, "Everything belongs to a team")


def test_an_allowed_resource_is_accepted(repository: Repository) -> None:
    root = repository({"t.yaml": TEMPLATE, "c.yaml": CONSTRAINT, "o.yaml": OBJECT.replace("TEAM", "web")})
    assert judge(root).decision == "accepted"


SCOPED = """  enforcementAction: scoped
  scopedEnforcementActions:
  - {action: warn, enforcementPoints: [{name: validation.gatekeeper.sh}]}
  - {action: deny, enforcementPoints: [{name: audit.gatekeeper.sh}]}
"""


@pytest.mark.parametrize(
    ("action", "severity"),
    [
        ("  enforcementAction: warn\n", "warning"),
        ("  enforcementAction: dryrun\n", "info"),
        ("  enforcementAction: deny\n", "error"),
        (SCOPED, "warning"),
    ],
)
def test_the_enforcement_action_sets_the_severity(repository: Repository, action: str, severity: str) -> None:
    root = repository({"t.yaml": TEMPLATE, "c.yaml": CONSTRAINT + action, "o.yaml": OBJECT.replace("TEAM", "x")})
    assert [finding.severity for finding in judge(root).findings] == [severity]


@pytest.mark.parametrize(
    ("template", "constraint", "reason"),
    [
        (TEMPLATE.replace("violation[", "deny["), CONSTRAINT, "no `violation` rule"),
        (TEMPLATE.replace("data.lib.names", "data.other.names"), CONSTRAINT, "reads `data.other`"),
        (TEMPLATE.replace("name: teamlabel", "name: other"), CONSTRAINT, "must be named `teamlabel`"),
        (TEMPLATE.replace("package lib.names", "package names"), CONSTRAINT, "must begin with `lib`"),
        (TEMPLATE.replace("not known(", "not known(("), CONSTRAINT, "does not compile"),
        (TEMPLATE.replace("admission.k8s", "other"), CONSTRAINT, "exactly one target"),
        (TEMPLATE, CONSTRAINT.replace("kinds: [{", "kind: [{"), "unknown field `kind` in `match`"),
        (TEMPLATE, CONSTRAINT + "  enforcementAction: forbid\n", "`enforcementAction` is 'forbid'"),
        ("", CONSTRAINT, "contains no ConstraintTemplate for TeamLabel"),
    ],
)
def test_a_malformed_template_or_constraint_is_a_fatal_gap(
    repository: Repository, template: str, constraint: str, reason: str
) -> None:
    root = repository({"t.yaml": template, "c.yaml": constraint, "o.yaml": OBJECT.replace("TEAM", "web")})
    verdict = judge(root)
    assert verdict.decision == "incomplete"
    assert any(reason in gap.reason and gap.is_fatal for gap in verdict.coverage.gaps), verdict.coverage.gaps


def test_parameters_are_validated_by_the_schema_of_the_template(repository: Repository) -> None:
    root = repository({"t.yaml": TEMPLATE, "c.yaml": CONSTRAINT.replace("teams: [web]", "team: [web]")})
    assert [(one.rule, one.location.line) for one in judge(root).findings] == [("schema/unknown-field", 7)]
