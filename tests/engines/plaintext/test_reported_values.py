"""A reported value of a Secret covers the leaks inside it, and nothing else in its file."""

from __future__ import annotations

import base64
import json
import subprocess

import pytest

from tests.conftest import Repository, command, judge
from tests.engines.plaintext.test_leaks import PEM
from tests.engines.plaintext.test_secrets import indented

SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\n"
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: shop}\ndata:\n"
TOKEN = "ghp_" + "x7Kd92LmQ0aZs81TbVwY3nPqRe5UiOcG4hJf"
ENCODED = base64.b64encode(f"token: {TOKEN}\n".encode()).decode()
ENCODED_PEM = base64.b64encode(PEM.encode()).decode()
WAIVER = '# gatekeeper:waive rule=plaintext/secret expires=2999-01-01 reason="a dummy"\n'


def leaks(repository: Repository, text: str, name: str = "a.yaml") -> list[tuple[str, int | None]]:
    """Rules and lines of everything that is no finding about a value of a Secret."""
    verdict = judge(repository({name: text}))
    found = [finding for finding in verdict.findings if finding.rule.startswith("plaintext/")]
    return [(one.rule, one.location.line) for one in found if one.rule != "plaintext/secret"]


COVERED = [
    pytest.param(SECRET + f"stringData:\n  p: {TOKEN}\n", id="one line"),
    pytest.param(SECRET + f"stringData: {{a: x, p: {TOKEN}, q: y}}\n", id="a flow mapping"),
    pytest.param(SECRET + "stringData:\n  p: |\n" + indented(f"a: b\n\ntoken: {TOKEN}\n"), id="a block"),
    pytest.param(SECRET + "stringData:\n  p: |\n" + indented(PEM), id="a private key in a block"),
    pytest.param(SECRET + "stringData:\n  p: " + json.dumps(PEM) + "\n  q: x\n", id="a private key in quotes"),
    pytest.param(SECRET + f"data:\n  p: {ENCODED}\n", id="base64"),
    pytest.param(SECRET + f"data:\n  p: {ENCODED_PEM}\n", id="a private key in base64"),
    pytest.param(SECRET + f"stringData:\n  p: {TOKEN}\n  q: {TOKEN}\n", id="two keys with one value"),
    pytest.param(SECRET + "stringData:\n  p: |\n" + indented(f"{TOKEN}\n{TOKEN}\n"), id="twice in one value"),
]


@pytest.mark.parametrize("text", COVERED)
def test_a_reported_value_is_not_reported_again(repository: Repository, text: str) -> None:
    assert leaks(repository, text) == []


OTHERS = [
    pytest.param(
        SECRET + "stringData: {p: dummy value}\n---\n" + CONFIG_MAP + f"  k: {TOKEN}\n", 10, id="another document"
    ),
    pytest.param(
        CONFIG_MAP + f"  k: {TOKEN}\n---\n" + SECRET + f"stringData: {{p: {TOKEN}}}\n", 5, id="the same value before"
    ),
    pytest.param(
        SECRET + f"stringData: {{p: {TOKEN}}}\n---\n" + CONFIG_MAP + f"  k: {TOKEN}\n", 10, id="the same value after"
    ),
    pytest.param(SECRET + f"stringData:\n  p: dummy value # {TOKEN}\n", 5, id="a comment in the line of the value"),
    pytest.param(f"# {TOKEN}\n" + SECRET + f"stringData:\n  p: {TOKEN}\n", 1, id="a comment"),
    pytest.param(
        SECRET + f"immutable: false # {TOKEN}\nstringData: {{p: dummy value}}\n",
        4,
        id="another field of the Secret",
    ),
    pytest.param(
        SECRET + "stringData: {p: dummy value}\n---\n" + CONFIG_MAP + "  k: |\n" + indented(PEM), 11, id="a private key"
    ),
    pytest.param(
        SECRET + "stringData: {p: dummy value}\n---\n" + CONFIG_MAP + f"  k: {ENCODED}\n", 10, id="hidden by base64"
    ),
]


@pytest.mark.parametrize(("text", "line"), OTHERS)
def test_a_leak_next_to_a_reported_value_is_a_finding(repository: Repository, text: str, line: int) -> None:
    assert [found for _, found in leaks(repository, text)] == [line]


def test_the_same_token_twice_in_one_line_of_json_is_a_finding(repository: Repository) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"p": TOKEN}}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": TOKEN}}
    for items in ([secret, config], [config, secret]):
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        assert leaks(repository, text, "a.json") == [("plaintext/github-token", 1)]


@pytest.mark.parametrize("accept", ["waiver", "baseline", "commit"])
def test_an_accepted_secret_hides_no_new_leak(repository: Repository, accept: str) -> None:
    text = SECRET + "stringData: {p: dummy value}\n---\n" + CONFIG_MAP + "  k: v\n"
    root = repository(
        {
            "a.yaml": (WAIVER if accept == "waiver" else "") + text,
            "gatekeeper.yaml": "waivers: {maxDays: 999999}\nlibrary: {profile: 'off'}\n",
        }
    )
    arguments: list[str] = []
    if accept == "baseline":
        assert command("check", "--write-baseline", cwd=root)[0] == 0
    if accept == "commit":
        for words in ("init -q", "add -A", "-c user.name=a -c user.email=a@example.com commit -qm a"):
            subprocess.run(["git", *words.split()], cwd=root, check=True)
        arguments = ["--since", "HEAD"]
    path = root / "a.yaml"
    path.write_text(path.read_text().replace("k: v", f"k: {TOKEN}").replace("p: dummy", "p: other"))
    code, out, _ = command("check", *arguments, cwd=root)
    assert code == 1 and "[plaintext/github-token]" in out and TOKEN not in out
