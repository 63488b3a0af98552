"""Charts of kustomizations: the message of a failure."""

from __future__ import annotations

import pytest

from gatekeeper.config import Config
from gatekeeper.errors import ToolError
from gatekeeper.render.chart_inflation import inflate_charts
from tests.conftest import Repository, needs
from tests.render.rendering import FILES

WRAPPER = {"kustomization.yaml": "resources: [../repository/app]\n"}

pytestmark = needs("kustomize", "helm")


def test_a_failure_names_files_of_the_repository(repository: Repository) -> None:
    files = {f"app/charts/web/{name.removeprefix('chart/')}": text for name, text in FILES.items()}
    files["app/charts/web/templates/web.yaml"] = '{{ fail "no replicas" }}\n'
    root = repository({**files, "app/kustomization.yaml": "helmCharts: [{name: web, releaseName: w}]\n"})
    with pytest.raises(ToolError, match="no replicas") as raised:
        inflate_charts(root, WRAPPER, False, Config())
    assert str(root) not in str(raised.value)
