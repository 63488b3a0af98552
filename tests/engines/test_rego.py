"""Both Rego engines through the same calls: conftest's rules, both versions, data, paths, lines without paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper import documents
from gatekeeper.config import Config
from gatekeeper.engines import policies, rego
from gatekeeper.engines.opa import Opa
from gatekeeper.errors import PolicyError
from gatekeeper.model import Finding, Resource, dotted
from gatekeeper.render import plain
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
    return list(plain.resources(documents.Source("a.yaml", "documents", tuple(documents.parse(text)[0]))))


def ask(
    tmp_path: Path, engine: str, files: dict[str, str], text: bytes = DEPLOYMENT
) -> tuple[list[Finding], list[str]]:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    data = [name for name in files if not name.endswith(".rego")]
    own = policies.load(tmp_path, ["."], data)
    config = Config(engine=engine, library="off", policy_timeout=2)
    plan = rego.plan(config, own)
    started = rego.start(config, plan, 2)
    try:
        findings, gaps = rego.judge(resources(text), plan, started)
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
            "spec.template.spec.containers[1].image", 13, "traced", id="a value",
        ),
        pytest.param(
            'some c in input.spec.template.spec.containers\n  not c.resources\n  c.name == "b"\n  msg := "x"',
            "spec.template.spec.containers[1].name", 12, "traced", id="an item that lacks a field",
        ),
        pytest.param(
            'not input.spec.template.spec.securityContext.runAsNonRoot\n  msg := "x"',
            "spec.template.spec", 8, "traced", id="a field that is missing",
        ),
        pytest.param('input.kind == "Deployment"\n  msg := "x"', None, 1, "resource", id="the whole resource"),
        pytest.param(
            'msg := {"msg": "x", "field": ["spec", "replicas"]}', "spec.replicas", 6, "field", id="a path as a list"
        ),
        pytest.param('msg := {"msg": "x", "path": "spec.replicas"}', "spec.replicas", 6, "field", id="a path as text"),
    ],
)  # fmt: skip
def test_every_finding_gets_a_line(
    tmp_path: Path, engine: str, body: str, field: str | None, line: int, placed: str
) -> None:
    rule = f"package main\nimport rego.v1\n\ndeny contains msg if {{\n  {body}\n}}\n"
    [finding], _ = ask(tmp_path, engine, {"a.rego": rule})
    assert (dotted(finding.path) or None, finding.place.line, finding.placed) == (field, line, placed)


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


@needs("opa")
def test_a_killed_opa_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.rego").write_text('package a\nimport rego.v1\ndeny contains "x" if input\n')
    plan = rego.plan(Config(library="off"), policies.load(tmp_path, ["."]))
    engine = Opa(plan.policies, 2)
    assert engine._process
    engine._process.kill()
    engine._process.wait()
    with pytest.raises(PolicyError, match="OPA ended"):
        rego.judge(resources(), plan, engine)
    engine.close()
