"""The schema of each kind: from the repository, Kubernetes or built in; one that cannot be used is an error."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from gatekeeper.engines.schema import catalog
from gatekeeper.engines.schema.catalog import SchemaCatalog, SchemaKey, list_kubernetes_versions
from gatekeeper.engines.schema.crds import CustomKind
from gatekeeper.errors import UsageError
from gatekeeper.host.cache import Cache

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


def build_kind(group: str = "example.com", kind: str = "Shop", **properties: Any) -> CustomKind:
    return CustomKind(
        group,
        "v1",
        kind,
        True,
        {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}},
    )


def judge(schemas: SchemaCatalog, api_version: str, kind: str, spec: Any) -> list[int] | None:
    value = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec}
    return schemas.find_invalid((api_version, kind), [orjson.dumps(value)], 1)


def test_a_definition_of_the_repository_comes_before_the_built_in_one() -> None:
    own = build_kind("source.toolkit.fluxcd.io", "GitRepository", mine={"type": "string"})
    assert judge(SchemaCatalog("1.34", [own]), "source.toolkit.fluxcd.io/v1", "GitRepository", {"mine": "x"}) == []
    assert judge(SchemaCatalog("1.34"), "source.toolkit.fluxcd.io/v1", "GitRepository", {"mine": "x"}) == [0]


def test_the_first_of_two_definitions_counts() -> None:
    kinds = [build_kind(a={"type": "string"}), build_kind(b={"type": "string"})]
    assert judge(SchemaCatalog("1.34", kinds), "example.com/v1", "Shop", {"a": "x"}) == []
    assert judge(SchemaCatalog("1.34", kinds), "example.com/v1", "Shop", {"b": "x"}) == [0]


@pytest.mark.parametrize("group", ["n" * 300, "../schemas/cert-manager.io", "cert-manager.io/../cert-manager.io", "\0"])
def test_a_group_that_can_be_no_file_has_no_built_in_kinds(group: str) -> None:
    assert catalog.load_built_in_kinds("cert-manager.io") != ()
    assert catalog.load_built_in_kinds(group) == ()


def test_a_kind_without_a_schema_is_unknown_and_never_valid() -> None:
    schemas = SchemaCatalog("1.34", [CustomKind("example.com", "v1", "Bare", True, None)])
    assert judge(schemas, "example.com/v1", "Bare", {}) is None
    assert judge(schemas, "example.com/v1", "Other", {}) is None
    assert judge(schemas, "v1", "Other", {}) is None


def test_a_schema_that_cannot_be_compiled_is_an_error_that_names_the_kind() -> None:
    schemas = SchemaCatalog("1.34", [build_kind(a={"type": "string", "pattern": "("})])
    with pytest.raises(UsageError, match=r"the schema of Shop \(example.com/v1\) cannot be used"):
        judge(schemas, "example.com/v1", "Shop", {"a": "x"})


def test_a_removed_api_version_is_checked_by_its_replacement() -> None:
    key = ("extensions/v1beta1", "Deployment")
    schemas = SchemaCatalog("1.34", (), lambda: {key: "apps/v1"})
    assert judge(schemas, *key, {"replicas": "many"}) == [0]
    assert judge(SchemaCatalog("1.34"), *key, {"replicas": "many"}) is None
    assert judge(SchemaCatalog("1.34", (), lambda: {key: key[0]}), *key, {}) is None


def test_the_fields_next_to_an_unknown_one_are_listed() -> None:
    schemas = SchemaCatalog("1.34", [build_kind(replicas={"type": "integer"}, image={"type": "string"})])
    value = {"apiVersion": "example.com/v1", "kind": "Shop", "metadata": {"name": "a"}, "spec": {"replica": 1}}
    key = ("example.com/v1", "Shop")
    assert schemas.find_invalid(key, [orjson.dumps(value)], 1) == [0]
    [error] = schemas.list_errors(key, value)
    assert schemas.list_known_fields(key, list(error.schema_path)) == ["replicas", "image"]
    assert schemas.list_known_fields(key, ["none", "x"]) == []


def test_a_version_without_schemas_is_an_error_that_lists_the_versions() -> None:
    with pytest.raises(UsageError, match=r"no schemas for Kubernetes 1\.2; `kubernetes` can be 1\.25 to "):
        SchemaCatalog("1.2")
    assert catalog.list_kubernetes_versions() == sorted(
        catalog.list_kubernetes_versions(), key=lambda text: int(text.partition(".")[2])
    )


DEPLOYMENT = ("apps/v1", "Deployment")
OBJECTS = [b'{"spec": 7}', b'{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"}}', b'{"unknown": 1}']


def open_cache(folder: Path) -> Cache:
    return Cache(folder, b"k" * 32, b"1")


def describe_errors(catalog: SchemaCatalog, key: SchemaKey) -> object:
    refused = catalog.find_invalid(key, OBJECTS, 1)
    errors = [(str(error), list(error.schema_path)) for error in catalog.list_errors(key, {"spec": 7})]
    return refused, errors, catalog.list_known_fields(key, ["$ref", "properties", "spec", "$ref", "x"])


def test_cached_schema_decides_the_same_without_the_definitions_of_all_kinds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = describe_errors(SchemaCatalog("1.34"), DEPLOYMENT)
    assert describe_errors(SchemaCatalog("1.34", cache=open_cache(tmp_path)), DEPLOYMENT) == expected
    monkeypatch.setattr(catalog, "_index_kinds", None)
    assert describe_errors(SchemaCatalog("1.34", cache=open_cache(tmp_path)), DEPLOYMENT) == expected
    for other in (
        SchemaCatalog("1.30", cache=open_cache(tmp_path)),
        SchemaCatalog("1.34", cache=Cache(tmp_path, b"k", b"2")),
    ):
        with pytest.raises(UsageError, match="not callable"):
            other.find_invalid(DEPLOYMENT, OBJECTS, 1)


@pytest.mark.parametrize("damage", ["empty", "change", "remove", "folder"])
def test_damaged_cache_is_not_used(tmp_path: Path, damage: str) -> None:
    expected = describe_errors(SchemaCatalog("1.34"), DEPLOYMENT)
    describe_errors(SchemaCatalog("1.34", cache=open_cache(tmp_path)), DEPLOYMENT)
    [entry] = [path for path in tmp_path.rglob("*") if path.is_file()]
    content = entry.read_bytes()
    entry.unlink()
    if damage == "folder":
        entry.mkdir()
    elif damage != "remove":
        entry.write_bytes(b"" if damage == "empty" else content.replace(b'"object"', b'"string"'))
    assert describe_errors(SchemaCatalog("1.34", cache=open_cache(tmp_path)), DEPLOYMENT) == expected


def test_schema_is_used_where_the_cache_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cached = SchemaCatalog("1.34", cache=open_cache(tmp_path / "file" / "cache"))
    assert describe_errors(cached, DEPLOYMENT) == describe_errors(SchemaCatalog("1.34"), DEPLOYMENT)


def test_custom_kinds_and_names_that_are_no_text_are_not_cached(tmp_path: Path) -> None:
    kinds = [build_kind(a={"type": "string"})]
    cached = SchemaCatalog("1.34", kinds, cache=open_cache(tmp_path))
    assert judge(cached, "example.com/v1", "Shop", {"a": 1}) == [0]
    assert cached.find_invalid(("\udcff", "\ud800"), [b"{}"], 1) is None
    assert not list(tmp_path.iterdir())


def test_concurrent_runs_share_a_cache(tmp_path: Path) -> None:
    def run(_: int) -> object:
        return describe_errors(SchemaCatalog("1.34", cache=open_cache(tmp_path)), DEPLOYMENT)

    with ThreadPoolExecutor(4) as pool:
        assert len({repr(result) for result in pool.map(run, range(8))}) == 1
