"""Health of one object: which check decides, and users' scripts."""

from __future__ import annotations

import pytest

from gatekeeper.argocd.health import resource_health
from gatekeeper.argocd.health.builtin import ArgoHealth
from gatekeeper.errors import ToolError
from tests.conftest import needs


@needs("gatekeeper-upstream")
def test_a_users_script_counts_first_and_is_sandboxed() -> None:
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "status": {"phase": "Up"}}
    settings = {
        "resource.customizations.health.example.com_Widget": 'return {status = obj.status.phase == "Up" and "Healthy" or "Degraded", message = string.upper("up")}',
        "resource.customizations": "'*.example.org/*': {health.lua: 'return {status = \"Suspended\"}'}",
    }
    scripts = resource_health.parse_scripts(settings)
    assert (
        resource_health.compute_health(widget, scripts) == ArgoHealth("Healthy", "UP")
        and resource_health.compute_health(widget, {}) is None
    )
    assert resource_health.compute_health({**widget, "apiVersion": "a.example.org/v1"}, scripts) == ArgoHealth(
        "Suspended"
    )
    for text, words in (
        ("while true do end", "takes longer than a second"),
        ("return io.open('/etc/passwd')", "fails"),
        ("return os.getenv('HOME')", "fails"),
        ("return dofile('/etc/passwd')", "fails"),
        ("this is no Lua", "fails"),
        ("return {status = 'Fine'}", "returned no valid status"),
    ):
        found = resource_health.compute_health(widget, {"example.com/Widget": text})
        assert found is not None and found.status == "Unknown" and words in found.message, text
    with pytest.raises(ToolError, match="is not valid YAML"):
        resource_health.parse_scripts({"resource.customizations": "{"})
