"""The references engine: a reference to a missing object is found unless the config exempts it."""

from __future__ import annotations

from gatekeeper.config import Config
from gatekeeper.engines.references import engine
from tests.conftest import Repository
from tests.engines.contexts import build_context

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: b}
spec:
  containers:
  - name: c
    image: i
    envFrom: [{configMapRef: {name: settings}}]
"""
SETTINGS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: b}\n"


def find(repository: Repository, files: dict[str, str | bytes], settings: Config | None = None) -> list[str]:
    return [finding.rule for finding in engine.evaluate(build_context(repository(files), settings)).findings]


def test_a_missing_object_is_found_and_an_existing_one_is_not(repository: Repository) -> None:
    assert find(repository, {"p.yaml": POD}) == ["references/missing"]
    assert find(repository, {"p.yaml": POD, "s.yaml": SETTINGS}) == []


def test_the_config_names_objects_that_are_elsewhere(repository: Repository) -> None:
    settings = Config()._replace(references=("ConfigMap/b/settings",))
    assert find(repository, {"p.yaml": POD}, settings) == []
