"""Charts rendered by Helm's library: the same output and the same errors as the helm program, for each chart."""

from __future__ import annotations

import random
import re
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gatekeeper.errors import ToolError
from gatekeeper.host.process import run_command
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.helm import read_chart_files, render_release
from gatekeeper.upstream.helm_release import HelmRelease, ValuesFile
from tests.conftest import SHARED, needs, shared

SECONDS = 60.0
CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
HELPERS = '{{- define "web.name" }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}\n'
# What a template may contain, and what may be wrong with it.
TEMPLATES = (
    'kind: ConfigMap\napiVersion: v1\nmetadata: {name: {{ include "web.name" . }}}\ndata: {{ toYaml .Values | nindent 2 }}\n',
    "{{- range $i, $name := .Values.names }}\n---\nkind: Service\napiVersion: v1\nmetadata: {name: {{ $name | quote }}}\n{{- end }}\n",
    "kind: Job\napiVersion: batch/v1\nmetadata: {name: h, annotations: {helm.sh/hook: pre-install, helm.sh/hook-weight: '{{ .Values.n }}'}}\n",
    "kind: Pod\napiVersion: v1\nmetadata: {name: t, annotations: {helm.sh/hook: test}}\n",
    'kind: A\napiVersion: {{ if .Capabilities.APIVersions.Has "x.example/v1" }}x.example/v1{{ else }}v1{{ end }}\nversion: {{ .Capabilities.KubeVersion }}\n',
    'kind: B\napiVersion: v1\nx: {{ lookup "v1" "Secret" "a" "b" | toJson }}\nhost: \'{{ getHostByName "localhost" }}\'\n',
    'kind: C\napiVersion: v1\nfiles: {{ (.Files.Glob "config/*").AsConfig | nindent 2 }}\n',
    'kind: D\napiVersion: v1\nupgrade: {{ .Release.IsUpgrade }}\nx: {{ tpl "{{ .Values.n }}" . }}\n',
    'kind: E\napiVersion: v1\nx: {{ required "a name is required" .Values.missing }}\n',
    'kind: F\napiVersion: v1\nx: {{ env "HOME" }}\n',
    "kind: G\napiVersion: v1\nx: {{ .Values.missing.deeper }}\n",
    "kind: H\n  apiVersion: v1\n",
    '{{ fail "not like this" }}',
    "{{ if }}",
    "",
)
VALUES = (
    "n: 1\n",
    "n: two\nnames: [a, b]\n",
    "names: []\nsub: {n: 7}\n",
    "sub: {enabled: false}\n",
    "- a\n",
    "n: [\n",
    "n: null\n",
)
SCHEMA = '{"type": "object", "properties": {"n": {"type": "integer"}}}'


def render_with_program(chart: Path, release: HelmRelease) -> tuple[bool, str]:
    """Whether the helm program accepts the chart, and its output or its error."""
    program = DEFAULT_TOOLCHAIN.find("helm")
    command: list[str | Path] = [program, "template", release.name, chart, "--namespace", release.namespace]
    command += ["--kube-version", release.kubernetes]
    for flag, is_set in (
        ("--include-crds", release.includes_crds),
        ("--skip-tests", release.skips_tests),
        ("--is-upgrade", release.is_upgrade),
    ):
        command += [flag] if is_set else []
    for version in release.api_versions:
        command += ["--api-versions", version]
    for text in release.set_values:
        command += ["--set", text]
    for number, file in enumerate(release.values_files):
        path = chart.parent / f"{chart.name}-values-{number}.yaml"
        path.write_bytes(file.content)
        command += ["--values", path]
    code, out, words = run_command(command, SECONDS)
    # Lines before the error are logs and warnings.
    error = re.split(r"^Error: ", words, maxsplit=1, flags=re.MULTILINE)[-1].strip()
    for number, file in enumerate(release.values_files):
        error = error.replace(str(chart.parent / f"{chart.name}-values-{number}.yaml"), file.name)
    return code == 0, out.decode() if code == 0 else error


def render_with_library(client: UpstreamClient, chart: Path, release: HelmRelease) -> tuple[bool, str]:
    try:
        return True, render_release(client, read_chart_files(chart), release, SECONDS)
    except ToolError as error:
        return False, str(error)


def write_random_chart(folder: Path, chance: random.Random, depth: int = 1) -> None:
    """Writes a chart of random templates, values and subcharts, some of which are wrong."""
    (folder / "templates").mkdir(parents=True)
    text = CHART
    if chance.random() < 0.2:
        text += f"kubeVersion: '{chance.choice(('>=1.20.0-0', '>=1.99.0-0', 'x'))}'\n"
    if chance.random() < 0.1:
        text += f"type: {chance.choice(('library', 'application'))}\n"
    if depth and chance.random() < 0.6:
        write_random_chart(folder / "charts" / "sub", chance, 0)
        sub = (folder / "charts" / "sub" / "Chart.yaml").read_text().replace("name: web", "name: sub")
        (folder / "charts" / "sub" / "Chart.yaml").write_text(sub)
        entry = chance.choice(
            ("", ", condition: sub.enabled", ", alias: other", ", import-values: [{child: n, parent: m}]")
        )
        text += f"dependencies: [{{name: sub, version: 1.0.0{entry}}}]\n"
    (folder / "Chart.yaml").write_text(text)
    (folder / "templates" / "_helpers.tpl").write_text(HELPERS)
    for number in range(chance.randint(1, 4)):
        usual = chance.random() < 0.8
        (folder / "templates" / f"t{number}.yaml").write_text(chance.choice(TEMPLATES[:8] if usual else TEMPLATES))
    if chance.random() < 0.9:
        (folder / "values.yaml").write_text(chance.choice(VALUES[:4] if chance.random() < 0.9 else VALUES))
    if chance.random() < 0.3:
        (folder / "values.schema.json").write_text(SCHEMA)
    if chance.random() < 0.3:
        (folder / "crds").mkdir()
        (folder / "crds" / "a.yaml").write_text("kind: CustomResourceDefinition\napiVersion: v1\n---\n# x\n")
    (folder / "config").mkdir()
    (folder / "config" / "a.txt").write_text("line\n")
    if chance.random() < 0.2:
        (folder / ".helmignore").write_text(chance.choice(("config/\n", "templates/t1.yaml\n", "*.txt\n!a\n", "**\n")))
    if chance.random() < 0.1:
        (folder / "NOTES.txt").symlink_to(folder / "config" / "a.txt")


def build_random_release(chance: random.Random) -> HelmRelease:
    files = [
        ValuesFile(f"values-{number}.yaml", chance.choice(VALUES[:4] if chance.random() < 0.9 else VALUES).encode())
        for number in range(chance.randint(0, 2))
    ]
    return HelmRelease(
        name=chance.choice(("web", "shop-web", "Not_A_Name")) if chance.random() < 0.2 else "web",
        namespace="shop",
        kubernetes=chance.choice(("1.34", "1.30.2", "v1.33.0")),
        values_files=files,
        api_versions=["x.example/v1"] if chance.random() < 0.3 else [],
        set_values=["names={x,y}"] if chance.random() < 0.3 else [],
        includes_crds=chance.random() < 0.8,
        skips_tests=chance.random() < 0.5,
        is_upgrade=chance.random() < 0.3,
    )


@needs("helm")
@pytest.mark.parametrize("seed", range(4))
def test_random_charts_render_as_the_program_renders_them(client: UpstreamClient, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    accepted = 0
    for number in range(15):
        chart = tmp_path / f"chart-{number}"
        write_random_chart(chart, chance)
        release = build_random_release(chance)
        expected = render_with_program(chart, release)
        assert render_with_library(client, chart, release) == expected, f"chart {number} of seed {seed}"
        accepted += expected[0]
    assert 2 <= accepted < 15


# Schemas that a chart or its dependency may have, and values that meet some of them.
SCHEMAS = (
    "",
    SCHEMA.replace('"n"', '"size"'),
    '{"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/all", "definitions": {"all": {"properties": {"size": {"minimum": 2}}}}}',
    '{"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"size": {"maximum": 1, "exclusiveMaximum": true}}}',
    '{"additionalProperties": false, "properties": {"size": {}, "sub": {}, "global": {}, "enabled": {}}}',
    '{"properties": {"size": {"pattern": "^(?=a)"}}}',
    '{"properties": {"size": {"$ref": "urn:unknown"}}}',
    '{"properties": {"size": {"$ref": "#/gone"}}}',
    '{"type": "nothing"}',
    "{",
    "true",
    "false",
)
NUMBERS = (
    "size: 1\n",
    "size: 2.5\n",
    "size: 1e3\n",
    "size: 12345678901234567890\n",
    "size: text\n",
    "size: null\n",
    "sub: {size: x}\n",
    "sub: 1\n",
    "sub: null\n",
    "sub: {enabled: false}\n",
)


@needs("helm")
@pytest.mark.parametrize("seed", range(3))
def test_values_are_validated_as_by_the_program(client: UpstreamClient, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    accepted = 0
    for number in range(20):
        chart = tmp_path / f"chart-{number}"
        for folder, name in ((chart, "web"), (chart / "charts" / "sub", "sub")):
            write_chart(folder, "a: {{ .Values.size | toJson }}\n")
            dependency = (
                "dependencies: [{name: sub, version: 1.0.0, condition: sub.enabled}]\n" if name == "web" else ""
            )
            (folder / "Chart.yaml").write_text(CHART.replace("web", name) + dependency)
            (folder / "values.yaml").write_text(chance.choice(NUMBERS[:3]))
            if schema := chance.choice(SCHEMAS[:5] if chance.random() < 0.8 else SCHEMAS):
                (folder / "values.schema.json").write_text(schema)
        # The same chart again, with its compiled schema.
        for _ in range(2):
            values = [ValuesFile("v.yaml", chance.choice(NUMBERS).encode()) for _ in range(chance.randint(0, 2))]
            release = HelmRelease("web", "shop", "1.34", values)
            expected = render_with_program(chart, release)
            found = render_with_library(client, chart, release)
            assert (found[0], found[1].strip()) == (expected[0], expected[1].strip()), f"chart {number} of seed {seed}"
            accepted += expected[0]
    assert 2 <= accepted < 40


def public_charts() -> Iterator[Path]:
    yield from sorted((SHARED / "corpora" / "charts").rglob("*.tgz")) if SHARED.is_dir() else ()


@needs("helm")
@shared("corpora/charts")
@pytest.mark.parametrize("archive", list(public_charts()), ids=lambda path: path.name)
def test_public_charts_render_as_the_program_renders_them(
    client: UpstreamClient, tmp_path: Path, archive: Path
) -> None:
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    [chart] = [path for path in tmp_path.iterdir() if path.is_dir()]
    release = HelmRelease("web", "shop", "1.34")
    first, again = render_with_program(chart, release), render_with_program(chart, release)
    found = render_with_library(client, chart, release)
    if first == again:
        assert found == first
    else:
        # Helm makes passwords and certificates at random.
        assert found[0] and _outline(found[1]) == _outline(first[1])


def _outline(text: str) -> list[object]:
    """The documents of a text, with types in place of values."""
    return [_replace_values(one) for one in yaml.load_all(text, yaml.CBaseLoader)]


def _replace_values(value: object) -> object:
    if isinstance(value, dict):
        return {key: _replace_values(one) for key, one in value.items()}
    return [_replace_values(one) for one in value] if isinstance(value, list) else type(value)


def write_chart(folder: Path, template: str) -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(CHART)
    (folder / "templates" / "a.yaml").write_text(template)
    return folder


LARGE = 'a: {{ repeat 2000000000 "x" }}{{ repeat 2000000000 "y" }}'


def test_a_chart_that_needs_too_much_memory_stops_no_other(client: UpstreamClient, tmp_path: Path) -> None:
    large, small = write_chart(tmp_path / "large", LARGE), write_chart(tmp_path / "small", "a: 1\n")
    release = HelmRelease("web", "shop", "1.34")
    faults: list[str] = []

    def render_large() -> None:
        faults.append(render_with_library(client, large, release)[1])

    thread = threading.Thread(target=render_large)
    thread.start()
    found = [render_with_library(client, small, release) for _ in range(20)]
    thread.join()
    assert set(found) == {(True, "---\n# Source: web/templates/a.yaml\na: 1\n")}
    assert re.search("MB of memory|ended with status", faults[0])


def test_an_endless_template_is_stopped(client: UpstreamClient, tmp_path: Path) -> None:
    endless = write_chart(
        tmp_path / "endless",
        '{{ define "a" }}{{ range until 100000 }}{{ range until 100000 }}'
        '{{ end }}{{ end }}{{ end }}{{ range until 1000 }}{{ template "a" }}{{ end }}',
    )
    with pytest.raises(ToolError, match=r"took longer than 1 seconds|MB of memory"):
        render_release(client, read_chart_files(endless), HelmRelease("web", "shop", "1.34"), 1)


def test_a_link_to_a_folder_above_is_a_fault(client: UpstreamClient, tmp_path: Path) -> None:
    chart = write_chart(tmp_path / "chart", "a: 1\n")
    (chart / "files").symlink_to(chart)
    accepted, words = render_with_library(client, chart, HelmRelease("web", "shop", "1.34"))
    assert (accepted, words) == (False, "files is a link to a folder above it")
