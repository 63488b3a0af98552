"""How well an object is, in Argo CD's words; None where nothing is known of its kind.

A script of the user's counts before those of Argo CD, and those before what is known of Kubernetes' own kinds.
Source: argo-cd `docs/operator-manual/health.md`, `util/lua/lua.go` (`GetHealthScript`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import yaml

from gatekeeper.apply.order import group_of
from gatekeeper.argocd.glob import matches
from gatekeeper.argocd.health import builtin, lua_client
from gatekeeper.argocd.health.builtin import HEALTH_STATUSES, ArgoHealth
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.errors import ToolError
from gatekeeper.model import get_field

# Groups of Kubernetes itself for which Argo CD has no scripts: nobody has to be asked.
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
# Scripts of the user's, by group and kind, or a pattern of these.
HealthScripts = Mapping[str, str]
# Kinds for which there is no script.
_kinds_without_script: set[str] = set()
_kinds_lock = threading.Lock()


def compute_health(value: Object, scripts: HealthScripts) -> ArgoHealth | None:
    """How well an object of the cluster is.

    Raises:
        ToolError: the program that runs the scripts is not built, or took too long.
    """
    if get_field(value, ("metadata", "deletionTimestamp")):
        return ArgoHealth("Progressing", "Pending deletion")
    kind, group = str(value.get("kind")), group_of(value)
    key = f"{group}/{kind}" if group else kind
    script = scripts.get(key) or next((text for pattern, text in scripts.items() if matches(pattern, key)), "")
    if script or (group not in BUILTIN_GROUPS and key not in _kinds_without_script):
        said = lua_client.evaluate_health(group, kind, value, script)
        if said is not None:
            return _to_health(said)
        if not script:
            with _kinds_lock:
                _kinds_without_script.add(key)
    check = builtin.HEALTH_CHECKS.get(key)
    return check(value) if check is not None else None


def _to_health(result: lua_client.LuaHealth) -> ArgoHealth:
    if result.fault:
        return ArgoHealth("Unknown", f"its health script {result.fault}")
    word = next((one for one in HEALTH_STATUSES if one == result.status), None)
    return (
        ArgoHealth(word, result.message)
        if word is not None
        else ArgoHealth("Unknown", "its health script says no word")
    )


def parse_scripts(settings: Mapping[str, str]) -> dict[str, str]:
    """The scripts in Argo CD's settings.

    Raises:
        ToolError: they cannot be read.
    """
    try:
        whole: Any = yaml.safe_load(settings.get(CUSTOMIZATIONS_SETTING) or "{}")
    except yaml.YAMLError:
        raise ToolError(f"`{CUSTOMIZATIONS_SETTING}` of Argo CD's settings is no YAML") from None
    found = {}
    for key, held in (whole if isinstance(whole, dict) else {}).items():
        text = get_field(held, ("health.lua",))
        if isinstance(text, str):
            found[str(key)] = text
    for key, text in settings.items():
        if key.startswith(HEALTH_SETTING_PREFIX):
            group, _, kind = key.removeprefix(HEALTH_SETTING_PREFIX).rpartition("_")
            found[f"{group}/{kind}" if group else kind] = text
    return found
