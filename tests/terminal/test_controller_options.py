"""The options of `gatekeeper controller`."""

from __future__ import annotations

import ipaddress

import pytest

from gatekeeper.terminal import controller_options


def test_flux_is_the_only_controller_by_default() -> None:
    assert controller_options.build_parser().parse_args(["run"]).controllers == ("flux",)


def test_controllers_are_separated_by_commas() -> None:
    args = controller_options.build_parser().parse_args(["run", "--controllers", "argo,sealed"])
    assert args.controllers == ("argo", "sealed")


@pytest.mark.parametrize("text", ["", "flux,", "Flux", "flux,helm"])
def test_an_unknown_controller_is_refused_with_the_known_ones(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        controller_options.build_parser().parse_args(["run", "--controllers", text])
    assert "choose from flux, argo, sealed, external, admission" in capsys.readouterr().err


def test_networks_can_be_given_several_times() -> None:
    arguments = ["run", "--proxy-from", "10.0.0.0/8", "--proxy-from", "fd00::/8"]
    networks = controller_options.build_parser().parse_args(arguments).proxy_from
    assert networks == [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]
