"""JSON Schemas in the layout of kubeconform, with its documented templates."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.engines.schema.schema_locations import SchemaLocations
from gatekeeper.errors import UsageError
from tests.conftest import Repository, command, judge

# Source: yannh/kubeconform Readme.md ("CustomResourceDefinition support", "OpenShift") and pkg/registry/registry_test.go.
CATALOGUE = "{{.Group}}/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json"
STANDALONE = (
    "{{ .NormalizedKubernetesVersion }}-standalone{{ .StrictSuffix }}/{{ .ResourceKind }}{{ .KindSuffix }}.json"
)
SHOP = "apiVersion: shop.example.com/v1beta1\nkind: Shop\nmetadata: {name: a}\nspec:\n  size: SIZE\n"
SCHEMA = """{
  "type": "object",
  "properties": {
    "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
    "spec": {"$ref": "#/definitions/spec"}
  },
  "definitions": {
    "spec": {
      "type": "object", "additionalProperties": false,
      "properties": {"size": {"type": "integer", "format": "int64", "description": "how large"}}
    }
  }
}"""


@pytest.mark.parametrize(
    ("location", "api_version", "kind", "file"),
    [
        ("s/" + CATALOGUE, "shop.example.com/v1beta1", "Shop", "s/shop.example.com/shop_v1beta1.json"),
        ("s/" + CATALOGUE, "cert-manager.io/v1", "ClusterIssuer", "s/cert-manager.io/clusterissuer_v1.json"),
        ("s/{{ .ResourceKind }}{{ .KindSuffix }}.json", "shop.example.com/v1", "Shop", "s/shop-shop-v1.json"),
        ("s/{{ .ResourceKind }}{{ .KindSuffix }}.json", "apps/v1", "Deployment", "s/deployment-apps-v1.json"),
        ("s/{{ .ResourceKind }}{{ .KindSuffix }}.json", "v1", "Service", "s/service-v1.json"),
        ("s/{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json", "v1", "Service", "s/service_v1.json"),
        ("s/" + STANDALONE, "apps/v1", "Deployment", "s/v1.31.0-standalone-strict/deployment-apps-v1.json"),
        ("s", "apps/v1", "Deployment", "s/v1.31.0-standalone-strict/deployment-apps-v1.json"),
        ("s/", "v1", "Pod", "s/v1.31.0-standalone-strict/pod-v1.json"),
        ("s/" + CATALOGUE, "v1", "Pod", "s/v1/pod_v1.json"),
        ("s/{{- .ResourceKind -}}.json", "v1", "Pod", "s/pod.json"),
        ("s/shop.json", "shop.example.com/v1", "Shop", "s/shop.json"),
        ("{{ .ResourceKind }}.json", "v1", "Pod", "pod.json"),
    ],
)
def test_a_location_names_the_same_file_as_in_kubeconform(
    tmp_path: Path, location: str, api_version: str, kind: str, file: str
) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text('{"title": "found"}')
    found = SchemaLocations(tmp_path, ["default", location], "1.31").find_schema(api_version, kind)
    assert found == {"title": "found"}


def test_the_first_location_with_the_file_counts(tmp_path: Path) -> None:
    for folder in "abc":
        (tmp_path / folder).mkdir()
    (tmp_path / "b/pod.json").write_text('{"title": "b"}')
    (tmp_path / "c/pod.json").write_text('{"title": "c"}')
    locations = SchemaLocations(tmp_path, [f"{folder}/{{{{.ResourceKind}}}}.json" for folder in "abc"], "1.31.2")
    assert locations.find_schema("v1", "Pod") == {"title": "b"}
    assert locations.find_schema("v1", "Node") is None


@pytest.mark.parametrize(("api_version", "kind"), [("v1", "../secret"), ("../x/v1", "Pod"), ("a..b/v1", "Pod")])
def test_a_name_of_a_manifest_leads_nowhere_else(tmp_path: Path, api_version: str, kind: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "secret.json").write_text("{}")
    assert SchemaLocations(tmp_path, ["s/{{.ResourceKind}}.json"], "1.31").find_schema(api_version, kind) is None


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("https://example.com/{{.ResourceKind}}.json", "is a URL"),
        ("missing/{{.ResourceKind}}.json", "missing does not exist"),
        ("missing", "missing does not exist"),
        ("{{.Kind}}.json", "unknown field `.Kind`"),
        ("{{ .ResourceKind | lower }}.json", "unknown field"),
        ("{{ .ResourceKind .json", "has no `}}`"),
    ],
)
def test_a_location_that_cannot_be_used_is_an_error(tmp_path: Path, location: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SchemaLocations(tmp_path, [location], "1.31")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "must be an object"),
        ('{"$ref": "_definitions.json#/a"}', "another file"),
    ],
)
def test_a_file_that_is_no_schema_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "pod.json").write_text(content)
    with pytest.raises(UsageError, match=message):
        SchemaLocations(tmp_path, ["{{.ResourceKind}}.json"], "1.31").find_schema("v1", "Pod")


CONFIG = "library: {profile: 'off'}\nschemas: {locations: ['vendor/" + CATALOGUE + "']}\nfiles: {exclude: [vendor]}\n"
SCHEMA_FILE = "vendor/shop.example.com/shop_v1beta1.json"


@pytest.mark.parametrize(
    ("size", "rules"),
    [("1", []), ("many", ["schema/type"]), ("1\n  colour: red", ["schema/unknown-field"])],
)
def test_resources_are_checked_by_the_schema_of_a_location(repository: Repository, size: str, rules: list[str]) -> None:
    files = {"gatekeeper.yaml": CONFIG, SCHEMA_FILE: SCHEMA, "shop.yaml": SHOP.replace("SIZE", size)}
    verdict = judge(repository({**files}))
    assert ([finding.rule for finding in verdict.findings], verdict.coverage.checked_count) == (rules, 1)


def test_a_broken_schema_makes_the_verdict_incomplete(repository: Repository) -> None:
    files = {"gatekeeper.yaml": CONFIG, SCHEMA_FILE: "{", "shop.yaml": SHOP.replace("SIZE", "1")}
    verdict = judge(repository({**files}))
    assert verdict.exit_code == 3
    assert any("cannot be read as JSON" in gap.reason for gap in verdict.coverage.gaps)


def test_a_changed_schema_is_read_again(repository: Repository) -> None:
    root = repository({"gatekeeper.yaml": CONFIG, SCHEMA_FILE: SCHEMA, "shop.yaml": SHOP.replace("SIZE", "1")})
    assert command("check", cwd=root)[0] == 0
    (root / SCHEMA_FILE).write_text(SCHEMA.replace("integer", "string"))
    assert command("check", cwd=root)[0] == 1
