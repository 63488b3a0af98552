"""Substitution of variables after the build: values get their types as in YAML text, others stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.render import post_build
from gatekeeper.upstream.client import UpstreamClient, open_client
from tests.conftest import Repository, judge, needs
from tests.engines.resources import build_resource
from tests.render.rendering import WEB, flux, render, the

pytestmark = needs("gatekeeper-upstream")


def test_variables_come_from_config_maps_too_and_get_their_types(repository: Repository) -> None:
    more = "  postBuild: {substituteFrom: [{kind: ConfigMap, name: vars}]}\n"
    config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: flux-system}\n"
    root = repository(
        {
            "clusters/a.yaml": flux("a", "./apps", more),
            "clusters/vars.yaml": config_map + "data: {replicas: '3'}\n",
            "apps/web.yaml": WEB.replace("replicas: 1", "replicas: ${replicas}").replace("web:1", "web:${tag:=8}"),
        }
    )
    spec = the(render(root), "Deployment").value["spec"]
    assert spec["replicas"] == 3
    assert spec["template"]["spec"]["containers"][1]["image"] == "web:8"


# Flux refuses an object with one of the others, as YAML does.
YAML_CHARACTERS = st.characters(
    exclude_categories=["Cs"], exclude_characters=[*map(chr, range(0x7F, 0xA0)), *"\ufeff\ufffe\uffff"]
)


def substitute(spec: Any, metadata: dict[str, Any] | None = None, **variables: str) -> Any:
    value = {"apiVersion": "v1", "kind": "A", "metadata": metadata or {"name": "a"}, "spec": spec}
    output = post_build.substitute_variables(open_client(""), [build_resource(value)], variables)
    assert output.findings == [] and output.gaps == []
    return output.resources[0].value["spec"]


@pytest.mark.parametrize(
    ("text", "value", "substituted"),
    [
        ("${v}", "3", 3),
        ("${v}", "true", True),
        ("${v}", "1.5", 1.5),
        ("${v}", "007a", "007a"),
        ("${v}", "null", None),
        ("${v}", "~", None),
        ("${v}", "a # b", "a"),
        ("${v}", "&x yy", "yy"),
        ("${v}", "!x yy", "yy"),
        ("${v}", "[a, 1]", ["a", 1]),
        ("${v}", '{"a": 1}', {"a": 1}),
        ("${v}", "'3'", "3"),
        ("${v}", "0777", 511),
        ("${v}", "yes", True),
        ("${v}", "a:b", "a:b"),
        ("${v}", "2024-01-01", "2024-01-01"),
        ("'${v}'", "3", "'3'"),
        ("${v}\nx", ": #", ": #\nx"),
        ("- ${v}", "3", "- 3"),
        ("$$v", "3", "$v"),
        ("x-${v}", "3", "x-3"),
        ("a: ${v}", "3", "a: 3"),
        ("${other}", "3", "${other}"),
        ("${v} ${other}", "3", "3 ${other}"),
    ],
)
def test_a_substituted_value_has_the_type_that_yaml_gives_it(text: str, value: str, substituted: object) -> None:
    assert substitute({"field": [text]}, v=value) == {"field": [substituted]}


@pytest.mark.parametrize("word", ["labels", "annotations"])
def test_an_object_can_refuse_substitution(word: str) -> None:
    metadata = {"name": "a", word: {post_build.SUBSTITUTE_ANNOTATION: "disabled"}}
    assert substitute("${v}", metadata, v="3") == "${v}"
    metadata[word] = {post_build.SUBSTITUTE_ANNOTATION: "enabled"}
    assert substitute("${v}", metadata, v="3") == 3


def test_without_a_single_variable_nothing_is_substituted_not_even_a_default() -> None:
    assert substitute("${v:=8}") == "${v:=8}"
    assert substitute("${v:=8}", w="1") == 8


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab: -#", max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
        max_leaves=8,
    )
)
def test_values_without_a_variable_stay_as_they_are(spec: Any) -> None:
    assert substitute(spec, a="1", b="2") == spec


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(YAML_CHARACTERS, min_size=1, max_size=5),
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.floats(-9, 9, width=16)
        | st.text(YAML_CHARACTERS),
        min_size=1,
    )
)
def test_what_is_not_substituted_is_the_same_after_writing_and_reading(spec: dict[str, Any]) -> None:
    spec = {
        key.replace("$", "x"): text.replace("$", "x") if isinstance(text, str) else text for key, text in spec.items()
    }
    assert substitute({**spec, "zz": "${v}"}, v="1") == {**spec, "zz": 1}


def test_an_object_that_flux_cannot_write_is_an_error() -> None:
    resource = build_resource({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}, "spec": "${v}\x7f"})
    [finding] = post_build.substitute_variables(open_client(""), [resource], {"v": "x"}).findings
    assert "control characters are not allowed" in finding.message


def test_keys_are_substituted() -> None:
    assert substitute({"${v}": "a", "x-${v}": 1}, v="b") == {"b": "a", "x-b": 1}


@pytest.mark.parametrize(
    "value",
    [
        "*urgent*",
        "%a",
        "@a",
        "`a",
        "{a",
        "[a",
        "- a: b\t- c",
        "a: b",
        "'a",
        '"a',
        "a: ",
        "[a]b",
        "&",
        "*",
        "!!int x",
        ".inf",
    ],
)
def test_a_value_that_breaks_the_text_is_an_error_and_a_fatal_gap(value: str) -> None:
    resource = build_resource({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}, "spec": {"note": "${v}"}})
    output = post_build.substitute_variables(open_client(""), [resource], {"v": value})
    assert output.resources == []
    assert [finding.rule for finding in output.findings] == ["render/substitute"]
    assert [gap.is_fatal for gap in output.gaps] == [True]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("${BASH_SOURCE[0]}", "missing closing brace"),
        ("${!name}", "unable to parse variable name"),
        ("${v/a}", "bad substitution"),
        ("a ${", "unable to parse variable name"),
    ],
)
def test_a_reference_that_flux_cannot_read_is_an_error_and_a_fatal_gap(text: str, reason: str) -> None:
    value = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"run.sh": text}}
    output = post_build.substitute_variables(open_client(""), [build_resource(value)], {"v": "x"})
    [finding], [gap] = output.findings, output.gaps
    assert reason in finding.message and "$${" in finding.hint and gap.is_fatal
    value["metadata"] = {"name": "a", "annotations": {post_build.SUBSTITUTE_ANNOTATION: "disabled"}}
    assert post_build.substitute_variables(open_client(""), [build_resource(value)], {"v": "x"}).findings == []


def test_without_the_program_there_is_one_fatal_gap(tmp_path: Path) -> None:
    client = UpstreamClient(lambda: tmp_path / "missing", "1")
    resources = [
        build_resource({"apiVersion": "v1", "kind": "A", "metadata": {"name": name, "uid": "${v}"}}) for name in "ab"
    ]
    output = post_build.substitute_variables(client, resources, {"v": "x"})
    [gap] = output.gaps
    assert gap.is_fatal and "in 2 objects" in gap.reason and output.resources == resources


def test_a_variable_name_that_flux_refuses_is_an_error(repository: Repository) -> None:
    more = "  postBuild:\n    substitute:\n      good: a\n      not-good: b\n"
    root = repository({"clusters/a.yaml": flux("a", "./apps", more), "apps/web.yaml": WEB})
    found = [finding for finding in judge(root).findings if finding.rule == "render/substitute"]
    assert [(finding.location.file, finding.location.line) for finding in found] == [("clusters/a.yaml", 12)]
    assert "`not-good`" in found[0].message


def test_line_ends_of_values_from_config_maps_are_removed(repository: Repository) -> None:
    more = "  postBuild: {substituteFrom: [{kind: ConfigMap, name: vars}]}\n"
    config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: flux-system}\n"
    files: dict[str, str | bytes] = {"clusters/a.yaml": flux("a", "./apps", more)}
    files["clusters/vars.yaml"] = config_map + "data:\n  tag: |\n    1.2.3\n"
    files["apps/web.yaml"] = WEB.replace("web:1", "web:${tag}")
    spec = the(render(repository(files)), "Deployment").value["spec"]
    assert spec["template"]["spec"]["containers"][1]["image"] == "web:1.2.3"
