"""JSON Schema policies of a repository's own: which resources they apply to, every draft, and files that cannot be used."""

from __future__ import annotations

import pytest

from gatekeeper.model import Finding
from tests.conftest import Repository, command, judge

CONFIG = "library: {profile: 'off'}\npolicies: {paths: [policy]}\n"
RESOURCE = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: a
  labels: {tier: web}
data: {size: "7"}
"""
OWNER = """\
$schema: https://json-schema.org/draft/2020-12/schema
title: has no owner
SELECTION
properties:
  metadata:
    properties:
      labels: {required: [owner]}
"""


def found(repository: Repository, schema: str, name: str = "owner.schema.yaml", more: str = "{}") -> list[Finding]:
    files: dict[str, str | bytes] = {
        "gatekeeper.yaml": CONFIG,
        f"policy/{name}": schema,
        "policy/more.schema.json": more,
        "apps/a.yaml": RESOURCE,
    }
    verdict = judge(repository(files))
    assert verdict.exit_code != 3, verdict.coverage.gaps
    return list(verdict.findings)


def owner(selection: str = "") -> str:
    return OWNER.replace("SELECTION", selection and f"x-gatekeeper: {{{selection}}}")


def test_a_fault_has_its_line_its_words_and_the_policys_title(repository: Repository) -> None:
    [finding] = found(repository, owner("remedy: write the team"))
    assert (finding.rule, finding.severity, finding.hint) == ("schemas/owner", "error", "write the team")
    assert finding.message == "has no owner: required field `metadata.labels.owner` is missing"
    assert finding.location == ("apps/a.yaml", 5, 3)


@pytest.mark.parametrize(
    ("selection", "judges"),
    [
        ("kinds: [ConfigMap]", True),
        ("kinds: [v1/Config*]", True),
        ("kinds: [Secret]", False),
        ("paths: ['apps/*']", True),
        ("paths: ['infra/*']", False),
        ("labels: {tier: w*}", True),
        ("labels: {tier: db}", False),
        ("labels: {team: '*x'}", False),
        ("kinds: [ConfigMap], paths: [b]", False),
    ],
)
def test_policy_selects_resources(repository: Repository, selection: str, judges: bool) -> None:
    assert bool(found(repository, owner(selection))) is judges


def test_a_severity_and_words_separate(repository: Repository) -> None:
    [finding] = found(repository, owner("severity: info, message: whose is it?"))
    assert (finding.severity, finding.message.split(":")[0]) == ("info", "whose is it?")


@pytest.mark.parametrize(
    "draft",
    [
        "http://json-schema.org/draft-04/schema#",
        "http://json-schema.org/draft-06/schema#",
        "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft/2019-09/schema",
        "https://json-schema.org/draft/2020-12/schema",
    ],
)
def test_every_draft(repository: Repository, draft: str) -> None:
    schema = f"$schema: {draft}\nproperties: {{data: {{properties: {{size: {{type: integer}}}}}}}}\n"
    [finding] = found(repository, schema)
    assert finding.message == "`data.size` must be an integer, not a string"


def test_the_older_drafts_mean_what_they_meant(repository: Repository) -> None:
    """In draft 4 `exclusiveMinimum` is a boolean beside the limit."""
    schema = '{"$schema": "http://json-schema.org/draft-04/schema#", "maxProperties": 9, "minProperties": 4}'
    assert found(repository, schema, "a.schema.json") == []
    limit = '{"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": true}'
    assert found(repository, limit, "a.schema.json") == []


def test_a_schema_may_refer_to_its_neighbour(repository: Repository) -> None:
    schema = 'properties: {metadata: {$ref: "more.schema.json#/$defs/owned"}}\n'
    more = '{"$defs": {"owned": {"required": ["annotations"]}}, "x-gatekeeper": {"kinds": ["None"]}}'
    [finding] = found(repository, schema, more=more)
    assert finding.field_path == ("metadata", "annotations")


UNUSABLE = [
    ("{$ref: 'https://example.com/x.json'}", "is not a file of the repository, and schemas are never downloaded"),
    ("{$ref: '../../outside.json'}", "outside.json cannot be read: No such file"),
    ("{$ref: 'file:///etc/hostname'}", "is not a file of the repository, and schemas are never downloaded"),
    ("{$ref: '#/$defs/gone'}", "does not exist"),
    ("{type: nope}", "is not a valid JSON Schema"),
    ("a: [1", "cannot be read: line"),
    ("[1]", "must be a mapping"),
    ("x-gatekeeper: {kind: [Pod]}", "unknown field `x-gatekeeper.kind`"),
    ("x-gatekeeper: {kinds: Pod}", "`x-gatekeeper.kinds` must be a list"),
    ("x-gatekeeper: {severity: fatal}", "must be error, warning or info"),
]


@pytest.mark.parametrize(("schema", "words"), UNUSABLE)
def test_a_policy_that_cannot_be_used_is_reported_and_the_rest_is_checked(
    repository: Repository, schema: str, words: str
) -> None:
    root = repository(
        {
            "gatekeeper.yaml": CONFIG,
            "policy/a.schema.yaml": schema,
            "policy/owner.schema.yaml": owner(),
            "a.yaml": RESOURCE,
        }
    )
    verdict = judge(root)
    assert verdict.exit_code == 3
    assert [finding.rule for finding in verdict.findings if finding.rule.startswith("schemas/")] == ["schemas/owner"]
    reasons = [gap.reason for gap in verdict.coverage.gaps if gap.is_fatal and "policy/" in gap.file]
    assert any(reason.startswith("the policy could not be evaluated") and words in reason for reason in reasons)


def test_a_changed_schema_changes_the_digest(repository: Repository) -> None:
    files: dict[str, str | bytes] = {"gatekeeper.yaml": CONFIG, "policy/a.schema.yaml": "{}", "a.yaml": RESOURCE}
    before = judge(repository(files)).policy_digest
    assert judge(repository({**files, "policy/a.schema.yaml": "{title: x}"})).policy_digest != before


def test_no_value_is_repeated(repository: Repository) -> None:
    files: dict[str, str | bytes] = {"gatekeeper.yaml": CONFIG, "a.yaml": RESOURCE.replace('"7"', "hunter2")}
    schema = "properties: {data: {properties: {size: {enum: [s], pattern: '^x', type: integer, maxLength: 1}}}}\n"
    _, out, _ = command("check", "--format", "json", repository({**files, "policy/a.schema.yaml": schema}))
    assert "hunter2" not in out and out.count('"schemas/a"') == 4
