"""Rego that would end the process of the embedded engine is refused with its place, and nothing else is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gatekeeper.engines.rego import library
from gatekeeper.engines.rego.loader import parse_modules
from gatekeeper.engines.rego.model import PolicySet, RegoModule
from gatekeeper.engines.rego.regorus import stack_limits
from gatekeeper.engines.rego.regorus.engine import RegorusEngine
from gatekeeper.errors import PolicyError
from tests.conftest import SHARED, Repository, command, shared
from tests.gate.test_pipeline import GOOD

V1 = "package a\n\nimport rego.v1\n\n"
RECURSIVE: dict[str, tuple[list[str], str]] = {
    "itself": ([V1 + "f(x) := f(x)\n"], "0.rego:5: a function is recursive, which OPA refuses: data.a.f -> data.a.f"),
    "each other": ([V1 + "f(x) := g(x)\n\ng(x) := f(x)\n"], "data.a.f -> data.a.g -> data.a.f"),
    "in a body": ([V1 + "f(x) := y if {\n\ty := f(x)\n}\n"], "data.a.f -> data.a.f"),
    "in a body without braces": ([V1 + "f(x) := 1 if\n\tf(x)\n"], "data.a.f -> data.a.f"),
    "in the second body": ([V1 + "f(1) := 1\n\nf(x) := f(1) if x > 1\n"], "data.a.f -> data.a.f"),
    "in else": ([V1 + "f(x) := 1 if {\n\tx\n} else := f(x)\n"], "data.a.f -> data.a.f"),
    "in a comprehension": ([V1 + "f(x) := {y | some z in x; y := f(z)}\n"], "data.a.f -> data.a.f"),
    "v0": (["package a\n\nf(x) = y { y := f(x) }\n"], "data.a.f -> data.a.f"),
    "by its full name": ([V1 + "f(x) := data.a.f(x)\n"], "data.a.f -> data.a.f"),
    "in another package": (
        [
            V1 + "import data.b\n\nf(x) := b.g(x)\n",
            "package b\n\nimport rego.v1\nimport data.a as c\n\ng(x) := c.f(x)\n",
        ],
        "data.a.f -> data.b.g -> data.a.f",
    ),
    "an imported function": ([V1 + "import data.a.f as g\n\nf(x) := g(x)\n"], "data.a.f -> data.a.f"),
    "in another file": ([V1 + "f(x) := g(x)\n", V1 + "g(x) := f(x)\n"], "data.a.f -> data.a.g -> data.a.f"),
}
FINITE = [
    "f(x) := g(x)\n\ng(x) := x\n",
    'f(x) := "f(x)"\n\n# f(x)\n',
    "f(x) := y if {\n\ty := g(x)\n}\n\ng(x) := 1\n\ndeny contains f(1)\n",
    "  f(x) := 1\n\n  b := f(2)\n\n  c := f(3)\n",
    "f(x) := x if\n\tcount(x) > 1\n\nb := f([1, 2])\n",
    "f(x) := 1\n\nb if {\n\tf(1)\n}\n\nelse if f(2)\n",
    "f(x) := other.f(x)\n",
    "f(x) := x.f\n\ng(f) := f\n",
]


def parse(texts: Sequence[str]) -> list[RegoModule]:
    return parse_modules([(f"{number}.rego", text) for number, text in enumerate(texts)])


@pytest.mark.parametrize("case", RECURSIVE)
def test_functions_that_call_themselves_are_refused(case: str) -> None:
    texts, message = RECURSIVE[case]
    with pytest.raises(PolicyError) as raised:
        stack_limits.reject_recursion(parse(texts))
    assert str(raised.value).endswith(message)


@pytest.mark.parametrize("text", FINITE)
def test_other_functions_are_not_refused(text: str) -> None:
    stack_limits.reject_recursion(parse([V1 + text]))


@pytest.mark.parametrize(
    "value",
    [
        "[" * 13 + "1" + "]" * 13,
        "{" * 13 + "1" + "}" * 13,
        '{"a": ' * 13 + "1" + "}" * 13,
        "[{" * 7 + "1" + "}]" * 7,
        "[ x | x := " * 13 + "1" + "]" * 13,
        "abs(" * 101 + "1" + ")" * 101,
        "input" + "[input" * 101 + "]" * 101,
        "-" * 100 + "1",
        "- " * 100 + "1",
    ],
)
def test_deep_nesting_is_refused_at_its_line(value: str) -> None:
    [module] = parse([f"{V1}a := 1\n\nb := {value}\n"])
    with pytest.raises(PolicyError, match=r"^0\.rego:7: values are nested more than 12 levels deep, or brackets"):
        stack_limits.reject_deep_nesting(module)


@pytest.mark.parametrize(
    "value",
    [
        "[" * 12 + "1" + "]" * 12,
        "abs(" * 30 + "1" + ")" * 30,
        "[1]" + " + [1]" * 500,
        '"' + "[" * 99 + '"',
        "1 # " + "{" * 99,
    ],
)
def test_common_nesting_is_not_refused(value: str) -> None:
    [module] = parse([f"{V1}b := {value}\n"])
    stack_limits.reject_deep_nesting(module)


def test_the_library_is_not_refused() -> None:
    modules = library.load_rules()[1].modules
    stack_limits.reject_recursion(modules)
    for module in modules:
        stack_limits.reject_deep_nesting(module)


@shared("corpora")
def test_public_policies_are_not_refused() -> None:
    folders: dict[str, list[tuple[str, str]]] = {}
    for path in sorted((SHARED / "corpora").rglob("*.rego")):
        text = path.read_text(errors="replace")
        if "package " in text:
            folders.setdefault(str(path.parent), []).append((path.name, text))
    assert folders
    for texts in folders.values():
        modules = parse_modules(texts)
        stack_limits.reject_recursion(modules)
        for module in modules:
            stack_limits.reject_deep_nesting(module)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("f(x) := f(x)\n\ndeny contains f(1)\n", "p/a.rego:5: a function is recursive, which OPA refuses"),
        (
            f"deny contains 'x' if {{ {'[' * 20_000}1{']' * 20_000} == 2 }}\n",
            "p/a.rego:5: values are nested more than 12",
        ),
        (f"deny contains 'x' if {{ {'{' * 500}1{'}' * 500} == 2 }}\n", "p/a.rego:5: values are nested more than 12"),
        (f"deny contains 'x' if {{ {'-' * 20_000}1 == 2 }}\n", "p/a.rego:5: values are nested more than 12"),
    ],
)
def test_a_policy_that_would_end_the_process_is_named_and_the_rest_is_checked(
    repository: Repository, rule: str, message: str
) -> None:
    config = "library: {profile: 'off'}\npolicies: {paths: [p]}\n"
    wrong = GOOD.replace("\ndata:", "\ndta:")
    root = repository({"gatekeeper.yaml": config, "p/a.rego": V1 + rule.replace("'", '"'), "a.yaml": wrong})
    code, out, err = command("check", root)
    assert code == 3, out + err
    assert message in out and "unknown field `dta`" in out and err == ""


@pytest.mark.parametrize("package", ["own", "gatekeeper.lib.workload", "gatekeeper.own"])
def test_recursion_is_refused_next_to_the_library_and_inside_of_its_packages(package: str) -> None:
    text = f"package {package}\nimport rego.v1\nf(x) := g(x)\ng(x) := f(x)\n"
    modules = (*library.load_rules()[1].modules, *parse([text]))
    with pytest.raises(PolicyError, match="a function is recursive"):
        RegorusEngine(PolicySet(modules, {}), 1, 1)
