"""Secrets and ConfigMaps that nothing uses."""

from __future__ import annotations

from tests.conftest import Repository
from tests.engines.references.objects import config_map, find_all


def test_an_unused_config_map_is_a_warning(repository: Repository) -> None:
    lonely = config_map("lonely", "x")
    [finding] = find_all(repository, lonely)
    assert (finding.rule, finding.severity, finding.location.line) == ("references/unused", "warning", 4)
    assert find_all(repository, lonely, config="references: {allow: ['ConfigMap/prod/lon*']}\n") == []
    named = (
        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: prod}\nspec:\n  containers:\n"
        "  - {name: c, image: 'a:1', args: ['--map=prod/lonely']}\n"
    )
    assert find_all(repository, lonely + named) == []
    labelled = lonely.replace("namespace: prod", "namespace: prod, labels: {grafana_dashboard: '1'}")
    assert find_all(repository, labelled) == []
