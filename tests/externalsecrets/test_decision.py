"""From ExternalSecrets and a folder of secrets to Secrets: planned, read once, and written into a real cluster."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from gatekeeper.externalsecrets import decision as externalsecrets_decision
from gatekeeper.externalsecrets import external_secret_spec, fetch_plan
from gatekeeper.externalsecrets.decision import Decision
from gatekeeper.externalsecrets.target import data_hash
from gatekeeper.externalsecrets.target.ownership import CREATED_BY_LABEL, DATA_HASH_ANNOTATION, MANAGED_LABEL
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.directory import DirectoryStore
from tests.conftest import Repository, command, needs
from tests.sealedsecrets.test_kubeseal_compatibility import pair
from tests.servers import cluster as servers
from tests.servers.cluster import Cluster

pytestmark = needs("gotemplate")
VALUE = "hunter2-Zk9vQ1x7Lm3"
STORE = "apiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: {name: vault}\nspec: {provider: {vault: {server: 'http://127.0.0.1:9'}}}\n"


def es(name: str = "db", target: str = "{}", data: str = "", more: str = "", version: str = "v1") -> str:
    entries = data or "[{secretKey: password, remoteRef: {key: prod/db, property: password}}]"
    return (
        f"apiVersion: external-secrets.io/{version}\nkind: ExternalSecret\nmetadata: {{name: {name}, namespace: prod, labels: {{app: shop}}}}\n"
        f"spec:\n  secretStoreRef: {{name: vault, kind: ClusterSecretStore}}\n  target: {target}\n  data: {entries}\n{more}"
    )


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    for name, content in {
        "prod/db.json": {"password": VALUE, "user": "shop", "nested": {"a": 1}},
        "prod/web": {"token": VALUE},
        "test/db.json": {"password": "other"},
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(orjson.dumps(content))
    return folder


def decided(secrets: Path, text: str, existing: dict[str, Any] | None = None) -> Decision:
    wanted = external_secret_spec.parse_external_secret(yaml.safe_load(text))
    fetched = fetch_plan.fetch(fetch_plan.build_plan([wanted]), lambda key: DirectoryStore(secrets))

    def text_of(kind: str, name: str, key: str) -> str:
        return "{{ .password | upper }}" if key == "one" else "made: '{{ .password }}'\n"

    return externalsecrets_decision.decide(wanted, fetched, existing, text_of)


def data_of(secret: Any) -> dict[str, str]:
    return {key: base64.b64decode(text).decode() for key, text in (secret or {})["data"].items()}


def made(secrets: Path, text: str, existing: dict[str, Any] | None = None) -> dict[str, str]:
    decision = decided(secrets, text, existing)
    assert decision.action in ("create", "change"), decision
    return data_of(decision.secret)


def test_a_secret_is_made_as_external_secrets_would_mark_it(secrets: Path) -> None:
    decision = decided(secrets, es())
    assert decision.action == "create" and decision.secret is not None and VALUE not in repr(decision)
    metadata = decision.secret["metadata"]
    assert data_of(decision.secret) == {"password": VALUE}
    assert metadata["labels"] == {
        "app": "shop",
        MANAGED_LABEL: "true",
        CREATED_BY_LABEL: data_hash.compute_go_hash("prod/db"),
    }
    assert metadata["annotations"] == {
        DATA_HASH_ANNOTATION: data_hash.compute_data_hash({"password": SecretBytes(VALUE.encode())})
    }
    assert decided(secrets, es(), decision.secret).action == "unchanged"


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (es(data="[{secretKey: all, remoteRef: {key: prod/web}}]"), {"all": f'{{"token":"{VALUE}"}}'}),
        (
            es(data="[]", more="  dataFrom: [{extract: {key: prod/db}}]\n"),
            {"password": VALUE, "user": "shop", "nested": '{"a":1}'},
        ),
        (
            es(
                data="[]",
                more="  dataFrom: [{find: {path: prod, name: {regexp: db$}}, rewrite: [{regexp: {source: '/', target: '-'}}]}]\n",
            ),
            {"prod-db": None},
        ),
        (es(data="[]", more="  dataFrom: [{find: {name: {regexp: ^test}}}]\n"), {"test_db": '{"password":"other"}'}),
        (es(target="{template: {data: {url: 'db://{{ .password }}'}}}"), {"url": f"db://{VALUE}"}),
        (es(target="{template: {mergePolicy: Merge, data: {url: 'x'}}}"), {"url": "x", "password": VALUE}),
        (
            es(
                target="{template: {templateFrom: [{configMap: {name: c, items: [{key: one}, {key: two, templateAs: KeysAndValues}]}}]}}"
            ),
            {"one": VALUE.upper(), "made": VALUE},
        ),
        (
            es(target="{template: {data: {url: 'db://{{ .password | toString | upper }}'}}}", version="v1alpha1"),
            {"url": f"db://{VALUE.upper()}"},
        ),
        (
            es(
                target="{template: {engineVersion: v1, data: {url: '{{ .password | base64encode | toString }}'}}}",
                version="v1beta1",
            ),
            {"url": base64.b64encode(VALUE.encode()).decode()},
        ),
        (es(target="{template: {templateFrom: [{literal: 'a: \"{{ .password }}\"'}]}}"), {"a": VALUE}),
    ],
)
def test_requested_files_are_created(secrets: Path, text: str, data: dict[str, str | None]) -> None:
    found = made(secrets, text)
    assert found.keys() == data.keys() and all(value in (None, found[key]) for key, value in data.items())


def test_labels_and_annotations_can_be_templates_too(secrets: Path) -> None:
    text = es(
        target="{template: {type: x/y, metadata: {labels: {user: '{{ .user }}'}, annotations: {a: b}}, data: {p: '{{ .user }}'}}}",
        data="[{secretKey: user, remoteRef: {key: prod/db, property: user}}]",
    )
    secret = decided(secrets, text).secret
    assert secret is not None and secret["type"] == "x/y"
    assert secret["metadata"]["labels"]["user"] == "shop" and "app" not in secret["metadata"]["labels"]


OURS = {"labels": {MANAGED_LABEL: "true", CREATED_BY_LABEL: data_hash.compute_go_hash("prod/db")}}


@pytest.mark.parametrize(
    ("text", "metadata", "action", "words"),
    [
        (es(data="[{secretKey: a, remoteRef: {key: gone}}]"), OURS, "failed", "has no such file"),
        (
            es(target="{deletionPolicy: Delete}", data="[{secretKey: a, remoteRef: {key: gone}}]"),
            OURS,
            "delete",
            "`deletionPolicy: Delete`",
        ),
        (
            es(target="{deletionPolicy: Delete}", data="[{secretKey: a, remoteRef: {key: gone, version: '1'}}]"),
            OURS,
            "failed",
            "no versions",
        ),
        (
            es(target="{deletionPolicy: Delete}", data="[{secretKey: a, remoteRef: {key: gone}}]"),
            {"labels": {MANAGED_LABEL: "true"}},
            "failed",
            "did not create it",
        ),
        (
            es(
                target="{deletionPolicy: Merge}",
                data="[{secretKey: a, remoteRef: {key: gone}}, {secretKey: b, remoteRef: {key: prod/web}}]",
            ),
            OURS,
            "change",
            "incomplete: `gone`",
        ),
        (
            es(data="[{secretKey: a, remoteRef: {key: prod/db, property: none}}]"),
            OURS,
            "failed",
            "`a`: `prod/db` has no `none`",
        ),
        (
            es(
                data="[{secretKey: a, remoteRef: {key: prod/db, property: user, decodingStrategy: Base64URL}}, {secretKey: b, remoteRef: {key: prod/web, decodingStrategy: Base64}}]"
            ),
            OURS,
            "failed",
            "is not valid Base64",
        ),
        (es(), {}, "failed", "already exists and is not managed by an ExternalSecret"),
        (
            es(),
            {"labels": {MANAGED_LABEL: "true", CREATED_BY_LABEL: "x"}},
            "failed",
            "belongs to another ExternalSecret",
        ),
        (es(target="{creationPolicy: Merge}"), {}, "change", ""),
        (es(target="{creationPolicy: Merge}"), None, "wait", "does not exist yet"),
        (es(target="{creationPolicy: None}"), {}, "unchanged", "nothing is written"),
        (es(target="{immutable: true}"), OURS, "unchanged", "written once"),
        (
            es(target="{template: {type: kubernetes.io/service-account-token}}"),
            None,
            "failed",
            "would give access to the cluster",
        ),
        (es(target="{template: {type: kubernetes.io/tls}}"), OURS, "failed", "cannot be changed"),
        (es(target="{template: {data: {a: '{{ .none }}'}}}"), OURS, "failed", "the template `a` names `none`"),
        (
            es(target="{template: {data: {a: '{{ .password | b64enc }}'}}}", version="v1alpha1"),
            OURS,
            "failed",
            "the template `a` calls `b64enc`",
        ),
        (
            es(data="[]", more="  dataFrom: [{find: {name: {regexp: nothing}}}]\n"),
            OURS,
            "failed",
            "no secret in ClusterSecretStore vault matches",
        ),
        (es(data="[]", more="  dataFrom: [{find: {tags: {a: b}}}]\n"), OURS, "failed", "a folder has no tags"),
        (es(data="[{secretKey: a, remoteRef: {key: ../outside}}]"), OURS, "failed", ""),
    ],
)
def test_object_that_cannot_be_created_is_reported(
    secrets: Path, text: str, metadata: dict[str, Any] | None, action: str, words: str
) -> None:
    (secrets.parent / "outside").write_text(VALUE)
    existing = (
        {"metadata": {"name": "db", **metadata}, "type": "Opaque", "data": {"old": "b2xk"}}
        if metadata is not None
        else None
    )
    decision = decided(secrets, text, existing)
    assert (decision.action, words in decision.reason) == (action, True), decision
    assert VALUE not in decision.reason


def test_a_key_must_not_lead_out_of_the_folder(secrets: Path) -> None:
    (secrets.parent / "outside").write_text(VALUE)
    assert "leads out" in decided(secrets, es(data="[{secretKey: a, remoteRef: {key: ../outside}}]")).reason
    assert (
        "leads out"
        in decided(secrets, es(data="[]", more="  dataFrom: [{find: {path: .., name: {regexp: .}}}]\n")).reason
    )


def test_binary_value_is_written_unchanged_and_a_large_one_is_refused(secrets: Path) -> None:
    raw = bytes(range(256))
    (secrets / "prod/raw").write_bytes(raw)
    (secrets / "prod/large").write_bytes(b"x" * (1024 * 1024 + 1))
    secret = decided(secrets, es(data="[{secretKey: a, remoteRef: {key: prod/raw}}]")).secret
    assert secret is not None and base64.b64decode(secret["data"]["a"]) == raw
    decision = decided(secrets, es(data="[{secretKey: a, remoteRef: {key: prod/large}}]"), {"metadata": OURS})
    assert decision.action == "failed" and "would have 1048578 bytes; Kubernetes allows 1048576" in decision.reason
    part = decided(secrets, es(data="[{secretKey: a, remoteRef: {key: prod/raw, property: b}}]"))
    assert part.action == "failed" and "`prod/raw` has no `b`" in part.reason
    each = decided(secrets, es(data="[]", more="  dataFrom: [{extract: {key: prod/raw}}]\n"))
    assert each.action == "failed" and "is not a JSON object" in each.reason


def test_each_secret_is_read_once_for_all_references(repository: Repository, secrets: Path) -> None:
    many = "---\n".join(es(f"db{number}") for number in range(30))
    root = repository({"all.yaml": f"{STORE}---\n{many}"})
    code, out, _ = command("sync", "--plan", root)
    assert code == 0 and "30 ExternalSecrets" in out and "ClusterSecretStore vault: 1 reads for 30 references" in out
    code, out, err = command("sync", "--dry-run", "--directory", f"vault={secrets}", root)
    assert (code, err) == (0, "") and "1 requests for 30 references" in out and VALUE not in out
    digests = {line.split()[1] for line in out.splitlines() if line.startswith("   ")}
    assert len(digests) == 1
    again = command("sync", "--dry-run", "--directory", f"vault={secrets}", root)[1]
    assert not digests & {line.split()[1] for line in again.splitlines() if line.startswith("   ")}


def test_fault_in_the_repository_is_reported_with_its_line(repository: Repository, secrets: Path) -> None:
    root = repository(
        {"a.yaml": es().replace("  target: {}", "  syncWindows: {}\n  target: {}"), "b.yaml": es("other")}
    )
    code, out, _ = command("sync", "--dry-run", root)
    assert code == 1 and "a.yaml:6" in out and "`spec.syncWindows` is not supported" in out
    assert "FAILED    prod/other: ClusterSecretStore vault: not found; create it, or correct the reference to it" in out
    push = "apiVersion: external-secrets.io/v1alpha1\nkind: PushSecret\nmetadata: {name: all, namespace: a}\nspec: {}\n"
    (root / "c.yaml").write_text(push)
    assert "c.yaml:2: PushSecret a/all: this kind is not supported" in command("sync", "--plan", root)[1]
    assert command("sync", "--once", root)[0] == 2 and command("sync", "--plan", root / "none")[0] == 2
    assert command("sync", "--dry-run", "--directory", "vault", root)[0] == 2


def test_explanation_shows_the_source_of_a_value_and_where_it_is_dropped(repository: Repository, secrets: Path) -> None:
    data = "[{secretKey: ok, remoteRef: {key: prod/db, property: password}}, {secretKey: lost, remoteRef: {key: prod/db, property: pasword}}, {secretKey: gone, remoteRef: {key: none}}]"
    more = "  dataFrom: [{extract: {key: prod/db}}, {find: {path: test, name: {regexp: db}}, rewrite: [{regexp: {source: /, target: _}}]}]\n"
    root = repository({"a.yaml": f"{STORE}---\n{es(data=data, more=more)}"})
    run = ("sync", "--directory", f"vault={secrets}", root)
    code, out, _ = command(*run, "--explain", "prod/db")
    assert code == 1 and VALUE not in out and f"takes `password`: {len(VALUE)} bytes" in out
    assert "MISSING: it has no `pasword`; it has `nested`, `password`, `user`" in out and "has no such file" in out
    assert "found `test/db`" in out and "keys are renamed by Regexp" in out and "=> failed" in out
    assert command(*run, "--explain", "nothing")[0] == 2


def test_secrets_can_be_written_sealed(repository: Repository, secrets: Path, tmp_path: Path) -> None:
    certificate, key = pair(tmp_path / "sealing")
    root = repository({"a.yaml": f"{STORE}---\n{es()}"})
    run = ("sync", "--once", "--directory", f"vault={secrets}", root)
    code, out, err = command(*run, "--seal", certificate, "--to", tmp_path / "out")
    assert (code, err) == (0, "") and "sealed " in out
    target = tmp_path / "out" / "prod-db.yaml"
    text = target.read_text()
    assert VALUE not in text and "hash" not in text
    opened = orjson.loads(command("unseal", "--key", key, "-f", target)[1])
    assert data_of(opened) == {"password": VALUE} and opened["metadata"]["labels"] == {"app": "shop"}
    assert command(*run, "--seal", certificate)[0] == 2


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with servers.running(tmp_path_factory.mktemp("cluster")) as found:
        found.make("/api/v1/namespaces", {"metadata": {"name": "prod"}})
        yield found


def test_secrets_are_written_into_a_cluster_and_not_written_again(
    cluster: Cluster, repository: Repository, secrets: Path
) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {"t": "{{ .password | b64enc }}"},
    }
    cluster.make("/api/v1/namespaces/prod/configmaps", config)
    template = "{template: {templateFrom: [{configMap: {name: c, items: [{key: t}]}}]}}"
    root = repository({"a.yaml": f"{STORE}---\n{es()}---\n{es('web', template)}"})
    run = ("sync", "--once", "--kubeconfig", cluster.kubeconfig, "--directory", f"vault={secrets}", root)
    code, out, err = command(*run)
    assert (code, err) == (0, "") and "created   prod/db" in out and "created   prod/web" in out
    path = "/api/v1/namespaces/prod/secrets/db"
    first = cluster.ask("GET", path)[1]
    assert data_of(first) == {"password": VALUE} and first["metadata"]["managedFields"][0]["manager"].endswith("/db")
    assert data_of(cluster.ask("GET", "/api/v1/namespaces/prod/secrets/web")[1]) == {
        "t": base64.b64encode(VALUE.encode()).decode()
    }
    assert command(*run)[1].count("unchanged") == 2
    assert cluster.ask("GET", path)[1]["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    (secrets / "prod/db.json").write_bytes(orjson.dumps({"password": "new"}))
    assert "changed   prod/db" in command(*run)[1]
    assert data_of(cluster.ask("GET", path)[1]) == {"password": "new"}
    (secrets / "prod/db.json").unlink()
    code, out, _ = command(*run)
    assert code == 1 and "FAILED    prod/db" in out and data_of(cluster.ask("GET", path)[1]) == {"password": "new"}


def test_a_secret_that_is_a_user_elses_stays(cluster: Cluster, repository: Repository, secrets: Path) -> None:
    cluster.make("/api/v1/namespaces/prod/secrets", {"metadata": {"name": "mine"}, "data": {"a": "b2xk"}})
    root = repository({"a.yaml": f"{STORE}---\n{es('mine')}"})
    code, out, _ = command(
        "sync", "--once", "--kubeconfig", cluster.kubeconfig, "--directory", f"vault={secrets}", root
    )
    assert code == 1 and "already exists and is not managed by an ExternalSecret" in out
    assert data_of(cluster.ask("GET", "/api/v1/namespaces/prod/secrets/mine")[1]) == {"a": "old"}
