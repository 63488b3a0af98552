"""Plaintext secrets and safe ones: Secret, SealedSecret, SOPS, and keys in any file; no message contains a value."""

from __future__ import annotations

import base64

import pytest

from gatekeeper.model import Finding
from tests.conftest import Repository, judge, needs

SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
VALUE = "correct horse battery"
SEALED = (
    "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: s}\nspec:\n  encryptedData: {user: AgA=}\n"
)
ENC = f"ENC[AES256_GCM,data:abcd,iv:{'A' * 43}=,tag:{'A' * 22}==,type:str]"
SOPS = (
    f"sops:\n  age: [{{recipient: age1x, enc: x}}]\n  mac: {ENC}\n  lastmodified: '2026-01-01T00:00:00Z'\n"
    "  encrypted_regex: ^(data|stringData)$\n  version: 3.13.0\n"
)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def found(repository: Repository, text: str | bytes, name: str = "a.yaml") -> list[Finding]:
    verdict = judge(repository({name: text}))
    return [
        finding for finding in verdict.findings if not finding.rule.startswith(("schema/", "references/", "sealed/"))
    ]


OPEN = [
    pytest.param(
        SECRET + f"data:\n  K: {b64(ENC)}\n  sops_mac: {b64(ENC)}\n  sops_version: {b64('3')}\n  new: {b64(VALUE)}\n",
        "`data.new` is stored in plaintext, although sops encrypted",
        8,
        id="beside a dotenv file that sops encrypted",
    ),
    pytest.param(
        SECRET + f"data:\n  sops_mac: {b64(ENC)}\n  sops_password: {b64(VALUE)}\n",
        "data.sops_password",
        6,
        id="no metadata",
    ),
    pytest.param(SECRET + f"data:\n  p: ${{A}}{b64(VALUE)}${{B}}\n", "data.p", 5, id="base64 between placeholders"),
    pytest.param(
        SECRET + f"stringData:\n  p: {ENC[:-1]}] {VALUE}]\n" + SOPS, "stringData.p", 5, id="behind ciphertext"
    ),
    pytest.param(
        SECRET + f"type: kubernetes.io/service-account-token\ndata:\n  token: {b64(VALUE)}\n",
        "data.token",
        6,
        id="a token that a cluster made",
    ),
    pytest.param(
        SEALED + "  template:\n    data:\n      d: '{{ .user }}:9fKq2LmZ7xWv@{{ .host }}'\n", "`d`", 8, id="a template"
    ),
    pytest.param(
        SEALED + "  template:\n    data:\n      d: |\n        url: mysql://shop:9fKq2LmZ7xWv@db\n", "`d`", 8, id="a URL"
    ),
    pytest.param(SECRET + f"stringData:\n  p: {VALUE}\n", "stringData.p", 5, id="stringData"),
    pytest.param(SECRET + f"data:\n  p: {b64(VALUE)}\n", "data.p", 5, id="data in base64"),
    pytest.param(
        "apiVersion: v1\nkind: List\nitems:\n- " + SECRET.replace("\n", "\n  ") + f"stringData: {{p: {VALUE}}}\n",
        "stringData.p",
        7,
        id="inside of a List",
    ),
    pytest.param(SECRET + f"stringData:\n  p: {VALUE}\n  q: {ENC}\n" + SOPS, "stringData.p", 5, id="left out by sops"),
    pytest.param(
        SECRET + "stringData:\n  v: |\n" + indented(f"k: {VALUE}\n" + SOPS),
        "without an encrypted value",
        5,
        id="a SOPS file that hides nothing",
    ),
]


@pytest.mark.parametrize(("text", "words", "line"), OPEN)
def test_a_value_in_plaintext_is_refused_with_its_line(
    repository: Repository, text: str, words: str, line: int
) -> None:
    [finding] = found(repository, text)
    assert (finding.rule, finding.location.line) == ("plaintext/secret", line)
    assert words in finding.message
    assert VALUE not in finding.message + finding.hint and "9fKq" not in finding.message


SAFE = [
    pytest.param(
        SECRET + f"data:\n  K: {b64(ENC)}\n  sops_mac: {b64(ENC)}\n  sops_age__list_0__map_enc: {b64(VALUE)}\n"
        f"  sops_version: {b64('3.13.3')}\n  sops_lastmodified: {b64('2026-11-27T20:50:09Z')}\n"
        f"  sops_unencrypted_suffix: {b64('_unencrypted')}\n  sops_hckms__list_0__map_created_at: {b64(VALUE)}\n",
        id="a dotenv file that sops encrypted, from a generator",
    ),
    pytest.param(SECRET + "data:\n  p: ${PASSWORD}\n  q: '{{ .password | b64enc }}'\n", id="placeholders in data"),
    pytest.param(
        SECRET + f"data:\n  p: {b64('true')}\n  user: {b64('shop')}\n  h: {b64('db.shop.svc:5432')}\n", id="names"
    ),
    pytest.param(
        SEALED + "  template: {data: {dsn: 'postgres://{{ .user }}:{{ .password }}@db/shop', c: 'a: b\n'}}\n",
        id="a template that takes the password from a sealed value",
    ),
    pytest.param(SECRET + f"stringData:\n  p: {ENC}\n" + SOPS, id="encrypted by sops"),
    pytest.param(SECRET + "stringData:\n  p: ${PASSWORD}\n  q: <your password>\n  r: ''\n", id="placeholders"),
    pytest.param(SECRET + "type: kubernetes.io/service-account-token\n", id="a token that the cluster makes"),
    pytest.param(SECRET + "stringData:\n  v: |\n" + indented(f"k: {ENC}\n" + SOPS), id="a SOPS file in YAML"),
    pytest.param(
        SECRET + "stringData:\n  v: |\n" + indented(f"K={ENC}\nsops_mac={ENC}\nsops_version=3\n"), id="in dotenv"
    ),
    pytest.param(SECRET + "stringData:\n  v: |\n" + indented(f"[a]\nk = {ENC}\n[sops]\nmac = {ENC}\n"), id="in INI"),
    pytest.param(
        SECRET + "data:\n  v: " + b64(f'{{"data": "{ENC}", "sops": {{"mac": "{ENC}"}}}}') + "\n", id="in JSON"
    ),
    pytest.param(
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: e}\nspec:\n"
        "  secretStoreRef: {name: s}\n  data:\n  - {secretKey: p, remoteRef: {key: k}}\n",
        id="ExternalSecret",
    ),
]


@pytest.mark.parametrize("text", SAFE)
def test_sealed_or_external_secrets_have_no_findings(repository: Repository, text: str) -> None:
    assert found(repository, text) == []


@needs("gatekeeper-upstream")
def test_a_generated_secret_leads_to_the_file_that_it_was_made_from(repository: Repository) -> None:
    generator = "secretGenerator:\n- name: s\n  files:\n  - other.txt\n  - key=password.txt\n"
    files: dict[str, str | bytes] = {"kustomization.yaml": generator, "password.txt": VALUE, "other.txt": ""}
    [finding] = judge(repository(files)).findings
    assert finding.location == ("kustomization.yaml", 5, 5)
