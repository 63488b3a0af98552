"""`check` finds what only the API server's own validation finds, once, and where it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gatekeeper.engines.schema import api_server
from gatekeeper.errors import ToolError
from gatekeeper.gate import pipeline
from gatekeeper.model import FieldPath, Finding, Gap, Verdict
from gatekeeper.upstream.client import UpstreamClient, get_program_version
from gatekeeper.upstream.worker import PROGRAM
from gatekeeper.workspace import config_loader
from tests.conftest import Repository, judge, needs

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: nginx:1.27
          ports: [{containerPort: 8080}]
          resources: {requests: {cpu: 100m}}
"""
CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: machines.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: machines, singular: machine, kind: Machine, listKind: MachineList}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            metadata: {type: object, properties: {name: {type: string, pattern: "^m-"}}}
            spec:
              type: object
              x-kubernetes-validations: [{rule: "self.count <= self.maximum"}]
              properties:
                count: {type: integer}
                maximum: {type: integer, default: 3}
                disks:
                  type: array
                  x-kubernetes-list-type: map
                  x-kubernetes-list-map-keys: [name]
                  items: {type: object, required: [name], properties: {name: {type: string}}}
"""
MACHINE = """\
apiVersion: example.com/v1
kind: Machine
metadata: {name: m-1}
spec:
  count: 2
  disks: [{name: a}, {name: b}]
"""


pytestmark = needs(PROGRAM)


def found(verdict: Verdict) -> list[Finding]:
    return [one for one in verdict.findings if one.rule.startswith("schema/")]


def test_valid_manifests_are_accepted(repository: Repository) -> None:
    verdict = judge(repository({"a.yaml": DEPLOYMENT, "crd.yaml": CRD, "m.yaml": MACHINE}))
    assert found(verdict) == []
    assert gaps(verdict) == []


def gaps(verdict: Verdict) -> list[Gap]:
    """What was not judged, without the file of the config."""
    return [gap for gap in verdict.coverage.gaps if gap.reason != "no Kubernetes resource"]


@pytest.mark.parametrize(
    ("old", "new", "field", "line"),
    [
        ("name: web\nspec", "name: Web_1\nspec", "metadata.name", 4),
        ("name: web\nspec", "name: web\n  labels: {ok: x, 'a b': c}\nspec", "metadata.labels.a b", 5),
        ("name: web\nspec", "name: web\n  labels: {ok: x, bad: -c}\nspec", "metadata.labels.bad", 5),
        ("name: web\nspec", "name: web\n  namespace: A_B\nspec", "metadata.namespace", 5),
        ("replicas: 2", "replicas: -2", "spec.replicas", 6),
        ("labels: {app: web}}\n    spec", "labels: {app: other}}\n    spec", "spec.template.metadata.labels", 9),
        ("- name: web", "- name: Web", "spec.template.spec.containers[0].name", 12),
        ("8080", "80800", "spec.template.spec.containers[0].ports[0].containerPort", 14),
        ("cpu: 100m", "cpu: 1GB", "spec.template.spec.containers[0].resources.requests.cpu", 15),
        ("cpu: 100m", "cpu: lots", "spec.template.spec.containers[0].resources.requests.cpu", 15),
        (
            "cpu: 100m}}",
            "cpu: 100m}}\n        - {name: web, image: x}",
            "spec.template.spec.containers[1].name",
            16,
        ),
        (
            "      containers",
            "      restartPolicy: Sometimes\n      containers",
            "spec.template.spec.restartPolicy",
            11,
        ),
    ],
)
def test_faults_that_no_schema_has(repository: Repository, old: str, new: str, field: str, line: int) -> None:
    assert old in DEPLOYMENT
    [one] = found(judge(repository({"a.yaml": DEPLOYMENT.replace(old, new)})))
    assert (one.rule, one.severity) == (api_server.RULE, "error")
    assert f"`{field}`" in one.message
    assert (one.location.file, one.location.line, one.location_precision) == ("a.yaml", line, "field")


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("replicas:", "replicsa:", "schema/unknown-field"),
        ("replicas: 2", "replicas: two", "schema/type"),
        ("  selector: {matchLabels: {app: web}}\n", "", "schema/required"),
    ],
)
def test_one_fault_is_one_finding(repository: Repository, old: str, new: str, rule: str) -> None:
    """The schema's finding is kept, with its hint."""
    findings = found(judge(repository({"a.yaml": DEPLOYMENT.replace(old, new)})))
    fields = [one.field_path for one in findings]
    assert len(fields) == len(set(fields))
    assert rule in {one.rule for one in findings}


@pytest.mark.parametrize(
    ("old", "new", "path", "line"),
    [
        ("name: m-1", "name: x-1", ("metadata", "name"), 3),
        ("name: b", "name: a", ("spec", "disks", 1), 6),
        ("count: 2", "count: 4", ("spec",), 4),
    ],
)
def test_faults_of_custom_resources(repository: Repository, old: str, new: str, path: FieldPath, line: int) -> None:
    """A schema on the name, keys of a list, and a rule that a default decides."""
    [one] = found(judge(repository({"crd.yaml": CRD, "m.yaml": MACHINE.replace(old, new)})))
    assert one.field_path == path
    assert (one.location.file, one.location.line) == ("m.yaml", line)


def test_a_definition_that_the_api_server_refuses(repository: Repository) -> None:
    broken = CRD.replace("count: {type: integer}", "count: {}")
    findings = found(judge(repository({"crd.yaml": broken, "m.yaml": MACHINE})))
    assert {one.location.file for one in findings} == {"crd.yaml"}
    [one] = [one for one in findings if one.rule == api_server.RULE]
    assert "properties.count.type" in one.message
    assert one.location.line == 21


def test_a_rule_of_exponential_cost_is_refused_with_its_definition(repository: Repository) -> None:
    rule = "self.disks.all(a, self.disks.all(b, self.disks.all(c, a.name + b.name != c.name)))"
    costly = CRD.replace('"self.count <= self.maximum"', f'"{rule}"')
    findings = found(judge(repository({"crd.yaml": costly})))
    assert any("cost" in one.message for one in findings), findings


def test_the_scope_is_that_of_the_kind(repository: Repository) -> None:
    role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: {}\nmetadata: {{name: a{}}}\nrules: []\n"
    documents = [role.format("ClusterRole", ", namespace: x"), role.format("Role", "")]
    assert found(judge(repository({"a.yaml": "---\n".join(documents)}))) == []


def test_a_field_that_only_the_schema_requires_is_not_required(repository: Repository) -> None:
    csi = "apiVersion: storage.k8s.io/v1\nkind: CSINode\nmetadata: {name: a}\nspec: {}\n"
    assert found(judge(repository({"a.yaml": csi}))) == []


def test_objects_that_an_api_server_validates_itself_are_left_to_it(repository: Repository) -> None:
    """The fields of a live object that only its API server may write would be refused."""
    root = repository({"a.yaml": DEPLOYMENT.replace("replicas: 2", "replicas: -2")})
    settings = config_loader.load(root, None)
    result = pipeline.check_and_render_repository(root, settings, 1)
    assert [one.rule for one in found(result.verdict)] == [api_server.RULE]
    policies = pipeline.RepositoryPolicies(result.tree, result.parsed_files, [], settings)
    live = pipeline.check_objects(policies, {"": result.rendered.resources}, pipeline.CheckOptions())
    assert found(live) == []


def test_a_headless_service_is_accepted(repository: Repository) -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIP: None, ports: [{port: 80}]}\n"
    assert found(judge(repository({"a.yaml": service}))) == []


def test_a_warning_is_a_warning(repository: Repository) -> None:
    text = DEPLOYMENT.replace("ports: [{", "env: [{name: A, value: a}, {name: A, value: b}]\n          ports: [{")
    [one] = found(judge(repository({"a.yaml": text})))
    assert (one.rule, one.severity, one.location.line) == (api_server.WARNING_RULE, "warning", 14)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("replicas: 2", "replicas: ${REPLICAS}"),
        ("name: web\nspec", "name: ${NAME}\nspec"),
        ("cpu: 100m", "cpu: '${CPU}'"),
        ("8080", "'${PORT}'"),
    ],
)
def test_a_value_that_is_not_known_is_no_fault(repository: Repository, old: str, new: str) -> None:
    """And the other values are still validated."""
    text = DEPLOYMENT.replace(old, new)
    assert found(judge(repository({"a.yaml": text}))) == []
    assert len(found(judge(repository({"b.yaml": text.replace("- name: web", "- name: Web")})))) == 1


def test_a_field_derived_from_a_value_that_is_not_known_is_no_fault(repository: Repository) -> None:
    job = (
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: 'a-${{values.name}}'}\nspec:\n  template:\n"
        "    spec: {restartPolicy: Never, containers: [{name: a, image: b}]}\n"
    )
    assert found(judge(repository({"a.yaml": job}))) == []


def test_values_of_secrets_are_not_shown(repository: Repository) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: hunter2}\n"
    findings = found(judge(repository({"a.yaml": secret})))
    assert [one.rule for one in findings] == [api_server.RULE]
    assert "hunter2" not in repr(findings)


@pytest.fixture
def without_program(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A client whose program is not installed."""

    def find() -> Path:
        raise ToolError("gatekeeper-upstream is not installed")

    client = UpstreamClient(find, get_program_version())
    monkeypatch.setattr("gatekeeper.upstream.client.open_client", lambda kubernetes: client)
    yield
    client.close()


@pytest.mark.usefixtures("without_program")
def test_without_the_program_the_schemas_judge_and_the_run_is_incomplete(repository: Repository) -> None:
    text = DEPLOYMENT.replace("replicas: 2", "replicas: two").replace("8080", "80800")
    verdict = judge(repository({"a.yaml": text}))
    assert [one.rule for one in found(verdict)] == ["schema/type"]
    [gap] = gaps(verdict)
    assert gap.is_fatal and verdict.exit_code == 3
    assert "was not checked: gatekeeper-upstream is not installed" in gap.reason
