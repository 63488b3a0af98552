"""Health of one object: a user's script counts before Argo CD's scripts, and those before the built-in checks.

Source: argo-cd `docs/operator-manual/health.md`, `util/lua/lua.go` (`GetHealthScript`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import yaml

from gatekeeper.apply.order import group_of
from gatekeeper.argocd.glob import matches
from gatekeeper.argocd.health import lua_client
from gatekeeper.argocd.health.builtin import HEALTH_CHECKS, HEALTH_STATUSES, ArgoHealth
from gatekeeper.errors import ToolError
from gatekeeper.model import Object, get_field

# Kubernetes' own groups, for which Argo CD has no scripts: the Go program is not called.
BUILTIN_GROUPS = (
    "",
    "apps",
    "autoscaling",
    "extensions",
    "networking.k8s.io",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
)
HEALTH_SETTING_PREFIX, CUSTOMIZATIONS_SETTING = "resource.customizations.health.", "resource.customizations"
# Lua sources by `group/kind`, or by a glob of it.
HealthScripts = Mapping[str, str]
# Kinds for which Argo CD has no script, so that each is looked up once.
_kinds_without_script: set[str] = set()
_kinds_lock = threading.Lock()


def compute_health(value: Object, scripts: HealthScripts) -> ArgoHealth | None:
    """Compute the health of a live object; None if its kind has no health check.

    Raises:
        ToolError: the program that runs the scripts is not built, failed, or took too long.
    """
    if get_field(value, ("metadata", "deletionTimestamp")):
        return ArgoHealth("Progressing", "Pending deletion")
    kind, group = str(value.get("kind")), group_of(value)
    key = f"{group}/{kind}" if group else kind
    script = scripts.get(key) or next((text for pattern, text in scripts.items() if matches(pattern, key)), "")
    if script or (group not in BUILTIN_GROUPS and key not in _kinds_without_script):
        result = lua_client.evaluate_health(group, kind, value, script)
        if result is not None:
            return _to_health(result)
        if not script:
            with _kinds_lock:
                _kinds_without_script.add(key)
    check = HEALTH_CHECKS.get(key)
    return check(value) if check is not None else None


def _to_health(result: lua_client.LuaHealth) -> ArgoHealth:
    if result.fault:
        return ArgoHealth("Unknown", f"the health script {result.fault}")
    status = next((status for status in HEALTH_STATUSES if status == result.status), None)
    if status is None:
        return ArgoHealth("Unknown", f"the health script returned no valid status; use {', '.join(HEALTH_STATUSES)}")
    return ArgoHealth(status, result.message)


def parse_scripts(settings: Mapping[str, str]) -> dict[str, str]:
    """Read the health scripts from Argo CD's settings.

    Args:
        settings: the data of the ConfigMap `argocd-cm`.

    Raises:
        ToolError: the settings are not YAML.
    """
    try:
        customizations: Any = yaml.safe_load(settings.get(CUSTOMIZATIONS_SETTING) or "{}")
    except yaml.YAMLError:
        raise ToolError(f"ConfigMap argocd-cm: `{CUSTOMIZATIONS_SETTING}` is not valid YAML") from None
    scripts = dict[str, str]()
    for key, customization in (customizations if isinstance(customizations, dict) else {}).items():
        script = get_field(customization, ("health.lua",))
        if isinstance(script, str):
            scripts[str(key)] = script
    for key, script in settings.items():
        if key.startswith(HEALTH_SETTING_PREFIX):
            group, _, kind = key.removeprefix(HEALTH_SETTING_PREFIX).rpartition("_")
            scripts[f"{group}/{kind}" if group else kind] = script
    return scripts
