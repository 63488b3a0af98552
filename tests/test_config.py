"""The settings of a repository."""

from __future__ import annotations

from pathlib import Path

from gatekeeper import config
from gatekeeper.config import Config


def test_paths_out_of_a_copy_lead_where_they_led_before() -> None:
    settings = Config(policies=("../p", "own"), bundles=({"source": "git+../b@v1"},))
    moved = config.anchor_paths(settings, Path("/work"))
    assert moved.policies == ("/work/../p", "own")
    assert moved.bundles == ({"source": "git+/work/../b@v1"},)
