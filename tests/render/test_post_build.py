"""Substitution of variables after the build: values get their types as in YAML text, others stay."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.render import post_build
from tests.conftest import Repository, needs
from tests.engines.resources import build_resource
from tests.render.rendering import WEB, flux, render, the


@needs("kustomize")
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


def substitute(spec: Any, metadata: dict[str, Any] | None = None, **variables: str) -> Any:
    value = {"apiVersion": "v1", "kind": "A", "metadata": metadata or {"name": "a"}, "spec": spec}
    [resource] = post_build.substitute_variables([build_resource(value)], variables)
    return resource.value["spec"]


@pytest.mark.parametrize(
    ("text", "value", "substituted"),
    [
        ("${v}", "3", 3),
        ("${v}", "true", True),
        ("${v}", "1.5", 1.5),
        ("${v}", "007a", "007a"),
        ("${v}", "null", "null"),
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
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab$", max_size=2), inner, max_size=3),
        max_leaves=8,
    )
)
def test_values_without_a_variable_and_all_keys_stay_as_they_are(spec: Any) -> None:
    assert substitute(spec, a="1", b="2") == spec
