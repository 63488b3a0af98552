"""Kustomizations are built in process as the kustomize program builds them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from gatekeeper.config import Config
from gatekeeper.errors import ToolError
from gatekeeper.render.chart_inflation import inflate_charts
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.kustomization import BuildResult, BuiltObject, KustomizationBuild, KustomizationBuilder
from tests.conftest import Repository, needs

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {a: b}\n"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  template:
    spec:
      containers:
      - {name: a, image: a:1, env: [{name: X, value: x}]}
      - {name: b, image: b:1}
      volumes: [{name: v, configMap: {name: NAME}}]
"""
CASES = 24
Files = dict[str, str | bytes]


def write_build(folder: str = "app", is_restricted: bool = False) -> KustomizationBuild:
    settings = {
        "resources": [f"../repository/{folder}"],
        "buildMetadata": ["originAnnotations", "transformerAnnotations"],
    }
    return KustomizationBuild({"kustomization.yaml": orjson.dumps(settings).decode()}, is_restricted)


def build(client: UpstreamClient, root: Path, *builds: KustomizationBuild) -> list[BuildResult]:
    return KustomizationBuilder(client, root, 20).build(builds or [write_build()])


def name_objects(result: BuildResult) -> list[str]:
    assert not isinstance(result, ToolError), result
    return [one.value["metadata"]["name"] for one in result]


def generate(number: int) -> Files:
    """A random kustomization with a base; some of them fail."""
    chance = random.Random(number)
    patch = [{"op": "replace", "path": "/spec/template/spec/containers/1/image", "value": "c:2"}]
    choices: list[dict[str, object]] = [
        {"namePrefix": chance.choice(["p-", "1"])},
        {"nameSuffix": "-s"},
        {"namespace": chance.choice(["shop", "x y"])},
        {"labels": [{"pairs": {"a": "b"}, "includeSelectors": chance.random() < 0.5}]},
        {"commonAnnotations": {"x": "y", "n": "1e3"}},
        {"images": [{"name": "a", "newTag": chance.choice(["2", "latest"]), "newName": "r.example/a"}]},
        {"replicas": [{"name": chance.choice(["one", "none"]), "count": 3}]},
        {"configMapGenerator": [{"name": "gen", "literals": ["a=1", "b=true"], "files": ["data.txt"]}]},
        {"secretGenerator": [{"name": "one", "envs": [chance.choice(["data.txt", "gone.env"])]}]},
        {"generatorOptions": {"disableNameSuffixHash": True}},
        {"patches": [{"target": {"kind": "Deployment"}, "patch": orjson.dumps(patch).decode()}]},
        {"patches": [{"path": chance.choice(["patch.yaml", "../up.yaml"])}]},
        {"components": ["../part"]},
        {"sortOptions": {"order": "fifo"}},
        {"buildMetadata": ["managedByLabel"]},
        {"transformers": ["transformer.yaml"]},
        {"openapi": {"path": "schema.json"}},
        {chance.choice(["unknownField", "bases"]): ["../base"]},
    ]
    settings: dict[str, object] = {"resources": ["../base", "own.yaml"]}
    for choice in chance.sample(choices, chance.randint(1, 5)):
        settings.update(choice)
    transformer = (
        "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: t}\nprefix: t-\n"
        "fieldSpecs: [{path: metadata/name}]\n"
    )
    return {
        "app/kustomization.yaml": orjson.dumps(settings),
        "app/own.yaml": CONFIG_MAP.replace("NAME", chance.choice(["own", "one"])),
        "app/data.txt": "a=1\nb=é\n",
        "app/patch.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: one}\nspec: {replicas: 7}\n",
        "up.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: two}\nspec: {replicas: 8}\n",
        "app/transformer.yaml": transformer,
        "app/schema.json": '{"definitions": {}}',
        "part/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamePrefix: c-\n",
        "base/kustomization.yaml": "resources: [a.yaml, b.yaml]\ncommonLabels: {team: shop}\n",
        "base/a.yaml": DEPLOYMENT.replace("NAME", "one"),
        "base/b.yaml": CONFIG_MAP.replace("NAME", "one") + "---\n" + DEPLOYMENT.replace("NAME", "two"),
    }


def describe(result: Sequence[BuiltObject] | ToolError) -> object:
    return str(result) if isinstance(result, ToolError) else list(result)


def run_program(root: Path, one: KustomizationBuild) -> BuildResult:
    try:
        return inflate_charts(root, one.files, one.is_restricted, Config())
    except ToolError as error:
        return error


@needs("kustomize", "helm")
@pytest.mark.parametrize("number", range(CASES))
def test_random_kustomizations_are_built_as_by_the_program(
    client: UpstreamClient, repository: Repository, number: int
) -> None:
    root, one = repository(generate(number)), write_build(is_restricted=number % 2 == 0)
    [result] = build(client, root, one)
    assert describe(result) == describe(run_program(root, one))


@needs("kustomize", "helm")
@pytest.mark.parametrize(
    "files",
    [
        {"app/kustomization.yaml": "resources: [none.yaml]\n"},
        {"app/kustomization.yaml": "resources: [../app]\n"},
        {"app/kustomization.yaml": "resources: [a.yaml/b]\n", "app/a.yaml": "{}"},
        {"app/kustomization.yaml": "resources: [sub]\n", "app/sub/a.yaml": "{}"},
        {"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": "a: [\n"},
        {"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": "a: b\n"},
        {"app/kustomization.yaml": "configMapGenerator: [{name: a, files: [sub]}]\n", "app/sub/a": "x"},
        {"app/kustomization.yaml": "configMapGenerator: [{name: a, files: [bytes]}]\n", "app/bytes": b"\xff\0"},
        {"app/kustomization.yaml": "a: b\n"},
        {"app/kustomization.yaml": ""},
        {"app/kustomization.yaml": "resources: []\n", "app/kustomization.yml": "resources: []\n"},
        {
            "app/kustomization.yaml": "generators: [g.yaml]\n",
            "app/g.yaml": "apiVersion: a/v1\nkind: Exec\nmetadata: {name: e, annotations: {config.kubernetes.io/function: 'exec: {path: /bin/true}'}}\n",
        },
    ],
    ids=str,
)
def test_faults_read_as_those_of_the_program(client: UpstreamClient, repository: Repository, files: Files) -> None:
    root = repository(files)
    [result] = build(client, root)
    assert describe(result) == describe(run_program(root, write_build()))


def test_files_that_only_kustomize_knows_of_are_sent_when_it_reads_them(
    client: UpstreamClient, repository: Repository
) -> None:
    generator = "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: g}\nfiles: [deep/er/file.txt]\n"
    files: Files = {"app/kustomization.yaml": "generators: [g.yaml]\n", "app/g.yaml": generator}
    [result] = build(client, repository({**files, "app/deep/er/file.txt": "x"}))
    assert not isinstance(result, ToolError)
    [one] = result
    assert one.value["data"] == {"file.txt": "x"} and one.origin == "app/g.yaml"


def test_links_to_files_and_folders_are_followed(client: UpstreamClient, repository: Repository) -> None:
    root = repository({"real/kustomization.yaml": "resources: [a.yaml]\n", "b.yaml": CONFIG_MAP.replace("NAME", "b")})
    (root / "app").symlink_to("real")
    (root / "real/a.yaml").symlink_to("../b.yaml")
    [free, restricted] = build(client, root, write_build(), write_build(is_restricted=True))
    assert name_objects(free) == ["b"]
    assert isinstance(restricted, ToolError) and "security; file" in str(restricted)


def test_a_link_out_of_the_repository_is_not_followed(
    client: UpstreamClient, repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "secret.yaml").write_text(CONFIG_MAP)
    root = repository({"app/kustomization.yaml": "resources: [a.yaml]\n"})
    (root / "app/a.yaml").symlink_to(tmp_path / "secret.yaml")
    [result] = build(client, root)
    assert isinstance(result, ToolError) and "no such file or directory" in str(result)


def test_a_build_that_fails_concerns_no_other(client: UpstreamClient, repository: Repository) -> None:
    files: Files = {"a/kustomization.yaml": "resources: [gone.yaml]\n", "b/kustomization.yaml": "resources: [c.yaml]\n"}
    root = repository({**files, "b/c.yaml": CONFIG_MAP.replace("NAME", "c")})
    [bad, good] = build(client, root, write_build("a"), write_build("b"))
    assert isinstance(bad, ToolError) and name_objects(good) == ["c"]


def test_another_process_gets_the_files_again(client: UpstreamClient, repository: Repository) -> None:
    root = repository({"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": CONFIG_MAP})
    builder = KustomizationBuilder(client, root, 20)
    before = builder.build([write_build()])
    client.close()
    assert builder.build([write_build()]) == before


def test_a_schema_of_one_kustomization_does_not_change_another(client: UpstreamClient, repository: Repository) -> None:
    patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: one}\nspec: {template: {spec: {containers: [{name: b, image: c:3}]}}}\n"
    common: Files = {"a.yaml": DEPLOYMENT.replace("NAME", "one"), "p.yaml": patch}
    settings = "resources: [a.yaml]\npatches: [{path: p.yaml}]\n"
    files: Files = {f"{folder}/{name}": text for folder in ("app", "own") for name, text in common.items()}
    files |= {"app/kustomization.yaml": settings, "own/kustomization.yaml": f"{settings}openapi: {{path: s.json}}\n"}
    root = repository({**files, "own/s.json": '{"definitions": {}}'})
    builds = [write_build("own" if number % 2 else "app") for number in range(10)]
    for number, result in enumerate(build(client, root, *builds)):
        assert not isinstance(result, ToolError), result
        containers = result[0].value["spec"]["template"]["spec"]["containers"]
        # Without the schema of Deployments, lists are replaced.
        assert sorted(one["name"] for one in containers) == (["b"] if number % 2 else ["a", "b"])


def test_nothing_is_fetched(client: UpstreamClient, repository: Repository) -> None:
    files: Files = {"app/kustomization.yaml": "resources: ['https://example.invalid/a.yaml', 'example.invalid/a/b']\n"}
    [result] = build(client, repository(files))
    assert isinstance(result, ToolError)
