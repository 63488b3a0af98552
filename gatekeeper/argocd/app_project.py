"""What an AppProject lets Applications do: where from, where to, and what.

Source: argo-cd `docs/user-guide/projects.md`, `docs/operator-manual/project-specification.md`. Where a rule there can
be read in two ways, the one counts that lets less.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.argocd.application_spec import Application, Destination, normalize_url
from gatekeeper.argocd.glob import matches
from gatekeeper.argocd.sync.sync_windows import SyncWindow, parse_sync_window
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.model import get_field

DENY_PREFIX = "!"


def find_refusal(project: Object, application: Application, argocd_namespace: str, destination: Destination) -> str:
    """Why a project does not let an Application be; empty where it does.

    Args:
        argocd_namespace: the namespace of the projects, whose Applications need no leave.
        destination: with both the address and the name of the cluster.
    """
    name = project["metadata"]["name"]
    if get_field(project, ("spec", "sourceIntegrity")):
        return f"the project {name} has `sourceIntegrity`, which is not supported yet: use `signatureKeys`"
    if application.namespace != argocd_namespace and not _matches_any(
        _read_list(project, "sourceNamespaces"), application.namespace
    ):
        return f"the project {name} does not let Applications be in the namespace {application.namespace}"
    for source in application.sources:
        if not is_source_permitted(project, source.url):
            return f"the project {name} does not permit the repository {source.url}"
    if not is_destination_permitted(project, destination):
        where = destination.name or destination.server
        return f"the project {name} does not permit the namespace {destination.namespace or '(none)'} of {where}"
    return ""


def is_source_permitted(project: Object, url: str) -> bool:
    """Whether manifests may come from a repository."""
    rules = [str(one) for one in _read_list(project, "sourceRepos")]
    denied = [normalize_url(one[1:]) for one in rules if one.startswith(DENY_PREFIX)]
    allowed = [normalize_url(one) for one in rules if not one.startswith(DENY_PREFIX)]
    own = normalize_url(url)
    if any(matches(one, own, "/") for one in denied):
        return False
    return any(one == "*" or matches(one, own, "/") for one in allowed)


def is_destination_permitted(project: Object, destination: Destination) -> bool:
    """Whether something may be applied to a namespace of a cluster."""
    is_let = False
    for rule in _read_list(project, "destinations"):
        server, name, namespace = (str(get_field(rule, (key,)) or "") for key in ("server", "name", "namespace"))
        by_server = _matches_rule(server, destination.server) if server else None
        by_name = _matches_rule(name, destination.name) if name else None
        cluster = [one for one in (by_server, by_name) if one is not None]
        space = _matches_rule(namespace, destination.namespace)
        # A rule with `!` forbids where all that it names fits.
        if any(text.startswith(DENY_PREFIX) for text in (server, name, namespace)):
            if space and all(cluster):
                return False
            continue
        is_let = is_let or (bool(space) and any(cluster))
    return is_let


def _matches_rule(pattern: str, text: str) -> bool:
    return matches(pattern.removeprefix(DENY_PREFIX), text)


def is_kind_permitted(project: Object, entry: InventoryEntry, is_namespaced: bool) -> bool:
    """Whether objects of a kind may be applied."""
    scope = "namespace" if is_namespaced else "cluster"
    whites, blacks = (get_field(project, ("spec", f"{scope}Resource{word}")) for word in ("Whitelist", "Blacklist"))
    if _matches_any_kind(blacks, entry):
        return False
    # Of what is in namespaces all may be applied where no list says otherwise; of what is in none, nothing.
    return is_namespaced if whites is None else _matches_any_kind(whites, entry)


def _matches_any_kind(rules: Any, entry: InventoryEntry) -> bool:
    for rule in rules if isinstance(rules, list) else ():
        group, kind, name = (str(get_field(rule, (key,)) or "") for key in ("group", "kind", "name"))
        if matches(group, entry.group) and matches(kind, entry.kind) and (not name or matches(name, entry.name)):
            return True
    return False


def list_signing_keys(project: Object) -> tuple[str, ...]:
    """The keys of PGP by one of which each commit must be signed; none where none must be."""
    found = (get_field(one, ("keyID",)) for one in _read_list(project, "signatureKeys"))
    return tuple(sorted(str(one) for one in found if one))


def find_service_account(project: Object, destination: Destination) -> str:
    """The user with whose rights an Application of a project is applied; empty for our own."""
    for rule in _read_list(project, "destinationServiceAccounts"):
        server, namespace, name = (
            str(get_field(rule, (key,)) or "") for key in ("server", "namespace", "defaultServiceAccount")
        )
        if matches(server, destination.server) and matches(namespace or "*", destination.namespace):
            space, sign, own = name.rpartition(":")
            return f"system:serviceaccount:{space if sign else destination.namespace}:{own}"
    return ""


def parse_sync_windows(project: Object) -> list[SyncWindow]:
    """When Applications of a project may be synced.

    Raises:
        FieldError: one is not valid.
    """
    return [parse_sync_window(one, number) for number, one in enumerate(_read_list(project, "syncWindows"))]


def _matches_any(rules: Iterable[object], text: str) -> bool:
    return any(isinstance(one, str) and matches(one, text) for one in rules)


def _read_list(project: Object, field: str) -> list[Any]:
    held = get_field(project, ("spec", field))
    return held if isinstance(held, list) else []


def is_window_for(window: SyncWindow, application: Application, destination: Destination) -> bool:
    """Whether a window is about an Application."""
    by = (
        _matches_any(window.applications, application.name),
        _matches_any(window.namespaces, destination.namespace),
        _matches_any(window.clusters, destination.server) or _matches_any(window.clusters, destination.name),
    )
    told = (window.applications, window.namespaces, window.clusters)
    if window.should_match_all:
        return any(told) and all(fits for fits, listed in zip(by, told, strict=True) if listed)
    return any(by)
