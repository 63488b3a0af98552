"""Objects that are defined twice for one cluster."""

from __future__ import annotations

import pytest

from tests.conftest import Repository, judge, rules
from tests.engines.references.objects import POD, SEALED, config_map, find_faults, flux, list_places, secret
from tests.render.rendering import CHART

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: prod}\nspec: {ports: [{port: 80}]}\n"


def external_secret(name: str, target: str) -> str:
    return f"""\
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {{name: {name}, namespace: prod}}
spec:
  secretStoreRef: {{name: s, kind: ClusterSecretStore}}
  target: {{name: {target}}}
  data: [{{secretKey: a, remoteRef: {{key: k}}}}]
"""


def two_clusters(second: str) -> dict[str, str | bytes]:
    secret_of = config_map("settings", "size").replace("metadata: {", "metadata: {annotations: {a: NAME}, ")
    return {
        "gatekeeper.yaml": "library: {profile: 'off'}\n",
        "clusters/one/flux.yaml": flux("one", "./clusters/one") + flux("apps", "./apps/one"),
        "clusters/two/flux.yaml": flux("two", "./clusters/two") + flux("apps", second),
        "apps/one/a.yaml": secret_of.replace("NAME", "first"),
        "apps/two/a.yaml": secret_of.replace("NAME", "second"),
    }


def test_clusters_may_have_objects_of_the_same_name(repository: Repository) -> None:
    assert "twice" not in {one[0] for one in list_places(list(judge(repository(two_clusters("./apps/two"))).findings))}


def test_an_object_that_one_cluster_gets_twice_is_found(repository: Repository) -> None:
    files = two_clusters("./apps/two")
    files["clusters/one/more.yaml"] = flux("more", "./apps/two")
    assert ("twice", "apps/two/a.yaml") in {one[:2] for one in list_places(list(judge(repository(files)).findings))}


def test_two_providers_of_one_secret_are_found(repository: Repository) -> None:
    both = find_faults(repository, SEALED, secret("db", "password"), POD)
    [twice] = [one for one in both if one.rule == "references/twice"]
    assert twice.message == "Secret prod/db is defined twice: by this Secret, and by SealedSecret in 0.yaml:3"


MERGED = external_secret("one", "db").replace("name: db", "name: db, creationPolicy: Merge")


@pytest.mark.parametrize(
    ("text", "is_twice"),
    [
        (config_map("a", "x") + "---\n" + config_map("a", "y"), True),
        (config_map("a", "x") + "---\n" + config_map("a", "x"), True),
        (config_map("a", "x") + "---\n" + config_map("b", "x"), False),
        (external_secret("one", "db") + "---\n" + external_secret("two", "db"), True),
        (external_secret("one", "db") + "---\n" + external_secret("two", "other"), False),
        (external_secret("one", "db") + "---\n" + MERGED.replace("name: one", "name: two"), False),
        (SERVICE + "---\n" + SERVICE.replace("apiVersion: v1", "apiVersion: serving.knative.dev/v1"), False),
    ],
)
def test_an_object_that_one_file_has_twice_is_found(repository: Repository, text: str, is_twice: bool) -> None:
    root = repository({"gatekeeper.yaml": "library: {profile: 'off'}\n", "a.yaml": text})
    assert ("references/twice" in rules(judge(root))) is is_twice


def test_several_renderings_of_one_template_are_no_duplicates(repository: Repository) -> None:
    both = "{{ if .Values.x }}\n" + config_map("a", "x") + "{{ else }}\n" + config_map("a", "y") + "{{ end }}\n"
    files: dict[str, str | bytes] = {"c/Chart.yaml": CHART, "c/values.yaml": "x: 1\n", "c/values-b.yaml": "x: 0\n"}
    root = repository({**files, "gatekeeper.yaml": "library: {profile: 'off'}\n", "c/templates/a.yaml": both})
    assert "references/twice" not in rules(judge(root))
