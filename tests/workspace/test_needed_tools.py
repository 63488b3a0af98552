"""Which external programs a repository needs."""

from __future__ import annotations

import pytest

from gatekeeper.config import Config
from gatekeeper.errors import UsageError
from gatekeeper.workspace.needed_tools import find_needed_tools, list_tools_to_install
from tests.conftest import Repository

KYVERNO = "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: a}\n"


@pytest.mark.parametrize(
    ("file", "text", "needed"),
    [
        ("a.yaml", "apiVersion: v1\nkind: Pod\n", set()),
        ("app/kustomization.yaml", "resources: []\n", {"gatekeeper-upstream"}),
        ("app/kustomization.yaml", "helmCharts: [{name: web}]\n", {"gatekeeper-upstream"}),
        ("chart/Chart.yaml", "name: a\n", {"gatekeeper-upstream"}),
        ("main.tf", "", {"gatekeeper-upstream"}),
        ("main.tf.json", "{}", {"gatekeeper-upstream"}),
        ("prod.auto.tfvars.json", "{}", {"gatekeeper-upstream"}),
        ("a.json", "{}", set()),
        ("p.yaml", KYVERNO, {"gatekeeper-kyverno"}),
        ("p.yaml", KYVERNO.replace("kyverno.io/v1", '"policies.kyverno.io/v1"'), {"gatekeeper-kyverno"}),
        ("p.yaml", KYVERNO.replace("apiVersion", "# apiVersion"), set()),
        ("p.txt", KYVERNO, set()),
    ],
)
def test_files_need_programs(repository: Repository, file: str, text: str, needed: set[str]) -> None:
    assert find_needed_tools(repository({file: text}), Config()) == needed


def test_the_engine_opa_needs_its_program_unless_it_runs_elsewhere(repository: Repository) -> None:
    root = repository({"a.txt": ""})
    assert find_needed_tools(root, Config(engine="opa")) == {"opa"}
    assert find_needed_tools(root, Config(engine="opa", opa_url="http://localhost:8181")) == set()


def test_excluded_files_need_nothing(repository: Repository) -> None:
    root = repository({"vendor/p.yaml": KYVERNO})
    assert find_needed_tools(root, Config(exclude=("vendor",))) == set()


def test_the_program_that_validates_objects_is_installed_for_each_repository(repository: Repository) -> None:
    root = repository({"a.yaml": KYVERNO})
    assert list_tools_to_install(root) == ["gatekeeper-upstream", "gatekeeper-kyverno"]
    (root / "gatekeeper.yaml").write_text("engine: opa\nfiles: {exclude: [a.yaml]}\n")
    assert list_tools_to_install(root) == ["gatekeeper-upstream", "opa"]
    # A folder that is no repository is not searched.
    (root / "gatekeeper.yaml").unlink()
    assert list_tools_to_install(root) == ["gatekeeper-upstream"]


def test_an_invalid_configuration_is_a_usage_error(repository: Repository) -> None:
    with pytest.raises(UsageError, match="unknown setting `enginee`"):
        list_tools_to_install(repository({"gatekeeper.yaml": "enginee: opa\n"}))
