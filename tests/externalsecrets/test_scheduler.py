"""Repeated syncs, as a user runs them: what is due is read, what changed is seen at once, and Vault is asked little."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from gatekeeper.externalsecrets import collection
from gatekeeper.externalsecrets.collection import DesiredSecrets, InputObject, KnownNamespaces
from gatekeeper.externalsecrets.scheduler import RefreshScheduler, SyncInput
from gatekeeper.stores.directory import DirectoryStore
from gatekeeper.stores.protocol import StoreError
from tests.conftest import needs
from tests.externalsecrets.test_decision import STORE
from tests.externalsecrets.test_decision import es as written
from tests.externalsecrets.test_sync import API, Place, es, place, ready

__all__ = ["place"]
SECONDS = 30.0


@contextmanager
def running(place: Place) -> Iterator[subprocess.Popen[str]]:
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "gatekeeper",
        "sync",
        "--watch",
        "--from-cluster",
        "--every",
        "0.1",
        "--kubeconfig",
        place.cluster.kubeconfig,
    ]
    with (place.folder / "watch.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True, cwd=place.folder)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0, (place.folder / "watch.log").read_text()


def until(place: Place, name: str, status: str, words: str = "") -> None:
    end = time.monotonic() + SECONDS
    while True:
        held = place.wanted(name)
        if held.get("status", {}).get("conditions") and ready(held)[0] == status and words in ready(held)[2]:
            return
        assert time.monotonic() < end, (held, (place.folder / "watch.log").read_text())
        time.sleep(0.05)


def touch(place: Place, name: str, mark: str) -> None:
    """Asks for a reading, as users of external-secrets do."""
    patch = {"metadata": {"annotations": {"force-sync": mark}}}
    path = f"{API}/namespaces/prod/externalsecrets/{name}"
    assert place.cluster.ask("PATCH", path, patch)[0] == 200


@needs("gotemplate")
def test_watch_keeps_secrets_in_sync_with_one_login_and_minimal_reads(place: Place) -> None:
    client = place.vault.client
    client.sys.create_or_update_policy("read", 'path "secret/*" { capabilities = ["read", "list"] }')
    client.sys.enable_auth_method("userpass")
    client.auth.userpass.create_or_update_user("shop", "a-password", policies=["read"])
    data = {"password": "YS1wYXNzd29yZA=="}
    place.cluster.make("/api/v1/namespaces/prod/secrets", {"metadata": {"name": "login"}, "data": data})
    store = place.cluster.ask("GET", f"{API}/clustersecretstores/vault")[1]
    ref = {"name": "login", "key": "password", "namespace": "prod"}
    store["spec"]["provider"]["vault"]["auth"] = {
        "userPass": {"path": "userpass", "username": "shop", "secretRef": ref}
    }
    assert place.cluster.ask("PUT", f"{API}/clustersecretstores/vault", store)[0] == 200
    for name in ("a", "b", "c"):
        place.make(es(name))
    before = place.vault.requests("secret/data/prod/db")
    with running(place):
        for name in ("a", "b", "c"):
            until(place, name, "True")
        assert place.vault.requests("secret/data/prod/db") == before + 1
        # A new one is seen at once; one that changes, too; and a Secret that somebody changes is mended.
        place.make(es("d", data=[{"secretKey": "a", "remoteRef": {"key": "none"}}]))
        until(place, "d", "False", "Vault has no such secret")
        value = place.wanted("d")
        value["spec"]["data"][0]["remoteRef"]["key"] = "prod/web"
        assert place.cluster.ask("PUT", f"{API}/namespaces/prod/externalsecrets/d", value)[0] == 200
        until(place, "d", "True")
        secret = place.secret("a")[1]
        path = "/api/v1/namespaces/prod/secrets/a"
        assert place.cluster.ask("PUT", path, secret | {"data": {"password": "b3RoZXI="}})[0] == 200
        end = time.monotonic() + SECONDS
        while place.secret("a")[1]["data"] != secret["data"]:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert place.vault.requests("secret/data/prod/db") == before + 2
        assert place.vault.requests("auth/userpass/login/shop") == 1
        # The token is taken back: it is signed in once more.
        client.sys.revoke_prefix("auth/userpass")
        touch(place, "c", "1")
        end = time.monotonic() + SECONDS
        while place.vault.requests("auth/userpass/login/shop") < 2:
            assert time.monotonic() < end
            time.sleep(0.05)
        until(place, "c", "True")
        # Vault is away: nothing is lost; it comes back, and so do the readings.
        client.sys.seal()
        touch(place, "b", "1")
        until(place, "b", "False", "sealed")
        assert place.secret("b")[0] == 200
    log = (place.folder / "watch.log").read_text()
    assert "a-password" not in log and "grün" not in log and "Traceback" not in log


def gathered(*texts: str) -> DesiredSecrets:
    values = [one for text in texts for one in yaml.safe_load_all(text)]
    given = [InputObject(one, one["metadata"].get("namespace", ""), lambda path: "") for one in values]
    return collection.collect_desired_secrets(given, KnownNamespaces({}, False), ())


def test_rounds_read_what_is_due_and_leave_alone_what_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prod").mkdir()
    (tmp_path / "prod/db.json").write_text('{"password": "x"}')
    clock = [1_795_000_000.0, 100.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    monkeypatch.setattr(time, "monotonic", lambda: clock[1])

    def passes(seconds: float) -> None:
        clock[0] += seconds
        clock[1] += seconds

    watch = RefreshScheduler(lambda key, value: DirectoryStore(tmp_path))
    gone = written("gone", data="[{secretKey: a, remoteRef: {key: none}}]")
    found = gathered(STORE, written(), gone)
    assert [one.action for one in watch.run_round(None, SyncInput(found), False).decisions] == ["create", "failed"]
    # The one that failed is tried again after a while that grows, the other when its interval is over.
    assert watch.run_round(None, SyncInput(found), False).decisions == []
    assert 0 < watch.compute_wait(3600) <= 1
    tries = 0
    for _ in range(60):
        passes(watch.compute_wait(3600) + 0.01)
        tries += sum(one.spec.name == "gone" for one in watch.run_round(None, SyncInput(found), False).decisions)
        if clock[1] > 1000:
            break
    assert 5 < tries < 15
    # The clock jumps back: what seems to be read in the future is read again.
    clock[0] -= 86400
    assert "db" in [one.spec.name for one in watch.run_round(None, SyncInput(found), False).decisions]
    clock[0] += 2 * 86400
    assert "db" in [one.spec.name for one in watch.run_round(None, SyncInput(found), False).decisions]
    # One that asks for something else is read at once; one that is gone is forgotten.
    changed = gathered(STORE, written(data="[{secretKey: other, remoteRef: {key: prod/db}}]"))
    assert [one.action for one in watch.run_round(None, SyncInput(changed), False).decisions] == ["create"]
    assert watch.compute_wait(99999) > 1
    watch.close()


def test_a_store_that_cannot_be_opened_fails_only_what_needs_it(tmp_path: Path) -> None:
    (tmp_path / "prod").mkdir()
    (tmp_path / "prod/db.json").write_text('{"password": "x"}')

    def opened(key: object, value: object) -> DirectoryStore:
        if "other" in str(key):
            raise StoreError("is sealed", is_transient=True)
        return DirectoryStore(tmp_path)

    watch = RefreshScheduler(opened)
    found = gathered(STORE, written(), written("b").replace("name: vault", "name: other"))
    decisions = watch.run_round(None, SyncInput(found), False).decisions
    assert [(one.action, one.is_transient) for one in decisions] == [("create", False), ("failed", True)]
    watch.close()
