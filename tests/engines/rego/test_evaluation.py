"""Both Rego engines through the same calls: conftest's rules, both versions, data, paths, lines without paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.config import Config
from gatekeeper.engines.rego import evaluation as rego
from gatekeeper.engines.rego import loader, query_plan
from gatekeeper.engines.rego.model import PolicySet
from gatekeeper.errors import PolicyError
from gatekeeper.model import Finding, Resource, format_path
from gatekeeper.render import manifests
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile
from tests.conftest import needs

ENGINES = [pytest.param("embedded"), pytest.param("opa", marks=needs("opa"))]
DEPLOYMENT = b"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
  template:
    spec:
      containers:
      - name: a
        image: a:1
      - name: b
        image: b:latest
"""


def resources(text: bytes = DEPLOYMENT) -> list[Resource]:
    return list(manifests.list_resources(ParsedFile("a.yaml", "documents", tuple(documents.parse(text)[0]))))


def ask(
    tmp_path: Path, engine: str, files: dict[str, str], text: bytes = DEPLOYMENT, timeout: float = 2
) -> tuple[list[Finding], list[str]]:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    data = [name for name in files if not name.endswith(".rego")]
    own = loader.load_policies(tmp_path, ["."], data)
    config = Config(engine=engine, library="off", policy_timeout=timeout)
    plan = query_plan.build_plan(config, own)
    started = rego.start_engine(config, plan, 2)
    try:
        findings, gaps = rego.evaluate_resources(resources(text), plan, started)
    finally:
        started.close()
    return findings, [gap.reason for gap in gaps]


@pytest.mark.parametrize("engine", ENGINES)
def test_conftest_rules_of_both_versions_run_as_they_are(tmp_path: Path, engine: str) -> None:
    old = 'package main\n\ndeny[msg] {\n  input.kind == "Deployment"\n  msg = "old"\n}\n\n'
    old += 'warn_x[msg] { msg = "careful" }\n'
    new = 'package team.rules\n\nviolation contains {"msg": "new", "details": {}} if input.kind == "Deployment"\n'
    findings, gaps = ask(tmp_path, engine, {"old.rego": old, "new.rego": new})
    assert not gaps
    assert {(found.rule, found.severity, found.message) for found in findings} == {
        ("main/deny", "error", "old"),
        ("main/warn_x", "warning", "careful"),
        ("team.rules/violation", "error", "new"),
    }


EXCEPTION = """package main
import rego.v1

deny contains "plain" if input.kind == "Deployment"
deny_root contains "root" if input.kind == "Deployment"
violation_root contains {"msg": "root too"} if input.kind == "Deployment"
warn_other contains "other" if input.kind == "Deployment"

exception contains rules if {
	input.metadata.name == "web"
	rules := NAMES
}
"""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("names", "left"),
    [
        ('["root"]', {"plain", "other"}),
        ('[""]', {"root", "root too", "other"}),
        ('["other", "nothing"]', {"plain", "root", "root too"}),
    ],
)
def test_conftest_exceptions_apply_and_are_reported(tmp_path: Path, engine: str, names: str, left: set[str]) -> None:
    findings, gaps = ask(tmp_path, engine, {"a.rego": EXCEPTION.replace("NAMES", names)})
    assert {found.message for found in findings} == left
    assert len(gaps) == 4 - len(left)
    assert all("makes an exception for Deployment web" in gap for gap in gaps)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_exception_holds_for_its_own_package_and_resource_only(tmp_path: Path, engine: str) -> None:
    other = EXCEPTION.replace("package main", "package other").replace('"web"', '"shop"').replace("NAMES", '["root"]')
    files = {"a.rego": EXCEPTION.replace("NAMES", '["root", "", "other"]'), "b.rego": other}
    findings, _ = ask(tmp_path, engine, files)
    assert {found.rule for found in findings} == {
        "other/deny",
        "other/deny_root",
        "other/violation_root",
        "other/warn_other",
    }


def test_config_names_the_rule_packages(tmp_path: Path) -> None:
    own = PolicySet(
        tuple(loader.parse_module(f"package {name}\ndeny[1] {{ true }}\n", f"{name}.rego") for name in "ab"), {}
    )
    assert list(query_plan.build_plan(Config(library="off", namespaces=("b",)), own).rules) == ["data.b.deny"]


@pytest.mark.parametrize("engine", ENGINES)
def test_data_reaches_the_rules(tmp_path: Path, engine: str) -> None:
    rule = "package main\nimport rego.v1\n\ndeny contains msg if {\n  some word in data.words\n  msg := word\n}\n"
    findings, _ = ask(tmp_path, engine, {"a.rego": rule, "data.json": '{"words": ["x", "y"]}'})
    assert sorted(found.message for found in findings) == ["x", "y"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("body", "field", "line", "placed"),
    [
        pytest.param(
            'some c in input.spec.template.spec.containers\n  endswith(c.image, ":latest")\n  msg := "x"',
            "spec.template.spec.containers[1].image",
            13,
            "traced",
            id="a value",
        ),
        pytest.param(
            'some c in input.spec.template.spec.containers\n  not c.resources\n  c.name == "b"\n  msg := "x"',
            "spec.template.spec.containers[1].name",
            12,
            "traced",
            id="an item that lacks a field",
        ),
        pytest.param(
            'not input.spec.template.spec.securityContext.runAsNonRoot\n  msg := "x"',
            "spec.template.spec.securityContext.runAsNonRoot",
            8,
            "traced",
            id="a field that is missing",
        ),
        pytest.param('input.kind == "Deployment"\n  msg := "x"', None, 1, "resource", id="the whole resource"),
        pytest.param(
            'msg := {"msg": "x", "field": ["spec", "replicas"]}', "spec.replicas", 6, "field", id="a path as a list"
        ),
        pytest.param('msg := {"msg": "x", "path": "spec.replicas"}', "spec.replicas", 6, "field", id="a path as text"),
    ],
)
def test_every_finding_gets_a_line(
    tmp_path: Path, engine: str, body: str, field: str | None, line: int, placed: str
) -> None:
    rule = f"package main\nimport rego.v1\n\ndeny contains msg if {{\n  {body}\n}}\n"
    [finding], _ = ask(tmp_path, engine, {"a.rego": rule})
    assert (format_path(finding.field_path) or None, finding.location.line, finding.location_precision) == (
        field,
        line,
        placed,
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "text",
    ["package a\n\ndeny contains x if {\n", "package a\nimport rego.v1\ndeny contains x if nothing(x)\n"],
    ids=["syntax", "unknown function"],
)
def test_a_policy_that_does_not_compile_names_its_file(tmp_path: Path, engine: str, text: str) -> None:
    with pytest.raises(PolicyError, match=r"bad\.rego"):
        _, gaps = ask(tmp_path, engine, {"bad.rego": text})
        raise PolicyError(" ".join(gaps))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("builtin", ['http.send({"url": "http://127.0.0.1:9", "method": "get"})', "opa.runtime()"])
def test_policies_cannot_reach_out(tmp_path: Path, engine: str, builtin: str) -> None:
    text = f"package a\nimport rego.v1\ndeny contains x if {{\n  x := {builtin}\n}}\n"
    with pytest.raises(PolicyError):
        _, gaps = ask(tmp_path, engine, {"reach.rego": text})
        raise PolicyError(" ".join(gaps)) if gaps else AssertionError("the policy reached out")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_rule_that_fails_on_one_resource_is_reported_and_the_others_are_checked(tmp_path: Path, engine: str) -> None:
    rule = """package a
import rego.v1
level := "a" if input.metadata.name == "web"
level := "b" if input.spec.replicas == 1
deny contains "said" if level
"""
    text = DEPLOYMENT + b"---\n" + DEPLOYMENT.replace(b"name: web", b"name: other")
    findings, gaps = ask(tmp_path, engine, {"a.rego": rule}, text)
    assert [(found.message, str(found.resource_ref)) for found in findings] == [("said", "Deployment other")]
    [gap] = gaps
    assert "rule a/deny could not be evaluated on Deployment web" in gap


@pytest.mark.parametrize("engine", ENGINES)
def test_a_rule_that_takes_too_long_is_stopped_and_the_others_are_checked(tmp_path: Path, engine: str) -> None:
    slow = """package slow
import rego.v1
deny contains "never" if {
	input.metadata.name == "web"
	some a in numbers.range(1, 3000)
	some b in numbers.range(1, 3000)
	some c in numbers.range(1, 3000)
	a * b * c == -1
}
"""
    quick = 'package quick\nimport rego.v1\ndeny contains "quick" if input.kind\n'
    text = DEPLOYMENT + b"---\n" + DEPLOYMENT.replace(b"name: web", b"name: other")
    findings, gaps = ask(tmp_path, engine, {"slow.rego": slow, "quick.rego": quick}, text, timeout=0.3)
    assert [str(found.resource_ref) for found in findings] == ["Deployment web", "Deployment other"]
    [gap] = gaps
    assert "policies.timeout" in gap


def test_a_rule_with_endless_messages_is_located_at_the_resource(tmp_path: Path) -> None:
    """Each message would be traced on its own; a common number of them is."""
    for count, precision in ((20, "traced"), (20_000, "resource")):
        body = f'deny contains sprintf("%d %d", [input.spec.replicas, i]) if some i in numbers.range(1, {count})'
        findings, gaps = ask(tmp_path, "embedded", {"a.rego": f"package a\n\nimport rego.v1\n\n{body}\n"})
        assert (len(findings), gaps) == (count, [])
        assert {finding.location_precision for finding in findings} == {precision}
