"""What `${VAR}` comes to: by Flux's own cases, and where ours leave a text as it stands."""

from __future__ import annotations

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.render.envsubst import expand_variables
from tests.servers.modules import module

CASE = re.compile(r"params:\s*map\[string\]string\{(.*?)\},\s*input:\s*([\"`].*?[\"`]),\s*output:\s*([\"`].*?[\"`]),\n")
PAIR = re.compile(r'"((?:[^"\\]|\\.)*)":\s*"((?:[^"\\]|\\.)*)"')


def unquoted(text: str) -> str:
    """A text as Go writes it."""
    return text[1:-1] if text.startswith("`") else str(orjson.loads(text))


def test_flux_test_cases_have_the_same_result() -> None:
    text = (module("github.com/fluxcd/pkg/envsubst", "v1.5.0") / "eval_test.go").read_text()
    cases = [
        (dict(PAIR.findall(held)), unquoted(given), unquoted(wanted)) for held, given, wanted in CASE.findall(text)
    ]
    assert len(cases) > 30
    other = []
    for variables, given_, wanted in cases:
        # What nothing sets is left, where Flux writes nothing.
        if wanted == "" and not variables:
            assert expand_variables(given_, variables) == given_
        elif expand_variables(given_, variables) != wanted:
            other.append((variables, given_, wanted, expand_variables(given_, variables)))
    assert other == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("${a}", "shop"),
        ("${b}", "${b}"),
        ("${b:-x}", "x"),
        ("${e:-x}", "x"),
        ("${a:-x}", "shop"),
        ("$a", "$a"),
        ("$${a}", "${a}"),
        ("a$$b", "a$b"),
        ("${a", "${a"),
        ("${}", "${}"),
        ("${b^^}", "${b^^}"),
        ("${a:1:2}", "ho"),
        ("${a: -2}", "shop"),
        ("${a:x}", "shop"),
        ("${a:9}", ""),
        ("${a/o}", "${a/o}"),
        ("${a#[st]h}", "op"),
        ("${a%[op]*}", "shop"),
    ],
)
def test_unresolved_reference_stays_unchanged(text: str, wanted: str) -> None:
    assert expand_variables(text, {"a": "shop", "e": ""}) == wanted


@given(st.text(alphabet="${}ab:-/#%^,*[]\\=1", max_size=40))
def test_any_program_terminates(text: str) -> None:
    assert isinstance(expand_variables(text, {"a": "b*"}), str)


@given(st.text())
def test_a_text_without_the_sign_stays(text: str) -> None:
    plain = text.replace("$", "")
    assert expand_variables(plain, {"a": "x"}) == plain


# By fluxcd/pkg/envsubst 1.4, run on random input.
FLUX_RESULTS = [
    ("${a:1 }", "Hello"),
    ("${a:1}", "ello"),
    ("${a:1:2 }", "Hello"),
    ("${a:-2}", "Hello"),
    ("${a:+1}", "Hello"),
    ("${a/}/x}", "Hello"),
    ("${a/ll/}}", "Heo}"),
    ("${a/%}/x}", "Hello"),
    ("${a//}/x}", "Hello"),
]


@pytest.mark.parametrize(("text", "result"), FLUX_RESULTS)
def test_rare_forms_are_substituted_as_flux_does(text: str, result: str) -> None:
    assert expand_variables(text, {"a": "Hello"}) == result
