"""The schema engine: which kinds are known, what is refused and where, CRDs of the repository, and their CEL rules."""

from __future__ import annotations

import pytest

from gatekeeper.engines.schema.catalog import SchemaCatalog, list_kubernetes_versions
from gatekeeper.model import Finding
from tests.conftest import Repository, command, judge

CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shops.example.com}
spec:
  group: example.com
  names: {kind: Shop, plural: shops}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [name]
            x-kubernetes-validations:
            - {rule: "self.min <= self.max", message: min must not be above max}
            properties:
              name: {type: string, maxLength: 5}
              min: {type: integer, default: 0}
              max: {type: integer}
              port: {x-kubernetes-int-or-string: true}
              note: {type: string, nullable: true}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true}
              map: {type: object, additionalProperties: {type: integer}}
              pod: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}
"""
SHOP = "apiVersion: example.com/v1\nkind: Shop\nmetadata: {name: s}\nspec:\n"


def found(repository: Repository, spec: str) -> list[Finding]:
    return list(judge(repository({"crd.yaml": CRD, "shop.yaml": SHOP + spec})).findings)


@pytest.mark.parametrize(
    "spec",
    [
        "  {name: a, min: 1, max: 2}",
        "  {name: a, max: 2, port: 80}",
        "  {name: a, max: 2, port: http, note: null}",
        "  {name: a, max: 2, free: {any: [1, {thing: x}]}}",
        "  {name: a, max: 2, map: {x: 1, y: 2}}",
        "  {name: a, max: 2, pod: {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {}}}",
        "  {name: '${NAME_OF_SHOP}', max: 2}",
        "  {name: a, min: '${MIN}', max: 2}",
    ],
)
def test_what_the_api_server_takes_is_taken(repository: Repository, spec: str) -> None:
    assert found(repository, spec) == []


@pytest.mark.parametrize(
    ("spec", "rule", "line", "words"),
    [
        ("  name: a\n  max: 1\n  nmae: b\n", "schema/unknown-field", 7, "unknown field `spec.nmae`"),
        ("  max: 1\n", "schema/required", 4, "required field `spec.name` is missing"),
        ("  name: abcdef\n  max: 1\n", "schema/constraint", 5, "violates `maxLength` (5)"),
        ("  name: 7\n  max: 1\n", "schema/type", 5, "must be a string, not an integer"),
        ("  name: a\n  max: many\n", "schema/type", 6, "must be an integer, not a string"),
        ("  name: a\n  max: 1\n  map:\n    x: y\n", "schema/type", 8, "`spec.map.x` must be an integer"),
        ("  name: a\n  min: 3\n  max: 1\n", "schema/cel", 4, "min must not be above max"),
    ],
)
def test_what_it_refuses_is_refused_with_its_line(
    repository: Repository, spec: str, rule: str, line: int, words: str
) -> None:
    [finding] = found(repository, spec)
    assert (finding.rule, finding.location.file, finding.location.line) == (rule, "shop.yaml", line)
    assert words in finding.message


def test_a_close_name_is_proposed(repository: Repository) -> None:
    [finding] = found(repository, "  name: a\n  max: 1\n  fre: {}\n")
    assert finding.hint == "did you mean `free`?"


def test_a_cel_rule_that_cannot_be_evaluated_is_a_gap(repository: Repository) -> None:
    verdict = judge(
        repository({"crd.yaml": CRD.replace("self.min <=", "self.gone <="), "s.yaml": SHOP + "  {name: a, max: 1}"})
    )
    assert verdict.exit_code == 3
    [reason] = [gap.reason for gap in verdict.coverage.gaps if gap.is_fatal]
    assert reason.startswith("the CRD's rule `self.gone <= self.max` cannot be evaluated on Shop s")


def test_crds_come_from_folders_of_the_config_too(repository: Repository) -> None:
    config = "library: {profile: 'off'}\nschemas: {crds: [vendor/crds]}\nfiles: {exclude: [vendor]}\n"
    files: dict[str, str | bytes] = {
        "gatekeeper.yaml": config,
        "vendor/crds/shop.yaml": CRD,
        "s.yaml": SHOP + "  {max: 1}",
    }
    assert [finding.rule for finding in judge(repository(files)).findings] == ["schema/required"]


def test_crds_may_come_as_kubectl_prints_them(repository: Repository) -> None:
    listed = "apiVersion: v1\nkind: List\nitems:\n- " + CRD.replace("\n", "\n  ") + "\n"
    config = "library: {profile: 'off'}\nschemas: {crds: [all]}\nfiles: {exclude: [all]}\n"
    root = repository({"gatekeeper.yaml": config, "all/all.yaml": listed, "s.yaml": SHOP + "  {max: 1}"})
    assert [finding.rule for finding in judge(root).findings] == ["schema/required"]


def test_a_crd_file_that_cannot_be_read_is_told(repository: Repository) -> None:
    config = "schemas: {crds: [all]}\nfiles: {exclude: [all]}\n"
    code, _, err = command("check", repository({"gatekeeper.yaml": config, "all/broken.yaml": CRD + " x"}))
    assert code == 2
    assert "all/broken.yaml:" in err and "cannot be read" in err


def test_a_kind_without_schema_is_refused_unless_the_config_allows_it(repository: Repository) -> None:
    verdict = judge(repository({"s.yaml": SHOP + "  {}"}))
    assert ([finding.rule for finding in verdict.findings], verdict.exit_code) == (["schema/missing"], 3)
    assert (verdict.coverage.resource_count, verdict.coverage.checked_count) == (1, 0)


@pytest.mark.parametrize("pattern", ["Shop", "example.com/v1/Shop", "example.com/*"])
def test_the_config_allows_a_kind_by_name(repository: Repository, pattern: str) -> None:
    config = f"library: {{profile: 'off'}}\nschemas: {{allowMissing: ['{pattern}']}}\n"
    verdict = judge(repository({"gatekeeper.yaml": config, "s.yaml": SHOP + "  {}"}))
    assert (verdict.findings, verdict.exit_code, verdict.coverage.checked_count) == ((), 0, 0)
    assert any("allowed by the config" in gap.reason for gap in verdict.coverage.gaps)


BUILT_IN = [
    ("source.toolkit.fluxcd.io/v1", "GitRepository"),
    ("source.toolkit.fluxcd.io/v1", "HelmRepository"),
    ("source.toolkit.fluxcd.io/v1", "OCIRepository"),
    ("source.toolkit.fluxcd.io/v1", "Bucket"),
    ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
    ("helm.toolkit.fluxcd.io/v2", "HelmRelease"),
    ("notification.toolkit.fluxcd.io/v1", "Receiver"),
    ("notification.toolkit.fluxcd.io/v1beta3", "Alert"),
    ("image.toolkit.fluxcd.io/v1", "ImagePolicy"),
    ("argoproj.io/v1alpha1", "Application"),
    ("argoproj.io/v1alpha1", "ApplicationSet"),
    ("argoproj.io/v1alpha1", "AppProject"),
    ("external-secrets.io/v1alpha1", "ExternalSecret"),
    ("external-secrets.io/v1beta1", "ExternalSecret"),
    ("external-secrets.io/v1", "ExternalSecret"),
    ("external-secrets.io/v1", "ClusterSecretStore"),
    ("external-secrets.io/v1beta1", "SecretStore"),
    ("external-secrets.io/v1alpha1", "PushSecret"),
    ("bitnami.com/v1alpha1", "SealedSecret"),
    ("source.extensions.fluxcd.io/v1beta1", "ArtifactGenerator"),
    ("cert-manager.io/v1", "ClusterIssuer"),
    ("cert-manager.io/v1", "Certificate"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("gateway.networking.k8s.io/v1alpha2", "TCPRoute"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ("networking.istio.io/v1beta1", "VirtualService"),
]


@pytest.mark.parametrize("key", BUILT_IN, ids=" ".join)
def test_the_gitops_kinds_are_built_in(key: tuple[str, str]) -> None:
    assert SchemaCatalog("1.34").find_invalid(key, [b'{"spec": 7}'], 1) == [0]


@pytest.mark.parametrize("version", list_kubernetes_versions())
def test_every_version_of_kubernetes_can_be_chosen(version: str) -> None:
    catalog = SchemaCatalog(version)
    deployment = b'{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replica": 1}}'
    assert catalog.find_invalid(("apps/v1", "Deployment"), [deployment], 1) == [0]


def test_versions_start_with_1_25() -> None:
    assert list_kubernetes_versions()[0] == "1.25"
    assert len(list_kubernetes_versions()) >= 13


NAMED_CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: quotas.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Quota, plural: quotas}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          metadata:
            type: object
            properties: {FIELD: RULE}
"""


@pytest.mark.parametrize(
    ("field", "rule", "refused", "accepted"),
    [
        ("name", "{type: string, enum: [default]}", "other", "default"),
        ("name", "{type: string, pattern: '^team-'}", "shop", "team-shop"),
        ("name", "{type: string, maxLength: 5}", "longer", "short"),
        ("name", "{type: string, minLength: 3}", "ab", "abc"),
        ("name", "{type: string, not: {enum: [default]}}", "default", "other"),
        ("name", "{type: string, anyOf: [{pattern: '^a'}, {pattern: '^b'}]}", "c", "b"),
        ("generateName", "{type: string, pattern: '^team-'}", "shop-", "team-"),
    ],
)
def test_what_a_crd_says_of_names_counts(
    repository: Repository, field: str, rule: str, refused: str, accepted: str
) -> None:
    quota = "apiVersion: example.com/v1\nkind: Quota\nmetadata: {FIELD: VALUE, namespace: a, labels: {b: c}}\n"
    crd = NAMED_CRD.replace("FIELD", field).replace("RULE", rule)
    files: dict[str, str | bytes] = {"crd.yaml": crd, "a.yaml": quota.replace("FIELD", field).replace("VALUE", refused)}
    verdict = judge(repository(files))
    assert [(one.location.file, one.field_path) for one in verdict.findings] == [("a.yaml", ("metadata", field))]
    files["a.yaml"] = quota.replace("FIELD", field).replace("VALUE", accepted)
    assert judge(repository(files)).findings == ()


def test_a_field_that_metadata_does_not_have_is_unknown_where_a_crd_restricts_the_name(repository: Repository) -> None:
    crd = NAMED_CRD.replace("FIELD", "name").replace("RULE", "{type: string, maxLength: 5}")
    quota = "apiVersion: example.com/v1\nkind: Quota\nmetadata: {name: a, namespac: b}\n"
    [finding] = judge(repository({"crd.yaml": crd, "a.yaml": quota})).findings
    assert finding.rule == "schema/unknown-field" and "namespace" in finding.hint
