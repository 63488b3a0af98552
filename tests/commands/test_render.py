"""`gatekeeper render`: what the cluster would get, as YAML, from where it was asked; never a secret value."""

from __future__ import annotations

import yaml

from tests.conftest import Repository, command, needs

pytestmark = needs("gatekeeper-upstream")

FILES: dict[str, str | bytes] = {
    "base/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    "base/kustomization.yaml": "resources: [a.yaml]\n",
    "over/kustomization.yaml": "resources: [../base]\nnamePrefix: prod-\n",
    "plain.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: hunter2, q: 'ENC[AES256_GCM,x]'}\n",
}


def names(out: str) -> list[str]:
    return [document["metadata"]["name"] for document in yaml.safe_load_all(out)]


def test_whole_repository_or_one_kustomization(repository: Repository) -> None:
    root = repository(FILES)
    assert names(command("render", root)[1]) == ["s", "prod-a"]
    assert names(command("render", root / "over")[1]) == ["prod-a"]
    assert names(command("render", root / "over" / "kustomization.yaml")[1]) == ["prod-a"]
    assert names(command("render", root / "plain.yaml")[1]) == ["s"]


def test_secret_values_are_hidden_and_ciphertext_is_not(repository: Repository) -> None:
    out = command("render", repository(FILES))[1]
    assert "hunter2" not in out
    assert "ENC[AES256_GCM,x]" in out


def test_render_failure_is_reported(repository: Repository) -> None:
    code, _, err = command("render", repository({"kustomization.yaml": "resources: [gone.yaml]\n"}))
    assert code == 3
    assert "kustomization.yaml:" in err and "gone.yaml" in err
