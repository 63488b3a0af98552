"""Terraform: conftest's shape, lines of blocks and attributes, rules of the library and of the repository's own."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.errors import ToolError
from gatekeeper.host import toolchain
from gatekeeper.host.process import run_command
from gatekeeper.model import Location
from gatekeeper.render import terraform
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import Tree
from tests.conftest import Repository, command, judge, verdict_of

# What conftest itself makes of a file with everything in it; the file's first line says how it was made.
VECTOR = orjson.loads((Path(__file__).parent.parent / "vectors" / "terraform.json").read_bytes())
OPEN = 'resource "aws_security_group" "db" {\n  ingress {\n    from_port   = 22\n    to_port     = 22\n    cidr_blocks = ["0.0.0.0/0"]\n  }\n}\n'


def value(folder: Path, text: str, name: str = "main.tf") -> Any:
    (folder / name).write_text(text)
    tree = Tree(folder, [name])
    found = terraform.parse_files(tree, documents.parse_tree(tree, 1)[0])
    assert found.gaps == [] and found.findings == []
    return found.resources[0].value


def test_policies_see_what_they_see_in_conftest(tmp_path: Path) -> None:
    assert value(tmp_path, VECTOR["hcl"]) == VECTOR["input"]


@pytest.mark.skipif(
    not toolchain.get_built_path(toolchain.TOOLS["conftest"]).is_file(), reason="conftest is built for benchmarks only"
)
def test_the_vector_is_what_conftest_says(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(VECTOR["hcl"])
    code, out, words = run_command([toolchain.DEFAULT_TOOLCHAIN.find("conftest"), "parse", tmp_path / "main.tf"], 30)
    assert code == 0, words
    theirs = orjson.loads(out)
    assert theirs.get(str(tmp_path / "main.tf"), theirs) == VECTOR["input"]


def test_the_json_form_has_the_same_shape(tmp_path: Path) -> None:
    held = {"resource": {"aws_instance": {"a": {"ami": "x"}}}, "variable": {"n": {"default": 3}}, "locals": {"a": 1}}
    hcl = 'resource "aws_instance" "a" {\n  ami = "x"\n}\nvariable "n" {\n  default = 3\n}\nlocals {\n  a = 1\n}\n'
    assert value(tmp_path, orjson.dumps(held).decode(), "main.tf.json") == value(tmp_path, hcl)


@pytest.mark.parametrize("name", ["null", "true", "false", "in", "if", "endif", "each"])
def test_a_keyword_can_be_the_name_of_an_attribute(tmp_path: Path, name: str) -> None:
    text = f"terraform {{\n  required_providers {{\n    {name} = {{ {name} = 1, x = null }}\n  }}\n}}\n"
    providers = value(tmp_path, text)["terraform"][0]["required_providers"]
    assert providers == [{name: {name: 1, "x": None}}]


def test_for_can_be_the_name_of_an_attribute_but_not_the_first_key_of_an_object(tmp_path: Path) -> None:
    """HashiCorp's parser takes an object that begins with `for` as an expression."""
    assert value(tmp_path, "a {\n  for = { x = 1, for = 2 }\n}\n") == {"a": [{"for": {"x": 1, "for": 2}}]}
    (tmp_path / "main.tf").write_text("a = { for = 1 }\n")
    [finding] = terraform.parse_files(Tree(tmp_path, ["main.tf"]), []).findings
    assert "Invalid 'for' expression" in finding.message and finding.location.line == 1


def test_a_rule_of_the_library_names_the_line(repository: Repository) -> None:
    root = repository({"gatekeeper.yaml": "", "net/main.tf": OPEN})
    code, verdict = verdict_of(root)
    [finding] = verdict["findings"]
    assert code == 1
    assert (finding["rule"], finding["file"], finding["line"]) == ("terraform/open-port", "net/main.tf", 2)
    assert verdict["coverage"]["resources"] == 1


def test_a_plan_is_checked_by_the_same_rules(repository: Repository) -> None:
    resource = {
        "address": "module.m.aws_db_instance.db",
        "mode": "managed",
        "type": "aws_db_instance",
        "name": "db",
        "values": {"storage_encrypted": False},
    }
    plan = {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"child_modules": [{"resources": [resource]}]}},
    }
    text = orjson.dumps(plan, option=orjson.OPT_INDENT_2)
    found = judge(repository({"gatekeeper.yaml": "", "plan.json": text})).findings
    line = 1 + text.decode().splitlines().index('                "storage_encrypted": false')
    assert [(one.rule, one.location.line) for one in found] == [("terraform/unencrypted-store", line)]


def test_policies_of_the_repository_are_for_terraform_by_their_package(repository: Repository) -> None:
    policy = 'package NAME\nimport rego.v1\ndeny contains "no module" if not input.module\n'
    files: dict[str, str | bytes] = {
        "gatekeeper.yaml": "library: {profile: 'off'}\npolicies: {paths: [policy]}\n",
        "policy/a.rego": policy.replace("NAME", "terraform.modules"),
        "policy/b.rego": policy.replace("NAME", "main"),
        "main.tf": 'variable "x" {\n  default = 1\n}\n',
        "pod.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n",
    }
    found = judge(repository(files)).findings
    assert {(one.rule, one.location.file) for one in found} == {
        ("terraform.modules/deny", "main.tf"),
        ("main/deny", "pod.yaml"),
    }


def test_json_schema_policies_are_for_terraform_by_its_kind(repository: Repository) -> None:
    schema = '{"x-gatekeeper": {"kinds": ["Terraform"]}, "properties": {"variable": {"additionalProperties": {"items": {"required": ["description"]}}}}}'
    files: dict[str, str | bytes] = {
        "gatekeeper.yaml": "library: {profile: 'off'}\npolicies: {paths: [policy]}\n",
        "policy/described.schema.json": schema,
        "main.tf": 'locals {\n  a = 1\n}\n\nvariable "x" {\n  default = 1\n}\n',
    }
    [finding] = judge(repository(files)).findings
    assert (finding.rule, finding.location.file, finding.location.line) == ("schemas/described", "main.tf", 5)


def test_a_waiver_in_the_file_counts(repository: Repository) -> None:
    waiver = '# gatekeeper:waive rule=terraform/open-port expires=2027-02-01 reason="a honeypot"\n'
    root = repository({"gatekeeper.yaml": "", "main.tf": OPEN.replace("  ingress {", f"  {waiver}  ingress {{")})
    verdict = judge(root)
    assert verdict.decision == "accepted" and [bool(one.waiver) for one in verdict.findings] == [True]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('resource "a" "b" {\n  x = \n}\n', 2),
        ("resource {{\n", 1),
        ('x = "hunter2-Zk9vQ1x7Lm3\n', 1),
        ("a = " + "[" * 600 + "]" * 600 + "\n", None),
    ],
)
def test_invalid_hcl_is_reported_with_its_location_and_without_content(
    repository: Repository, text: str, line: int | None
) -> None:
    root = repository({"gatekeeper.yaml": "library: {profile: 'off'}\n", "main.tf": text})
    code, out, err = command("check", "--format", "json", root)
    [finding] = [one for one in orjson.loads(out)["findings"] if one["rule"] == "terraform/syntax"]
    assert (code, finding["line"], err) == (3, line, "")
    assert "hunter2" not in out


@settings(max_examples=40, deadline=None)
@given(st.text('ab{}[]()"=$ \n#', max_size=40))
def test_any_text_is_parsed_or_reported(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("hcl")
    (folder / "a.tf").write_text(text)
    found = terraform.parse_files(Tree(folder, ["a.tf"]), [])
    assert len(found.resources) + len(found.gaps) == 1


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_or_reported(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("hcl")
    (folder / "a.tfvars").write_bytes(content)
    found = terraform.parse_files(Tree(folder, ["a.tfvars"]), [])
    assert len(found.resources) + len(found.gaps) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("prod.auto.tfvars", 'size = 3\nnames = ["a"]\n'),
        ("terraform.tfvars.json", '{"size": 3, "names": ["a"]}'),
    ],
)
def test_values_of_variables_are_judged_by_the_rules_for_terraform(
    repository: Repository, tmp_path: Path, name: str, text: str
) -> None:
    assert value(tmp_path, text, name) == {"size": 3, "names": ["a"]}
    policy = (
        'package terraform.size\nimport rego.v1\ndeny contains {"msg": "large", "field": ["size"]} if input.size > 2\n'
    )
    files: dict[str, str | bytes] = {
        "gatekeeper.yaml": "policies: {paths: [policy]}\n",
        "policy/a.rego": policy,
        name: text,
    }
    [finding] = [one for one in judge(repository(files)).findings if one.rule == "terraform.size/deny"]
    assert (finding.location.file, finding.location.line) == (name, 1)


def test_bom_and_carriage_returns_change_no_place(tmp_path: Path) -> None:
    (tmp_path / "a.tf").write_bytes(b'\xef\xbb\xbf# \xc3\xa9\r\nx "\xc3\xa9" {\r\n  /* \xc3\xa9 */ y = 1\r\n}\r\n')
    [resource] = terraform.parse_files(Tree(tmp_path, ["a.tf"]), []).resources
    assert resource.value == {"x": {"é": [{"y": 1}]}}
    assert resource.origin.find_location(("x", "é", 0, "y")) == Location("a.tf", 3, 11)


@pytest.mark.parametrize("content", [b'x = "\xff"\n', b"x = \0\n", 'x = "1"\n'.encode("utf-16")])
def test_what_is_no_text_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tf").write_bytes(content)
    found = terraform.parse_files(Tree(tmp_path, ["a.tf"]), [])
    assert found.resources == [] and found.gaps[0].is_fatal and found.findings[0].location.line == 1


def test_json_that_only_yaml_accepts_is_reported(repository: Repository) -> None:
    root = repository({"gatekeeper.yaml": "", "a.tf.json": '{"variable": {"x": {"default": 1},\n}}\n'})
    code, verdict = verdict_of(root)
    assert code == 3 and [one["rule"] for one in verdict["findings"]] == ["terraform/syntax"]
    assert "Trailing comma" in verdict["findings"][0]["message"]


def test_without_the_program_there_is_one_gap_and_only_where_there_is_terraform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find() -> Path:
        raise ToolError("gatekeeper-upstream is missing; run `gatekeeper tools install gatekeeper-upstream`")

    missing = UpstreamClient(find, "1")
    monkeypatch.setattr(terraform, "open_client", lambda kubernetes: missing)
    for name in ("a.tf", "b.tf", "c.tfvars"):
        (tmp_path / name).write_text("x = 1\n")
    found = terraform.parse_files(Tree(tmp_path, ["a.tf", "b.tf", "c.tfvars"]), [])
    [gap] = found.gaps
    assert gap.is_fatal and "and 2 other Terraform files" in gap.reason and "tools install" in gap.reason
    assert found.resources == [] and terraform.parse_files(Tree(tmp_path, ["pod.yaml"]), []) == ([], [], [])


# Parts of files from which the seeded files of the comparison are made.
EXPRESSIONS = (
    '"a"', "-1.5", "1e3", "null", "true", "var.x", "!var.x", "(1)", '"%%{a} $${b} ${c}"', '"${d.e}"', "[1, var.x]",
    '{ null = 1, "a.b" = 2, (var.k) = 3 }', "[for x in y : x]", 'var.x ? "a" : "b"', '"%{ if a }b%{ else }c%{ endif }"',
    '"%{ for k, v in m ~} ${k} %{ endfor }"', "<<EOT\none ${a}\n  two\nEOT", "<<-EOT\n    a\n      b\n    EOT", '"\\u00e9\\t\\"é"',
    'join(",", ["a",\n "b"]) # c', "aws_x.y[0].z[*]", '"${true}"', "{}", "[]",
)  # fmt: skip


def write_body(random: Random, depth: int) -> str:
    lines = [f"a{number} = {random.choice(EXPRESSIONS)}" for number in range(random.randrange(4))]
    for number in range(random.randrange(3) if depth else 0):
        labels = "".join(f' "l{random.randrange(2)}"' for _ in range(number))
        lines += [f"b{number}{labels} {{\n{write_body(random, depth - 1)}}}" for _ in range(random.randrange(1, 3))]
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.skipif(
    not toolchain.get_built_path(toolchain.TOOLS["conftest"]).is_file(), reason="conftest is built for benchmarks only"
)
def test_seeded_files_have_the_values_of_conftest(tmp_path: Path) -> None:
    names = [f"{number}.tf" for number in range(300)]
    for number, name in enumerate(names):
        (tmp_path / name).write_text(f"first = {number}\n{write_body(Random(number), 3)}")
    program = toolchain.DEFAULT_TOOLCHAIN.find("conftest")
    code, out, words = run_command([program, "parse", *names], 120, tmp_path)
    assert code == 0, words
    theirs = orjson.loads(out)
    found = terraform.parse_files(Tree(tmp_path, names), [])
    assert {one.origin.file: one.value for one in found.resources} == theirs and len(theirs) == len(names)
