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
from gatekeeper.argocd.health.builtin import WORDS, Health
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.errors import ToolError
from gatekeeper.model import at

# Groups of Kubernetes itself for which Argo CD has no scripts: nobody has to be asked.
OWN = (
    "", "apps", "autoscaling", "extensions", "networking.k8s.io", "rbac.authorization.k8s.io", "storage.k8s.io",
)  # fmt: skip
PREFIX, WHOLE = "resource.customizations.health.", "resource.customizations"
# Scripts of the user's, by group and kind, or a pattern of these.
Scripts = Mapping[str, str]
# Kinds for which there is no script.
_unknown: set[str] = set()
_noting = threading.Lock()


def of(value: Object, scripts: Scripts) -> Health | None:
    """How well an object of the cluster is.

    Raises:
        ToolError: the program that runs the scripts is not built, or took too long.
    """
    if at(value, ("metadata", "deletionTimestamp")):
        return Health("Progressing", "Pending deletion")
    kind, group = str(value.get("kind")), group_of(value)
    key = f"{group}/{kind}" if group else kind
    script = scripts.get(key) or next((text for pattern, text in scripts.items() if matches(pattern, key)), "")
    if script or (group not in OWN and key not in _unknown):
        said = lua_client.ask(group, kind, value, script)
        if said is not None:
            return _read(said)
        if not script:
            with _noting:
                _unknown.add(key)
    check = builtin.CHECKS.get(key)
    return check(value) if check is not None else None


def _read(said: lua_client.Said) -> Health:
    if said.fault:
        return Health("Unknown", f"its health script {said.fault}")
    word = next((one for one in WORDS if one == said.status), None)
    return Health(word, said.message) if word is not None else Health("Unknown", "its health script says no word")


def scripts_of(settings: Mapping[str, str]) -> dict[str, str]:
    """The scripts in Argo CD's settings.

    Raises:
        ToolError: they cannot be read.
    """
    try:
        whole: Any = yaml.safe_load(settings.get(WHOLE) or "{}")
    except yaml.YAMLError:
        raise ToolError(f"`{WHOLE}` of Argo CD's settings is no YAML") from None
    found = {}
    for key, held in (whole if isinstance(whole, dict) else {}).items():
        text = at(held, ("health.lua",))
        if isinstance(text, str):
            found[str(key)] = text
    for key, text in settings.items():
        if key.startswith(PREFIX):
            group, _, kind = key.removeprefix(PREFIX).rpartition("_")
            found[f"{group}/{kind}" if group else kind] = text
    return found
