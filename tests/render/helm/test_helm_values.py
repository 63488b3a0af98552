"""Chart values in resources: located, parsed as `--set` parses them, and merged as Helm merges them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.host import toolchain
from gatekeeper.host.process import run_command
from gatekeeper.model import Location, format_path, get_field
from gatekeeper.render.helm import helm_values
from tests.conftest import needs
from tests.engines.resources import parse_resources


@pytest.mark.parametrize(
    ("name", "value", "held"),
    [
        ("a.b", "1", {"a": {"b": 1}}),
        ("a[1].b", "true", {"a": [None, {"b": True}]}),
        (r"a.b\.c/d", "007", {"a": {"b.c/d": "007"}}),
        ("x", "null", {"x": None}),
    ],
)
def test_parameters_are_read_as_helm_reads_set(name: str, value: str, held: Any) -> None:
    assert helm_values.parse_parameters([{"name": name, "value": value}])[0] == held


PARAMETERS = [
    *("{a,b}", "{}", "{a, b}", "{a}", "{a,}", "{,}", "{ }", "{a=b,c:d}", '{"a","b"}', "{--verbose,--port=8080}"),
    *(r"{1,true,null,0,01,-5,+5,x\,y}", "{TRUE,Null,FALSE}", r"{a\}b}", "{a b}", "{9223372036854775808,1e3,1.5}"),
    *(
        "TRUE",
        "Null",
        "+5",
        "-0",
        "00",
        "01",
        "1e3",
        "1.5",
        r"a\\b",
        r"a\b",
        "a,b",
        r"a\,b",
        "",
        '"x"',
        "a=b",
        "é",
        "x y",
    ),
]


@needs("helm")
def test_values_of_parameters_are_those_of_helm(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: c\nversion: 1.0.0\n")
    (tmp_path / "templates" / "a.yaml").write_text("{{ .Values.v | toJson }}\n")
    command: list[str | Path] = [toolchain.DEFAULT_TOOLCHAIN.find("helm"), "template", tmp_path]
    for number, value in enumerate(PARAMETERS):
        # As Argo CD does: commas are escaped outside of braces.
        is_list = value.startswith("{") and value.endswith("}")
        escaped = value if is_list else re.sub(r"(?<!\\),", r"\,", value)
        command += ["--set", f"v.t{number}={escaped}", "--set-string", f"v.s{number}={escaped}"]
    code, out, words = run_command(command, 60)
    assert code == 0, words
    theirs = orjson.loads(out.partition(b"a.yaml\n")[2])
    ours = helm_values.parse_parameters(
        [
            {"name": f"{kind}{number}", "value": value, "forceString": kind == "s"}
            for number, value in enumerate(PARAMETERS)
            for kind in "ts"
        ]
    )[0]
    assert {key: (PARAMETERS[int(key[1:])], ours[key]) for key in ours} == {
        key: (PARAMETERS[int(key[1:])], theirs.get(key)) for key in ours
    }


def test_mappings_merge_and_all_else_is_replaced() -> None:
    assert helm_values.merge_values({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}, "d": 3}) == {
        "a": {"b": 1, "c": [2]},
        "d": 3,
    }


KEYS = st.text("abc", min_size=1, max_size=2)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(KEYS, VALUES, max_size=3)
RESOURCE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: a}
spec:
  values:
    image:
      tag: v1
  text: |
    # a comment
    image:
      tag: v2
  number: 7
"""


@settings(deadline=None)
@given(MAPPINGS, MAPPINGS)
def test_merged_values_have_the_override_where_it_is_set_and_the_base_elsewhere(
    base: dict[str, Any], override: dict[str, Any]
) -> None:
    def check(base: Any, override: Any, merged: Any) -> None:
        if not (isinstance(base, dict) and isinstance(override, dict)):
            assert merged == override
            return
        assert merged.keys() == base.keys() | override.keys()
        for key in merged:
            if key in base and key in override:
                check(base[key], override[key], merged[key])
            else:
                assert merged[key] == (override if key in override else base)[key]

    check(base, override, helm_values.merge_values(base, override))


# Without what is syntax in a value of `--set`.
PLAIN = st.text(st.characters(exclude_characters="\\\\{}"), max_size=3)


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(KEYS | st.integers(0, 3), min_size=1, max_size=3), PLAIN), min_size=1))
def test_the_last_parameter_is_set_at_its_path_whatever_came_before(
    parameters: list[tuple[list[str | int], str]],
) -> None:
    parameters = [([f"k{steps[0]}", *steps[1:]], text) for steps, text in parameters]
    entries = [{"name": format_path(tuple(steps)), "value": text, "forceString": True} for steps, text in parameters]
    steps, text = parameters[-1]
    assert get_field(helm_values.parse_parameters(entries)[0], tuple(steps)) == text


def test_a_forced_string_and_a_number_that_is_none_stay_text() -> None:
    entries = [
        {"name": "a", "value": "1", "forceString": True},
        {"name": "b", "value": "1.5"},
        {"name": "c", "value": "-3"},
        {"name": "d", "value": 5},
        {"value": "x"},
        "no mapping",
    ]
    assert helm_values.parse_parameters(entries)[0] == {"a": "1", "b": "1.5", "c": -3}


def test_a_later_parameter_replaces_an_earlier_one() -> None:
    entries = [{"name": "a", "value": "x"}, {"name": "a.b", "value": "y"}, {"name": "l[1]", "value": "z"}]
    assert helm_values.parse_parameters(entries)[0] == {"a": {"b": "y"}, "l": [None, "z"]}


def test_values_of_a_mapping_and_of_a_text_are_located_in_their_resource() -> None:
    [resource] = parse_resources(RESOURCE)
    for field, line, tag in (("values", 7, "v1"), ("text", 11, "v2")):
        read = helm_values.read_mapping if field == "values" else helm_values.read_embedded_yaml
        value, located = read(resource, ("spec", field))
        assert value == {"image": {"tag": tag}} and located is not None
        place = located.find_location(("image", "tag"))
        assert (place.file, place.line) == ("a.yaml", line)


@pytest.mark.parametrize("field", ["number", "missing"])
def test_a_field_that_holds_no_values_counts_as_none(field: str) -> None:
    [resource] = parse_resources(RESOURCE)
    assert helm_values.read_mapping(resource, ("spec", field)) == helm_values.NO_VALUES
    assert helm_values.read_embedded_yaml(resource, ("spec", field)) == helm_values.NO_VALUES


@pytest.mark.parametrize("text", ["a: [", "- 1", "", None, 7])
def test_text_that_is_no_mapping_counts_as_none(text: Any) -> None:
    assert helm_values.parse_values(text) == helm_values.NO_VALUES


def test_values_in_a_text_are_located_from_its_first_line() -> None:
    value, located = helm_values.parse_values("# note\na: 1\n")
    assert value == {"a": 1} and located is not None
    assert located.find_location(("a",)) == Location("", 2, 4)
