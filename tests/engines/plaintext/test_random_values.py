"""A random value of a chart is no secret of the repository, unless a fixed part of it is."""

from __future__ import annotations

import pytest

from gatekeeper.engines.plaintext.random_values import is_random
from gatekeeper.model import Finding
from tests.conftest import Repository, judge, needs

CHART = "apiVersion: v2\nname: app\nversion: 1.0.0\n"
PEM = "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: auth}\nstringData:\n"
RANDOM = {
    "alphanumeric": "{{ randAlphaNum 20 | quote }}",
    "ascii": "{{ randAscii 30 | quote }}",
    "numeric": "{{ randNumeric 20 | quote }}",
    "bytes": "{{ randBytes 24 }}",
    "uuid": "{{ uuidv4 }}",
    "htpasswd": '{{ htpasswd "admin" (randAlphaNum 9) | quote }}',
    "bcrypt": "{{ randAlphaNum 9 | bcrypt | quote }}",
    "derived": '{{ derivePassword 1 "long" (randAlphaNum 9) "user" "example.com" | quote }}',
    "key": '{{ genPrivateKey "ecdsa" | quote }}',
    "ca": '{{ (genCA "ca" 365).Key | quote }}',
    "signed": '{{ (genSelfSignedCert "a" nil nil 365).Key | quote }}',
    "looked": '{{ $s := lookup "v1" "Secret" "default" "auth" }}{{ if $s }}{{ $s.data.p }}{{ else }}{{ randAlphaNum 20 }}{{ end }}',
    "url": '{{ printf "postgres://app:%s@db/app" (randAlphaNum 20) | quote }}',
    "json": '{{ dict "user" "admin" "password" (randAlphaNum 20) | toJson | quote }}',
}
FIXED = {
    "literal": "hunter2",
    "value": "{{ .Values.password }}",
    "derived": '{{ derivePassword 1 "long" "master" "user" "example.com" | quote }}',
    "beside": '{{ printf "password=hunter2;salt=%s" (randAlphaNum 8) | quote }}',
    "url": '{{ printf "postgres://app:9fKq2LmZ7xWv@db/%s" (randAlphaNum 8) | quote }}',
    "token": '{{ printf "9fKq2LmZ7xWv-%s" (randAlphaNum 8) | quote }}',
}


def find(repository: Repository, entries: dict[str, str], more: dict[str, str | bytes] | None = None) -> list[Finding]:
    template = SECRET + "".join(f"  {key}: {text}\n" for key, text in entries.items())
    files: dict[str, str | bytes] = {
        "chart/Chart.yaml": CHART,
        "chart/values.yaml": "password: correct horse\n",
        "chart/templates/secret.yaml": template,
        **(more or {}),
    }
    verdict = judge(repository(files))
    found = [one for one in verdict.findings if one.rule in ("plaintext/secret", "render/random-value")]
    return [member for one in found for member in one.members or (one,)]


@needs("gatekeeper-upstream")
def test_a_random_value_is_a_warning_and_no_plaintext_secret(repository: Repository) -> None:
    found = find(repository, RANDOM)
    assert {(one.rule, one.severity) for one in found} == {("render/random-value", "warning")}
    assert {one.field_path and one.field_path[1] for one in found} == RANDOM.keys()
    assert {one.location.file for one in found} == {"chart/templates/secret.yaml"}


@needs("gatekeeper-upstream")
def test_a_fixed_value_is_a_plaintext_secret_also_next_to_a_random_part(repository: Repository) -> None:
    found = find(repository, {**FIXED, "random": "{{ randAlphaNum 20 }}"})
    assert {one.field_path and one.field_path[1] for one in found if one.rule == "plaintext/secret"} == FIXED.keys()
    assert [one.field_path for one in found if one.rule != "plaintext/secret"] == [("stringData", "random")]


@needs("gatekeeper-upstream", "helm", "kustomize")
def test_a_random_value_of_a_chart_that_kustomize_inflates_is_a_warning(repository: Repository) -> None:
    kustomization = "helmGlobals: {chartHome: .}\nhelmCharts:\n- {name: chart, releaseName: a}\nnamePrefix: x-\n"
    found = find(
        repository,
        {"random": "{{ randAlphaNum 20 }}", "fixed": "correct horse"},
        {"kustomization.yaml": kustomization, "chart/Chart.yaml": CHART.replace("app", "chart")},
    )
    assert {(one.rule, one.field_path and one.field_path[1]) for one in found} == {
        ("render/random-value", "random"),
        ("plaintext/secret", "fixed"),
    }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("aB3dE6gH9jK2", "kL1mN4oP7qR0"),
        (PEM.format("MIIEpAIBAAKCAQEA1234"), PEM.format("MIIEpAIBAAKCAQEA9876")),
        ('{"user":"admin","password":"aB3dE6"}', '{"user":"admin","password":"gH9jK2"}'),
        ("postgres://app:aB3dE6@db/app", "postgres://app:gH9jK2@db/app"),
        ("a+b/c", "d/e"),
        ("x " * 3000 + "a", "x " * 3000 + "b c"),
    ],
)
def test_what_differs_is_random(first: str, second: str) -> None:
    assert is_random(first, second) and is_random(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("same", "same"),
        (PEM.format("MIIEpAIBAAKCAQEA1234") + "a", PEM.format("MIIEpAIBAAKCAQEA1234") + "b"),
        ('{"password":"hunter2","salt":"aB3"}', '{"password":"hunter2","salt":"gH9"}'),
        ("postgres://app:hunter2@db/aB3", "postgres://app:hunter2@db/gH9"),
        ("9fKq2LmZ7xWv.a", "9fKq2LmZ7xWv.b.c"),
        ("password: hunter2 " + "x " * 3000 + "a", "password: hunter2 " + "x " * 3000 + "b c"),
    ],
)
def test_a_secret_that_both_renderings_share_counts(first: str, second: str) -> None:
    assert not is_random(first, second)
