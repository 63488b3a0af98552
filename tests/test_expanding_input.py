"""Input that is small and becomes huge, or is huge: each is refused or bounded, with one message, and the rest is checked."""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Callable, Mapping

import pytest

from tests.conftest import Repository, command, needs
from tests.gate.test_pipeline import GOOD

pytestmark = needs("gatekeeper-upstream")
Files = dict[str, str | bytes]
LETTERS = "abcdefghij"
# Each line holds the line before ten times.
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n" for before, after in itertools.pairwise(LETTERS)
)
CHART = "apiVersion: v2\nname: c\nversion: 1.0.0\n"
DEPENDENT = CHART + "dependencies: [{name: s, version: 1.0.0}]\n"
OBJECT = (
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: b, labels: {read: by-its-label}}\ndata: {a: %s}\n"
)
SUBCHART = {"s/Chart.yaml": b"apiVersion: v2\nname: s\nversion: 1.0.0\n"}


def pack(files: Mapping[str, bytes]) -> bytes:
    """A packed chart of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def build_chart(template: str, **more: str | bytes) -> Files:
    return {"c/Chart.yaml": CHART, "c/templates/a.yaml": template, **{f"c/{name}": text for name, text in more.items()}}


def build_packed(files: Mapping[str, bytes]) -> Files:
    return {**build_chart(OBJECT % 1), "c/Chart.yaml": DEPENDENT, "c/charts/s-1.0.0.tgz": pack({**SUBCHART, **files})}


def build_helper(call: str) -> Files:
    return build_chart(
        f'{{{{ {call} "a" . }}}}', **{"templates/_h.tpl": f'{{{{ define "a" }}}}{{{{ {call} "a" . }}}}{{{{ end }}}}'}
    )


# The files, and words of the output; each is incomplete.
CASES: dict[str, tuple[Callable[[], Files], str]] = {
    "aliases": (lambda: {"m.yaml": BOMB}, "m.yaml:1:1: error: cannot be read: aliases expand to more than"),
    "aliases in a kustomization": (
        lambda: {"k/kustomization.yaml": BOMB + "resources: []\n"},
        "k/kustomization.yaml:1:1: error: cannot be read: aliases expand to more than",
    ),
    "aliases in values": (
        lambda: build_chart(OBJECT % 1, **{"values.yaml": BOMB}),
        "c/values.yaml:1:1: error: cannot be read: alia",
    ),
    "aliases in Chart.yaml": (
        lambda: {"c/Chart.yaml": CHART + BOMB},
        "c/Chart.yaml:1:1: error: cannot be read: aliases exp",
    ),
    "aliases in a template": (
        lambda: build_chart("{{ 1 }}: 2\n" + BOMB),
        "c/Chart.yaml:1: error: YAML parse error on c/templates",
    ),
    "deep JSON": (
        lambda: {"m.json": '{"apiVersion": "v1", "kind": "ConfigMap", "data": ' + "[" * 100_000 + "]" * 100_000 + "}"},
        "m.json:1:251: error: cannot be read: nested more than 200 levels deep",
    ),
    "a schema of deep JSON": (
        lambda: build_chart(OBJECT % 1, **{"values.schema.json": '{"properties":' * 20_000 + "{}" + "}" * 20_000}),
        "exceeded max depth",
    ),
    "recursion of include": (lambda: build_helper("include"), "rendering template has a nested reference name: a"),
    "recursion of template": (lambda: build_helper("template"), "exceeded maximum template depth"),
    "a template of 1 GB": (
        lambda: build_chart(OBJECT % '{{ repeat 1000000000 "x" | quote }}'),
        "c/Chart.yaml:1: error: gatekeeper-upstream needed more than 1024 MB of memory",
    ),
    "a packed chart of 200 MB": (
        lambda: build_packed({"s/templates/z": b"\0" * (200 << 20)}),
        "decompressed chart is larger than",
    ),
    "a packed chart that leaves its folder": (
        lambda: build_packed({"s/../../../../tmp/evil": b"x"}),
        "chart illegally references parent directory",
    ),
    "a packed chart that is damaged": (
        lambda: {**build_packed({}), "c/charts/s-1.0.0.tgz": pack(SUBCHART)[:50]},
        "error unpacking subchart s-1.0.0.tgz in c: unexpected EOF",
    ),
    "values of 6 MB": (
        lambda: build_chart(OBJECT % 1, **{"values.yaml": "a: " + "x" * (6 << 20) + "\n"}),
        'chart file "values.yaml" is larger than the maximum file size 5242880',
    ),
    "a generator of 25 MB": (
        lambda: {"k/kustomization.yaml": "configMapGenerator: [{name: a, files: [f]}]\n", "k/f": b"x" * (25 << 20)},
        "open k/f: larger than 20 MB",
    ),
    "kustomizations in a circle": (
        lambda: {"k/kustomization.yaml": "resources: [../l]\n", "l/kustomization.yaml": "resources: [../k]\n"},
        "cycle detected: candidate root 'k' contains visited root 'k'",
    ),
    "a component of itself": (
        lambda: {"k/kustomization.yaml": "components: [.]\n"},
        "cycle detected: candidate root 'k'",
    ),
    "a kustomization of a program": (
        lambda: {
            "k/kustomization.yaml": "generators: [g.yaml]\n",
            "k/g.yaml": "apiVersion: v1\nkind: X\nmetadata: {name: x}\n",
        },
        "external plugins disabled; unable to load external plugin 'X'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_has_one_message_and_the_rest_is_checked(repository: Repository, case: str) -> None:
    build, words = CASES[case]
    code, out, err = command("check", repository({**build(), "wrong.yaml": GOOD.replace("\ndata:", "\ndta:")}))
    assert (code, err) == (3, ""), out
    assert words in out
    assert "wrong.yaml:4:1: error: unknown field `dta`" in out


def test_many_documents_and_nodes_are_checked(repository: Repository) -> None:
    """10,000 documents in one file, the last of which is wrong, and a list of 500,000 numbers."""
    documents = "---\n".join(GOOD.replace("name: a", f"name: a{number}") for number in range(10_000))
    numbers = GOOD.replace("name: a", "name: n") + "more:\n" + "- 1\n" * 500_000
    wrong = GOOD.replace("\ndata:", "\ndta:")
    code, out, err = command("check", repository({"a.yaml": f"{documents}---\n{wrong}", "n.yaml": numbers}))
    assert (code, err) == (1, ""), out
    assert "a.yaml:50004:1: error: unknown field `dta`" in out and "n.yaml:5:1: error: unknown field `more`" in out
    assert "10002 resources" in out
