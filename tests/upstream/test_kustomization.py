"""Kustomizations are built in process as the kustomize program builds them."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent

import orjson
import pytest

from gatekeeper.errors import ToolError
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.kustomization import (
    BuildResult,
    BuiltObject,
    KustomizationBuild,
    KustomizationBuilder,
    KustomizationError,
)
from tests.conftest import Repository, needs
from tests.upstream.kustomize_program import build_with_program

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
CASES, CHART_CASES = 24, 40
KUBERNETES = "1.34"
Files = dict[str, str | bytes]


def write_build(folder: str = "app", is_restricted: bool = False) -> KustomizationBuild:
    settings = {
        "resources": [f"../repository/{folder}"],
        "buildMetadata": ["originAnnotations", "transformerAnnotations"],
    }
    return KustomizationBuild({"kustomization.yaml": orjson.dumps(settings).decode()}, is_restricted)


def build(client: UpstreamClient, root: Path, *builds: KustomizationBuild) -> list[BuildResult]:
    return KustomizationBuilder(client, root, 20, KUBERNETES).build(builds or [write_build()])


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


# A chart with hooks, tests, CRDs, a library of its own, and all that a kustomization can choose.
CHART: Files = {
    "Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies: [{name: sub, version: 1.0.0, condition: sub.enabled}]\n",
    "values.yaml": "# the defaults\nsize: 1\nnames: [a, b]\nnested: {x: 1, y: {z: two}}\nsub: {enabled: true}\n",
    "templates/_helpers.tpl": '{{- define "full" }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}\n',
    "templates/map.yaml": 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ include "full" . }}, namespace: {{ .Release.Namespace }}}\n'
    "data:\n  values: {{ omit .Values `global` | toJson | quote }}\n  kube: {{ .Capabilities.KubeVersion | quote }}\n"
    '  has: {{ .Capabilities.APIVersions.Has "x.example/v1" | quote }}\n  file: {{ .Files.Get "own.txt" | quote }}\n',
    "templates/web.yaml": DEPLOYMENT.replace("NAME", '{{ include "full" . }}'),
    "templates/hook.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: {{ .Release.Name }}-hook, annotations: {helm.sh/hook: pre-install}}\n",
    "templates/tests/test.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Release.Name }}-test, annotations: {helm.sh/hook: test}}\n",
    "templates/lists.yaml": "{{- range .Values.names }}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: {{ $.Release.Name }}-{{ . }}}\n{{- end }}\n",
    "crds/c.yaml": "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: c}\n",
    "charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
    "charts/sub/templates/map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-sub}\n",
    "own.txt": "text\n",
    ".helmignore": "*.md\n",
    "README.md": "{{ not a template }}\n",
}


def generate_with_chart(number: int) -> Files:
    """A random kustomization that inflates charts; some of them fail."""
    chance = random.Random(number)
    files = generate(number)
    # What fails without charts, too, says nothing about them.
    files["app/own.yaml"] = CONFIG_MAP.replace("NAME", "own")
    settings = {
        name: value
        for name, value in orjson.loads(files["app/kustomization.yaml"]).items()
        if name not in ("unknownField", "bases", "openapi", "secretGenerator", "replicas")
    }
    options: list[dict[str, object]] = [
        {
            "valuesInline": chance.choice(
                [{"size": 2, "nested": {"x": None, "w": [1]}}, {"names": []}, {"sub": {"enabled": False}}]
            )
        },
        {"valuesMerge": chance.choice(["merge", "override", "replace", "other"])},
        {"valuesFile": chance.choice(["v.yaml", "../up-values.yaml", "gone.yaml"])},
        {"additionalValuesFiles": chance.choice([["v.yaml"], ["v.yaml", "bad.yaml"], ["../up-values.yaml"]])},
        {"includeCRDs": True},
        {"skipHooks": True},
        {"skipTests": True},
        {"namespace": "of-chart"},
        {"apiVersions": chance.choice([["x.example/v1"], ["a/v1,x.example/v1"]])},
        {"kubeVersion": chance.choice(["1.29", "v1.30.1", "none"])},
        {"nameTemplate": chance.choice(["{{ `a` | upper | lower }}-n", "{{ fail `x` }}"])},
        {"version": "1.0.0"},
        {"version": "1.0.0", "repo": "https://charts.example.invalid"},
        {"debug": True},
        {"devel": True},
    ]
    chart: dict[str, object] = {"name": "web", "releaseName": "r"}
    for choice in chance.sample(options, chance.randint(0, 4)):
        chart |= choice
    if chance.random() < 0.2 or ("nameTemplate" in chart and chance.random() < 0.8):
        del chart["releaseName"]
    settings["helmCharts"] = [chart, {"name": "web", "releaseName": "second", "namespace": "n"}][: chance.randint(1, 2)]
    home = "charts"
    if chance.random() < 0.2:
        home = chance.choice(["../charts", "lib"])
        settings["helmGlobals"] = {"chartHome": home}
    if chance.random() < 0.2:
        settings["namespace"] = "shop"
    folder = "charts" if home == "../charts" else f"app/{home}"
    if chance.random() < 0.3:
        files["base/kustomization.yaml"] = (
            str(files["base/kustomization.yaml"]) + "helmCharts: [{name: web, releaseName: base}]\n"
        )
        files |= {f"base/charts/web/{name}": text for name, text in CHART.items()}
    return {
        **files,
        **{f"{folder}/{chart['name']}/{name}": text for name, text in CHART.items()},
        **{f"app/charts/web-1.0.0/web/{name}": text for name, text in CHART.items()},
        "app/kustomization.yaml": orjson.dumps(settings),
        "app/v.yaml": "size: 3\nnested: {y: null}\n",
        "app/bad.yaml": "- a\n",
        "up-values.yaml": "size: 4\n",
    }


def describe(result: Sequence[BuiltObject] | ToolError) -> object:
    return str(result) if isinstance(result, ToolError) else list(result)


@needs("kustomize", "helm")
@pytest.mark.parametrize("number", range(CASES))
def test_random_kustomizations_are_built_as_by_the_program(
    client: UpstreamClient, repository: Repository, number: int
) -> None:
    root, one = repository(generate(number)), write_build(is_restricted=number % 2 == 0)
    [result] = build(client, root, one)
    assert describe(result) == describe(build_with_program(root, one, KUBERNETES))


@needs("kustomize", "helm")
@pytest.mark.parametrize("start", range(0, CHART_CASES, 10))
def test_random_charts_of_kustomizations_are_built_as_by_the_programs(
    client: UpstreamClient, tmp_path: Path, start: int
) -> None:
    accepted = 0
    for number in range(start, start + 10):
        root, one = tmp_path / str(number), write_build(is_restricted=number % 3 == 0)
        for name, content in generate_with_chart(number).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
        [result] = build(client, root, one)
        expected = build_with_program(root, one, KUBERNETES)
        # The program names its temporary files in errors.
        if isinstance(expected, ToolError):
            assert isinstance(result, ToolError), (number, expected)
        else:
            assert describe(result) == describe(expected), number
            accepted += 1
    assert 1 < accepted < 10


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
    assert describe(result) == describe(build_with_program(root, write_build(), KUBERNETES))


LEVELS = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9)]
BOMB = "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]", *LEVELS, ""])
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


@pytest.mark.parametrize(
    ("files", "refused"),
    [
        ({"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": MAP + BOMB}, "app/a.yaml"),
        (
            {
                "app/kustomization.yaml": f"resources: [a.yaml]\npatches:\n- patch: |\n{indent(MAP + BOMB, '    ')}",
                "app/a.yaml": MAP,
            },
            "app/kustomization.yaml",
        ),
        (
            {
                "app/kustomization.yaml": "resources: [a.yaml]\npatches: [{path: p.txt}]\n",
                "app/a.yaml": MAP,
                "app/p.txt": MAP + BOMB,
            },
            "p.txt",
        ),
    ],
    ids=["resource", "inline patch", "patch"],
)
def test_aliases_that_stand_for_too_much_are_refused_at_once(
    client: UpstreamClient, repository: Repository, files: Files, refused: str
) -> None:
    """The program itself needs all memory for them."""
    worker = client.get_worker()
    [result] = build(client, repository(files))
    assert isinstance(result, KustomizationError)
    assert f"{refused}: aliases expand to more than 100000 values" in str(result)
    assert client.get_worker() is worker


def test_an_anchor_that_contains_itself_ends_no_process(client: UpstreamClient, repository: Repository) -> None:
    worker = client.get_worker()
    files: Files = {"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": f"{MAP}x: &x [*x]\n"}
    [result] = build(client, repository(files))
    assert "an anchor contains itself" in str(result)
    assert client.get_worker() is worker


ENDLESS = '{{ define "a" }}{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}{{ end }}{{ range until 1000 }}{{ template "a" }}{{ end }}'
INFLATION = "helmCharts: [{name: web, releaseName: r}]\n"


def place_chart(folder: str, template: str) -> Files:
    """A kustomization with a chart of one template."""
    chart = f"{folder}/charts/web"
    head = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
    files: Files = {f"{chart}/Chart.yaml": head, f"{chart}/values.yaml": "", f"{chart}/templates/a.yaml": template}
    return {f"{folder}/kustomization.yaml": INFLATION, **files}


@pytest.mark.parametrize(
    "template", [ENDLESS, '{{ repeat 2000000000 "x" }}{{ repeat 2000000000 "y" }}'], ids=["time", "memory"]
)
def test_a_chart_without_end_stops_no_other_build(
    client: UpstreamClient, repository: Repository, template: str
) -> None:
    root = repository({**place_chart("bad", template), **place_chart("good", CONFIG_MAP.replace("NAME", "a"))})
    builds = [write_build("bad"), write_build("good")]
    [bad, good] = KustomizationBuilder(client, root, 3, KUBERNETES).build(builds)
    assert isinstance(bad, ToolError) and re.search(
        "took longer than 3 seconds|MB of memory|ended with status", str(bad)
    )
    assert name_objects(good) == ["a"]


def test_a_chart_of_a_generator_file_is_inflated(client: UpstreamClient, repository: Repository) -> None:
    generator = (
        "apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: web}\nname: web\nreleaseName: r\n"
    )
    files = place_chart("app", CONFIG_MAP.replace("NAME", "{{ .Release.Name }}"))
    files |= {"app/kustomization.yaml": "generators: [g.yaml]\n", "app/g.yaml": generator}
    [result] = build(client, repository(files))
    assert name_objects(result) == ["r"]


def test_links_in_a_chart_are_followed_inside_of_the_repository_only(
    client: UpstreamClient, repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "secret.yaml").write_text(CONFIG_MAP)
    root = repository(place_chart("app", CONFIG_MAP.replace("NAME", "a")) | {"b.yaml": CONFIG_MAP.replace("NAME", "b")})
    link = root / "app/charts/web/templates/b.yaml"
    link.symlink_to(root / "b.yaml")
    assert name_objects(build(client, root)[0]) == ["a", "b"]
    link.unlink()
    link.symlink_to(tmp_path / "secret.yaml")
    [result] = build(client, root)
    assert isinstance(result, ToolError) and "error evaluating symlink templates/b.yaml" in str(result)
    link.unlink()
    link.symlink_to("../templates")
    [result] = build(client, root)
    assert isinstance(result, ToolError) and "is a link to a folder above it" in str(result)


def test_a_chart_that_is_not_there_is_not_fetched(client: UpstreamClient, repository: Repository) -> None:
    chart = "helmCharts: [{name: web, releaseName: r, repo: 'https://charts.example.invalid', version: 1.0.0}]\n"
    [result] = build(client, repository({"app/kustomization.yaml": chart}))
    assert isinstance(result, ToolError)
    assert "the chart is not at '/repository/app/charts/web-1.0.0/web', and is not fetched" in str(result)


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
    builder = KustomizationBuilder(client, root, 20, KUBERNETES)
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
