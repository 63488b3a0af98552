"""Sources and destinations of Applications: charts, kustomizations, several sources, credentials, clusters."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from gatekeeper.host import toolchain
from tests.conftest import SHARED, needs, shared
from tests.controller.argocd.test_applications import (
    APPS,
    BACKGROUND,
    CRDS,
    HOME,
    MAPS,
    PROJECTS,
    Place,
    argo,
    cluster,
    place,
    project,
    synced,
)
from tests.controller.deployment import controller, until
from tests.flux.test_reconciler import config
from tests.servers import cluster as servers
from tests.servers import git_server
from tests.servers.cluster import TOKEN

__all__ = ["cluster", "place"]
SECRETS = "/api/v1/namespaces/argocd/secrets"
CHART = {"apiVersion": "v2", "name": "shop", "version": "1.0.0"}
TEMPLATE = """apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-shop}
data: {a: {{ .Values.size | quote }}, b: {{ .Values.colour | quote }}, c: {{ .Release.Namespace }}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: check, annotations: {helm.sh/hook: test}}
"""
WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def chart(place: Place) -> None:
    place.put("apps/Chart.yaml", CHART)
    place.put("apps/values.yaml", {"size": "1", "colour": "red"})
    place.put("apps/crds/widgets.yaml", WIDGETS)
    (place.root / "apps/templates").mkdir()
    (place.root / "apps/templates/all.yaml").write_text(TEMPLATE)
    place.put("apps/prod.yaml", {"size": "2"})


@needs("gatekeeper-upstream")
def test_a_chart_is_rendered_with_values_of_the_application_and_another_repository(
    place: Place, tmp_path: Path
) -> None:
    chart(place)
    other = Place(tmp_path / "values", place.cluster)
    other.put("env/prod.yaml", {"colour": "blue"})
    helm = {"valueFiles": ["prod.yaml", "$env/env/prod.yaml"], "releaseName": "web"}
    source = {**place.app()["spec"]["source"], "helm": helm}
    lent = {"repoURL": f"file://{other.root}", "targetRevision": "main", "ref": "env"}
    with argo(place, tmp_path) as running:
        app = place.app(sources=[source, lent])
        del app["spec"]["source"]
        place.cluster.make(APPS, app)
        synced(place, running)
        assert place.data("web-shop") == {"a": "2", "b": "blue", "c": "prod"} and place.data("check") is None
        status = place.get()["status"]
        assert status["sourceTypes"] == ["Helm"] and len(status["sync"]["revisions"]) == 2
        kinds = [(one["kind"], one["name"]) for one in status["resources"]]
        assert ("CustomResourceDefinition", "widgets.example.com") in kinds
        # What lends values is followed, too.
        other.put("env/prod.yaml", {"colour": "green"})
        place.refresh()
        until(lambda: place.data("web-shop") == {"a": "2", "b": "green", "c": "prod"}, running)
        synced(place, running)
        # No file of values is read that lies elsewhere.
        source["helm"] = {"valueFiles": ["../../../../etc/passwd"]}
        place.cluster.ask("PATCH", f"{APPS}/apps", {"spec": {"sources": [source, lent]}})
        until(lambda: "is outside the repository" in place.told().get("ComparisonError", ""), running)
        place.cluster.ask("PATCH", f"{APPS}/apps", {"spec": {"sources": [{**source, "helm": None}, lent]}})
        until(lambda: place.data("apps-shop") == {"a": "1", "b": "red", "c": "prod"}, running)
        synced(place, running)
    place.cluster.ask("DELETE", f"{CRDS}/widgets.example.com")


def packed(folder: Path, version: str, template: str, helm: Path) -> None:
    """Adds a version of the chart to a chart repository."""
    chart_ = folder.parent / f"chart-{version}" / "shop"
    (chart_ / "templates").mkdir(parents=True)
    (chart_ / "Chart.yaml").write_text(yaml.safe_dump({**CHART, "version": version}))
    (chart_ / "values.yaml").write_text("size: '1'\ncolour: red\n")
    (chart_ / "templates/all.yaml").write_text(template)
    subprocess.run([helm, "package", chart_, "-d", folder], check=True, capture_output=True)
    subprocess.run([helm, "repo", "index", folder], check=True, capture_output=True)


class Shelf(SimpleHTTPRequestHandler):
    """A chart repository that asks for a name and a password."""

    def do_GET(self) -> None:
        wanted = f"Basic {base64.b64encode(f'{git_server.USER}:{git_server.PASSWORD}'.encode()).decode()}"
        if self.headers.get("Authorization") == wanted:
            super().do_GET()
        else:
            self.send_error(401)

    def log_message(self, *arguments: Any) -> None:
        """Log nothing."""


@needs("gatekeeper-upstream", "helm")
def test_the_newest_matching_version_of_a_chart_is_used(place: Place, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    helm = toolchain.DEFAULT_TOOLCHAIN.find("helm")
    packed(shelf, "1.0.0", TEMPLATE, helm)
    place.put("env/prod.yaml", {"colour": "blue"})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), partial(Shelf, directory=str(shelf)))
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    url = f"http://127.0.0.1:{listening.server_port}"
    try:
        source = {
            "repoURL": url,
            "chart": "shop",
            "targetRevision": "1.*",
            "helm": {"valueFiles": ["$env/env/prod.yaml"]},
        }
        lent = {"repoURL": f"file://{place.root}", "targetRevision": "main", "ref": "env"}
        app = place.app(sources=[source, lent])
        del app["spec"]["source"]
        with argo(place, tmp_path) as running:
            place.cluster.make(APPS, app)
            until(lambda: "requires a user name and password" in place.told().get("ComparisonError", ""), running)
            login = {"username": git_server.USER, "password": git_server.PASSWORD, "type": "helm"}
            place.cluster.make(SECRETS, secret("charts", "repository", url=url, **login))
            place.refresh()
            synced(place, running)
            assert place.data("apps-shop") == {"a": "1", "b": "blue", "c": "prod"}
            assert place.get()["status"]["sync"]["revisions"][0] == "1.0.0"
            # A newer one that will do, and one that will not.
            packed(shelf, "1.1.0", TEMPLATE.replace("{{ .Values.size | quote }}", '"new"'), helm)
            packed(shelf, "2.0.0", TEMPLATE.replace("{{ .Values.size | quote }}", '"far"'), helm)
            place.refresh()
            until(lambda: place.data("apps-shop") == {"a": "new", "b": "blue", "c": "prod"}, running)
            # What is made of it is judged by the policies of the repository that lends it values.
            place.put("policy.yaml", {})
            (place.root / "policy").mkdir()
            policy = 'package main\n\ndeny contains "no blue" if input.data.b == "blue"\n'
            (place.root / "policy/main.rego").write_text(policy)
            place.put("gatekeeper.yaml", {"library": {"profile": "off"}, "policies": {"paths": ["policy"]}})
            place.refresh()
            until(lambda: "no blue" in place.told().get("Refused", ""), running)
            words = running.log.read_text() + str(place.get())
            assert git_server.PASSWORD not in words
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


@needs("gatekeeper-upstream")
def test_a_kustomization_is_built_with_the_overrides_of_the_application(place: Place, tmp_path: Path) -> None:
    place.put("apps/kustomization.yaml", {"resources": ["all.yaml"]})
    place.put("apps/all.yaml", config("x", namespace=""))
    added = {
        "namePrefix": "my-",
        "commonAnnotations": {"team": "shop"},
        "patches": [{"target": {"kind": "ConfigMap"}, "patch": '[{"op": "add", "path": "/data/b", "value": "2"}]'}],
    }
    source = {**place.app()["spec"]["source"], "kustomize": added}
    with argo(place, tmp_path) as running:
        place.cluster.make(APPS, place.app(source=source))
        synced(place, running)
        assert place.data("my-x") == {"a": "1", "b": "2"} and place.get()["status"]["sourceType"] == "Kustomize"


def test_a_directory_source_reads_the_configured_files(place: Place, tmp_path: Path) -> None:
    place.put("apps/a.yaml", config("a"))
    place.put("apps/deep/b.yaml", config("b"))
    place.put("apps/deep/c.yml", config("c"))
    place.put("apps/skip.yaml", config("skip"))
    (place.root / "apps/d.json").write_bytes(orjson.dumps(config("d")))
    place.commit()
    directory = {"recurse": True, "include": "{*.yaml,*.json}", "exclude": "skip*"}
    with argo(place, tmp_path) as running:
        place.cluster.make(APPS, place.app(source={**place.app()["spec"]["source"], "directory": directory}))
        synced(place, running)
        assert [bool(place.data(name)) for name in ("a", "b", "c", "d", "skip")] == [True, True, False, True, False]


def secret(called: str, kind: str, **data: str) -> dict[str, Any]:
    labels = {"argocd.argoproj.io/secret-type": kind}
    return {"metadata": {"name": called, "labels": labels}, "stringData": data}


def test_a_repository_is_fetched_with_the_credentials_of_its_secret(place: Place, tmp_path: Path) -> None:
    place.put("apps/all.yaml", config("x"))
    with git_server.serving(tmp_path) as host, argo(place, tmp_path) as running:
        source = {"repoURL": f"{host.url}/root/.git", "targetRevision": "HEAD", "path": "apps"}
        place.cluster.make(APPS, place.app(source=source))
        until(lambda: "requires a user name and password" in place.told().get("ComparisonError", ""), running)
        # All below an address; and a Secret for another project is for nobody else.
        login = {"username": git_server.USER, "password": git_server.PASSWORD}
        place.cluster.make(SECRETS, secret("other", "repository", url=source["repoURL"], project="other", **login))
        place.refresh()
        until(lambda: "only the project other may use the Secret" in place.told().get("ComparisonError", ""), running)
        place.cluster.ask("DELETE", f"{SECRETS}/other")
        place.cluster.make(SECRETS, secret("all", "repo-creds", url=host.url, **login))
        place.refresh()
        synced(place, running)
        assert place.data("x") and git_server.PASSWORD not in running.log.read_text() + str(place.get())


def test_a_signed_git_webhook_refreshes_the_source_at_once(place: Place, tmp_path: Path) -> None:
    place.put("apps/all.yaml", config("x"))
    with argo(place, tmp_path) as running:
        place.cluster.make(APPS, place.app())
        synced(place, running)
        place.put("apps/all.yaml", config("x", "2"))
        body = orjson.dumps({"repository": {"clone_url": f"file://{place.root}.git"}})
        signed = {"X-Hub-Signature-256": f"sha256={hmac.new(b'abc', body, hashlib.sha256).hexdigest()}"}
        assert running.ask("/api/webhook", body, signed)[0] == 404 and running.ask("/api/webhook")[0] == 405
        shared_ = {"metadata": {"name": "argocd-secret"}, "stringData": {"webhook.github.secret": "abc"}}
        place.cluster.make(SECRETS, shared_)
        assert running.ask("/api/webhook", body, {"X-Hub-Signature-256": "sha256=0"})[0] == 404
        assert place.data("x") == {"a": "1"}
        assert running.ask("/api/webhook", body, signed)[0] == 200
        until(lambda: place.data("x") == {"a": "2"}, running)


def test_sync_options_create_namespaces_and_recreate_immutable_objects(place: Place, tmp_path: Path) -> None:
    frozen = {**config("frozen", namespace=""), "immutable": True}
    (place.root / "policy").mkdir()
    policy = 'package main\n\ndeny contains "no such team" if input.metadata.labels.team == "nobody"\n'
    (place.root / "policy/main.rego").write_text(policy)
    place.put("gatekeeper.yaml", {"library": {"profile": "off"}, "policies": {"paths": ["policy"]}})
    place.put("apps/all.yaml", frozen)
    wanted = {
        "automated": {"prune": True, "selfHeal": True},
        "syncOptions": [*BACKGROUND, "CreateNamespace=true"],
        "managedNamespaceMetadata": {"labels": {"team": "shop"}},
    }
    there = {"server": "https://kubernetes.default.svc", "namespace": "made"}
    with argo(place, tmp_path) as running:
        wrong = {**wanted, "managedNamespaceMetadata": {"labels": {"team": "nobody"}}}
        place.cluster.make(APPS, place.app(policy=wrong, destination=there))
        until(lambda: "no such team" in place.told().get("Refused", ""), running)
        assert place.cluster.ask("GET", "/api/v1/namespaces/made")[0] == 404
        place.cluster.ask("PATCH", f"{APPS}/apps", {"spec": {"syncPolicy": wanted}})
        place.sync()
        synced(place, running)
        assert place.cluster.ask("GET", "/api/v1/namespaces/made")[1]["metadata"]["labels"]["team"] == "shop"
        assert [one["kind"] for one in place.get()["status"]["resources"]] == ["ConfigMap"]
        place.put("apps/all.yaml", {**frozen, "data": {"a": "2"}})
        place.refresh()
        until(lambda: place.state()[2] == "Failed", running)
        assert "immutable" in place.message()
        forced = {**frozen, "data": {"a": "2"}}
        forced["metadata"] = {**frozen["metadata"], "annotations": {"argocd.argoproj.io/sync-options": "Force=true"}}
        place.put("apps/all.yaml", forced)
        place.refresh()
        synced(place, running)
        assert place.cluster.ask("GET", "/api/v1/namespaces/made/configmaps/frozen")[1]["data"] == {"a": "2"}
        # Written as a whole: what others have set of it is gone.
        path = "/api/v1/namespaces/made/configmaps/whole"
        whole = config("whole", namespace="")
        whole["metadata"]["annotations"] = {"argocd.argoproj.io/sync-options": "Replace=true"}
        place.put("apps/all.yaml", forced, whole)
        place.refresh()
        until(lambda: place.cluster.ask("GET", path)[0] == 200, running)
        synced(place, running)
        place.cluster.ask("PATCH", path, {"data": {"b": "of another"}})
        until(lambda: place.cluster.ask("GET", path)[1]["data"] == {"a": "1"}, running)


def test_a_remote_cluster_is_reached_by_its_secret_with_the_rights_of_a_service_account(
    place: Place, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    place.put("apps/all.yaml", config("x"))
    with servers.running(tmp_path / "other") as other, argo(place, tmp_path) as running:
        other.make("/api/v1/namespaces", {"metadata": {"name": "prod"}})
        place.cluster.make(APPS, place.app(destination={"name": "far", "namespace": "prod"}))
        until(
            lambda: "no cluster Secret in namespace argocd for far" in place.told().get("ComparisonError", ""), running
        )
        authority = base64.b64encode(other.certificate.read_bytes()).decode()
        way = {"bearerToken": TOKEN, "tlsClientConfig": {"caData": authority}}
        wrong = {**way, "execProviderConfig": {"command": "sh"}}
        held = secret("far", "cluster", name="far", server=other.url, config=orjson.dumps(wrong).decode())
        place.cluster.make(SECRETS, held)
        place.refresh()
        until(lambda: "`execProviderConfig` is not supported" in place.told().get("ComparisonError", ""), running)
        place.cluster.ask("DELETE", f"{SECRETS}/far")
        held["stringData"]["config"] = orjson.dumps(way).decode()
        place.cluster.make(SECRETS, held)
        own = {"spec": {"permitOnlyProjectScopedClusters": True}}
        place.cluster.ask("PATCH", f"{PROJECTS}/default", own)
        until(lambda: "permits only its own clusters" in place.told().get("ComparisonError", ""), running)
        place.cluster.ask("PATCH", f"{PROJECTS}/default", {"spec": {"permitOnlyProjectScopedClusters": None}})
        accounts = [{"server": "*", "namespace": "*", "defaultServiceAccount": "deployer"}]
        place.cluster.ask("PATCH", f"{PROJECTS}/default", {"spec": {"destinationServiceAccounts": accounts}})
        place.refresh()
        until(lambda: "cannot" in str(place.told()) + place.message(), running)
        assert other.ask("GET", f"{MAPS}/x")[0] == 404
        place.cluster.ask("PATCH", f"{PROJECTS}/default", {"spec": {"destinationServiceAccounts": None}})
        place.sync()
        synced(place, running)
        assert other.ask("GET", f"{MAPS}/x")[0] == 200 and place.data("x") is None
        assert TOKEN not in running.log.read_text() + str(place.get()) + str(place.events())


def test_applications_in_other_namespaces_need_permission_and_have_their_own_marks(
    place: Place, tmp_path: Path
) -> None:
    place.put("apps/all.yaml", config("x"))
    app = place.app()
    app["metadata"]["namespace"] = "prod"
    there = f"{HOME.replace('argocd', 'prod')}/applications"

    def told() -> str:
        return str(place.cluster.ask("GET", f"{there}/apps")[1].get("status"))

    with argo(place, tmp_path) as running:
        place.cluster.make(there, app)
        until(lambda: "does not permit Applications in the namespace prod" in told(), running)
        place.cluster.ask("PATCH", f"{PROJECTS}/default", {"spec": {"sourceNamespaces": ["pr*"]}})
        until(lambda: place.data("x") is not None, running)
        live = place.cluster.ask("GET", f"{MAPS}/x")[1]
        assert live["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] == "prod_apps:/ConfigMap:prod/x"
        place.cluster.ask("DELETE", f"{MAPS}/x")
        until(lambda: place.data("x") is not None, running)
    place.cluster.ask("DELETE", there)


def test_a_commit_must_be_signed_by_a_key_of_the_project(place: Place, tmp_path: Path) -> None:
    if shutil.which("gpg") is None:
        pytest.skip("GnuPG is not installed")
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    own = {**os.environ, "GNUPGHOME": str(home)}

    def done(*words: str) -> str:
        return subprocess.run(words, env=own, capture_output=True, text=True, check=True, timeout=60).stdout

    place.put("apps/all.yaml", config("x"))
    try:
        gpg = ("gpg", "--batch", "--passphrase", "", "--pinentry-mode", "loopback")
        done(*gpg, "--quick-generate-key", "Ann <ann@example.com>", "ed25519", "sign", "0")
        listed = done("gpg", "--with-colons", "--list-keys")
        key = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
        held = {"metadata": {"name": "argocd-gpg-keys-cm"}, "data": {key: done("gpg", "--armor", "--export", key)}}
        wanted = project("signed", signatureKeys=[{"keyID": key}])
        place.cluster.make(PROJECTS, wanted)
        log = tmp_path / "audit.jsonl"
        with argo(place, tmp_path, "--audit", log) as running:
            place.cluster.make(APPS, place.app(project="signed"))
            until(
                lambda: (
                    "is missing: add it, or remove it from the project's `signatureKeys`"
                    in place.told().get("ComparisonError", "")
                ),
                running,
            )
            place.cluster.make("/api/v1/namespaces/argocd/configmaps", held)
            place.refresh()
            until(lambda: "is not signed by a trusted key" in place.told().get("ComparisonError", ""), running)
            assert place.data("x") is None
            who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
            done("git", "-C", str(place.root), *who, "commit", "-q", "--allow-empty", f"-S{key}", "-m", "signed")
            place.refresh()
            synced(place, running)
            until(lambda: key in log.read_text(), running)
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)
    place.cluster.ask("DELETE", "/api/v1/namespaces/argocd/configmaps")


@shared("article")
def test_the_application_of_a_published_article_is_synced_unchanged(tmp_path: Path) -> None:
    """Verbatim but for the address of the repository, with Argo CD's own definitions."""
    (tmp_path / "cluster").mkdir()
    with servers.running(tmp_path / "cluster") as cluster, git_server.serving(tmp_path) as host:
        for name in ("application", "appproject"):
            definition = yaml.safe_load((SHARED / f"corpora/crds/{name}-crd.yaml").read_text())
            cluster.make(CRDS, definition)
            cluster.wait(f"/apis/argoproj.io/v1alpha1/{name}s")
        for name in ("argocd", "production"):
            cluster.make("/api/v1/namespaces", {"metadata": {"name": name}})
        place = Place(tmp_path / "app-manifests", cluster)
        for part in ("base", "overlays"):
            shutil.copytree(SHARED / "article" / part, place.root / part)
        place.put("clusters/production/kustomization.yaml", {"resources": ["../../overlays/production"]})
        [file] = (SHARED / "article/argocd").glob("*.yaml")
        app = yaml.safe_load(file.read_text())
        app["spec"]["source"]["repoURL"] = f"{host.url}/app-manifests/.git"
        login = {"username": git_server.USER, "password": git_server.PASSWORD}
        with controller(cluster, tmp_path, "--controllers", "argo") as running:
            cluster.make(PROJECTS, project())
            cluster.make(SECRETS, secret("git", "repo-creds", url=host.url, **login))
            cluster.make(APPS, app)
            name = app["metadata"]["name"]
            # A Deployment of the article lacks its selector: that is told with its place, and nothing is applied.
            until(lambda: "base/deployment.yaml:6: schema/required" in place.told(name).get("SyncError", ""), running)
            base = place.root / "base" / "deployment.yaml"
            value = yaml.safe_load(base.read_text())
            labels = value["spec"]["template"].setdefault("metadata", {}).setdefault("labels", {"app": "webapp"})
            value["spec"]["selector"] = {"matchLabels": labels}
            place.put("base/deployment.yaml", value)
            place.refresh(name)
            # Nobody runs its Pods here.
            until(lambda: place.state(name) == ("Synced", "Progressing", "Succeeded"), running)
            assert place.get(name)["status"]["summary"] == {"images": ["webapp:latest"]}
