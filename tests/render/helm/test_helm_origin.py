"""The origin of a rendered field: the value that set it, or the line of the template."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.model import FieldPath, Location
from tests.conftest import Repository, needs
from tests.render.rendering import CHART_CONTAINER, FILES, RELEASE, TEMPLATE, web

pytestmark = needs("gatekeeper-upstream")


def test_a_chart_that_nothing_uses_is_rendered_with_its_own_values(repository: Repository) -> None:
    found = web(repository(FILES))
    assert found.value["spec"]["replicas"] == 1
    assert found.origin.find_location(("spec", "replicas")) == Location("chart/values.yaml", 1, 11)
    assert found.origin.find_location((*CHART_CONTAINER, "name")) == Location("chart/templates/web.yaml", 11)
    limit = (*CHART_CONTAINER, "resources", "limits", "memory")
    assert found.origin.find_location(limit) == Location("chart/values.yaml", 6, 20)


def locate(root: Path, *path: str | int) -> Location:
    return web(root).origin.find_location(path)


def test_the_value_with_the_highest_precedence_is_the_origin(repository: Repository) -> None:
    files = {**FILES, "release.yaml": RELEASE, "envs/prod.yaml": "image: {name: prod}\nreplicas: 4\n"}
    root = repository(files)
    assert locate(root, "spec", "replicas") == Location("envs/prod.yaml", 2, 11)
    release = RELEASE.replace("      tag: v3", "      tag: v3\n    replicas: 9")
    assert locate(repository({**files, "release.yaml": release}), "spec", "replicas")[:2] == ("release.yaml", 14)


def test_a_value_that_a_template_changes_leads_to_the_line_of_the_template(repository: Repository) -> None:
    text = TEMPLATE.replace("{{ .Values.replicas }}", "{{ add .Values.replicas 1 }}")
    assert locate(repository({**FILES, "chart/templates/web.yaml": text}), "spec", "replicas") == Location(
        "chart/templates/web.yaml", 7
    )


def test_a_dot_belongs_to_the_with_around_it(repository: Repository) -> None:
    text = TEMPLATE.replace(
        "  replicas: {{ .Values.replicas }}\n",
        "  {{- with .Values.image }}{{- end }}\n  {{- with .Values.replicas }}\n  replicas: {{ . }}\n  {{- end }}\n",
    )
    root = repository({**FILES, "chart/templates/web.yaml": text})
    assert locate(root, "spec", "replicas") == Location("chart/values.yaml", 1, 11)


def test_a_field_that_is_missing_leads_to_its_nearest_parent(repository: Repository) -> None:
    path: FieldPath = (*CHART_CONTAINER, "securityContext", "privileged")
    assert locate(repository(FILES), *path) == Location("chart/templates/web.yaml", 11)


def test_a_chart_that_cannot_be_rendered_with_marks_leads_to_its_template(repository: Repository) -> None:
    files: dict[str, str | bytes] = {
        **FILES,
        "chart/templates/_x.tpl": '{{- define "x" }}\na: 1\n{{- end }}',
        "chart/templates/web.yaml": '{{ if contains "#gk" (include "x" .) }}{{ fail "marked" }}{{ end }}' + TEMPLATE,
    }
    assert locate(repository(files), "spec", "replicas") == Location("chart/templates/web.yaml")


def test_the_search_for_a_line_writes_to_no_file_that_a_link_leads_to(repository: Repository) -> None:
    template = "chart/templates/web.yaml"
    files = {file: text for file, text in FILES.items() if file != template}
    root = repository({**files, "shared/web.yaml": TEMPLATE})
    (root / "chart" / "templates").mkdir(exist_ok=True)
    for link, target in ((root / template, "shared/web.yaml"), (root / "chart" / "templates", "shared")):
        if link.is_dir():
            (root / template).unlink()
            link.rmdir()
        link.symlink_to(root / target)
        assert locate(root, "spec", "replicas").file in (template, "chart/values.yaml")
        assert (root / "shared" / "web.yaml").read_text() == TEMPLATE
