"""A second rendering of a chart shows which of its values Helm makes at random."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.config import Config
from gatekeeper.model import Resource
from gatekeeper.render import pipeline, second_rendering
from gatekeeper.render.helm.helm_origin import HelmOrigin
from tests.conftest import Repository, needs

FILES: dict[str, str | bytes] = {
    "chart/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\n",
    "chart/templates/a.yaml": (
        "{{- range list 1 2 }}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c{{ . }}}\n"
        "data: {random: x{{ randAlphaNum 20 }}, fixed: a}\n---\n{{- end }}\n"
    ),
    "plain.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\ndata: {random: a}\n",
}
PATH = ("data", "random")


def render(root: Path) -> dict[str, Resource]:
    return {resource.ref.name: resource for resource in pipeline.render_repository(root, Config()).resources}


@needs("gatekeeper-upstream")
def test_a_random_value_has_another_value_in_the_second_rendering(repository: Repository) -> None:
    resources = render(repository(FILES))
    others = [second_rendering.find_other_value(resources[name], PATH) for name in ("c1", "c2")]
    values = [resources[name].value["data"]["random"] for name in ("c1", "c2")]
    assert all(others) and len({*others, *values}) == 4
    # Two objects of one chart are compared with the same rendering.
    assert others[0] == second_rendering.find_other_value(resources["c1"], PATH)


@needs("gatekeeper-upstream")
def test_a_fixed_or_changed_value_and_a_plain_object_have_no_other_value(repository: Repository) -> None:
    resources = render(repository(FILES))
    chart = resources["c1"]
    assert second_rendering.find_other_value(chart, ("data", "fixed")) is None
    assert second_rendering.find_other_value(chart, ("data", "missing")) is None
    assert second_rendering.find_other_value(resources["plain"], PATH) is None
    changed = chart._replace(json=chart.json.replace(b'"random":"x', b'"random":"y'))
    assert second_rendering.find_other_value(changed, PATH) is None


@needs("gatekeeper-upstream")
def test_a_chart_that_fails_the_second_time_has_no_other_value(repository: Repository) -> None:
    root = repository(FILES)
    resources = render(root)
    origin = resources["c1"].origin
    assert isinstance(origin, HelmOrigin)
    # A values file that is gone makes Helm fail.
    origin.chart_render.use = origin.chart_render.use._replace(values_files=("missing.yaml",))
    assert second_rendering.find_other_value(resources["c1"], PATH) is None
