"""Objects that are defined twice for one cluster."""

from __future__ import annotations

from tests.conftest import Repository, judge
from tests.engines.references.objects import POD, SEALED, config_map, find_faults, flux, list_places, secret


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
