"""`gatekeeper controller`: its manifests, and options that it refuses before it connects to a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gatekeeper.commands import controller
from gatekeeper.terminal.controller_options import CONTROLLERS
from tests.commands.conftest import Run

IMAGE = f"registry.example/gatekeeper@sha256:{'0' * 64}"


def test_manifests_run_the_given_image_with_the_given_number_of_replicas(run: Run) -> None:
    code, out, err = run("controller", "manifests", "--image", IMAGE, "--replicas", "3", "-n", "gitops")
    assert (code, err) == (0, "")
    [deployment] = [value for value in yaml.safe_load_all(out) if value["kind"] == "Deployment"]
    assert deployment["metadata"]["namespace"] == "gitops" and deployment["spec"]["replicas"] == 3
    assert [container["image"] for container in deployment["spec"]["template"]["spec"]["containers"]] == [IMAGE]


def test_manifests_without_an_image_are_a_usage_error(run: Run) -> None:
    code, out, err = run("controller", "manifests")
    assert (code, out) == (2, "") and "--image REGISTRY/NAME@sha256:" in err


def test_an_unknown_controller_is_named_with_the_known_ones(run: Run) -> None:
    code, _, err = run("controller", "manifests", "--image", IMAGE, "--controllers", "flux,helm")
    assert code == 2 and "unknown controller helm; choose from flux, argo, sealed, external, admission" in err


@pytest.mark.parametrize("network", ["10.0.0.0/33", "cluster"])
def test_a_malformed_network_is_a_usage_error(run: Run, network: str) -> None:
    code, _, err = run("controller", "run", "--proxy-from", network)
    assert code == 2 and f"--proxy-from: invalid ip_network value: '{network}'" in err


def test_run_without_a_readable_kubeconfig_fails(run: Run, tmp_path: Path) -> None:
    code, out, err = run("controller", "run", "--kubeconfig", tmp_path / "missing")
    assert (code in (2, 3), out) == (True, "") and str(tmp_path / "missing") in err


def test_every_controller_can_be_started_and_is_described(run: Run) -> None:
    assert list(controller.CONTROLLER_BUILDERS) == list(CONTROLLERS)
    _, out, _ = run("controller", "--help")
    assert all(f"\n{name:<11}{words.split()[0]}" in out for name, words in CONTROLLERS.items())
