"""What an AppProject permits its Applications: sources, destinations, kinds, signers and sync windows.

Source: argo-cd `docs/user-guide/projects.md`, `docs/operator-manual/project-specification.md`. Where a rule there is
ambiguous, the stricter reading is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.argocd.application_spec import Application, Destination
from gatekeeper.argocd.glob import matches
from gatekeeper.argocd.source_spec import normalize_url
from gatekeeper.argocd.sync.sync_windows import SyncWindow, parse_sync_window
from gatekeeper.model import Object, get_field

DENY_PREFIX = "!"


def find_refusal(project: Object, application: Application, argocd_namespace: str, destination: Destination) -> str:
    """Return why a project refuses an Application; empty if it permits it.

    Args:
        argocd_namespace: the namespace of the projects, in which Applications are always permitted.
        destination: with both the URL and the name of the cluster.
    """
    name = project["metadata"]["name"]
    if get_field(project, ("spec", "sourceIntegrity")):
        return f"the project {name} uses `sourceIntegrity`, which is not supported yet: use `signatureKeys`"
    if application.namespace != argocd_namespace and not _matches_any(
        _read_list(project, "sourceNamespaces"), application.namespace
    ):
        return f"the project {name} does not permit Applications in the namespace {application.namespace}"
    for source in application.sources:
        if not is_source_permitted(project, source.url):
            return f"the project {name} does not permit the repository {source.url}"
    if not is_destination_permitted(project, destination):
        where = destination.name or destination.server
        return f"the project {name} does not permit the namespace {destination.namespace or '(none)'} of {where}"
    return ""


def is_source_permitted(project: Object, url: str) -> bool:
    """Whether a project permits a repository."""
    rules = [str(rule) for rule in _read_list(project, "sourceRepos")]
    denied = [normalize_url(rule[1:]) for rule in rules if rule.startswith(DENY_PREFIX)]
    allowed = [normalize_url(rule) for rule in rules if not rule.startswith(DENY_PREFIX)]
    normalized = normalize_url(url)
    if any(matches(pattern, normalized, "/") for pattern in denied):
        return False
    return any(pattern == "*" or matches(pattern, normalized, "/") for pattern in allowed)


def is_destination_permitted(project: Object, destination: Destination) -> bool:
    """Whether a project permits a namespace of a cluster."""
    is_permitted = False
    for rule in _read_list(project, "destinations"):
        server, name, namespace = (str(get_field(rule, (key,)) or "") for key in ("server", "name", "namespace"))
        by_server = _matches_rule(server, destination.server) if server else None
        by_name = _matches_rule(name, destination.name) if name else None
        cluster_matches = [match for match in (by_server, by_name) if match is not None]
        namespace_matches = _matches_rule(namespace, destination.namespace)
        # A rule with `!` denies a destination if everything it names matches.
        if any(text.startswith(DENY_PREFIX) for text in (server, name, namespace)):
            if namespace_matches and all(cluster_matches):
                return False
            continue
        is_permitted = is_permitted or (namespace_matches and any(cluster_matches))
    return is_permitted


def _matches_rule(pattern: str, text: str) -> bool:
    return matches(pattern.removeprefix(DENY_PREFIX), text)


def is_kind_permitted(project: Object, entry: InventoryEntry, is_namespaced: bool) -> bool:
    """Whether a project permits the kind of an object."""
    scope = "namespace" if is_namespaced else "cluster"
    allowed, denied = (get_field(project, ("spec", f"{scope}Resource{word}")) for word in ("Whitelist", "Blacklist"))
    if _matches_any_kind(denied, entry):
        return False
    # Without an allow list every namespaced kind is permitted, and no cluster-scoped kind.
    return is_namespaced if allowed is None else _matches_any_kind(allowed, entry)


def _matches_any_kind(rules: Any, entry: InventoryEntry) -> bool:
    for rule in rules if isinstance(rules, list) else ():
        group, kind, name = (str(get_field(rule, (key,)) or "") for key in ("group", "kind", "name"))
        if matches(group, entry.group) and matches(kind, entry.kind) and (not name or matches(name, entry.name)):
            return True
    return False


def list_signing_keys(project: Object) -> tuple[str, ...]:
    """List the PGP keys of which one must have signed each commit; empty if commits need no signature."""
    keys = (get_field(rule, ("keyID",)) for rule in _read_list(project, "signatureKeys"))
    return tuple(sorted(str(key) for key in keys if key))


def find_service_account(project: Object, destination: Destination) -> str:
    """Return the user to impersonate at a destination; empty for the controller's own rights."""
    for rule in _read_list(project, "destinationServiceAccounts"):
        server, namespace, account = (
            str(get_field(rule, (key,)) or "") for key in ("server", "namespace", "defaultServiceAccount")
        )
        if matches(server, destination.server) and matches(namespace or "*", destination.namespace):
            account_namespace, separator, name = account.rpartition(":")
            return f"system:serviceaccount:{account_namespace if separator else destination.namespace}:{name}"
    return ""


def parse_sync_windows(project: Object) -> list[SyncWindow]:
    """Decode the sync windows of a project.

    Raises:
        FieldError: a window is invalid.
    """
    return [parse_sync_window(window, index) for index, window in enumerate(_read_list(project, "syncWindows"))]


def is_window_for(window: SyncWindow, application: Application, destination: Destination) -> bool:
    """Whether a sync window applies to an Application."""
    lists = (window.applications, window.namespaces, window.clusters)
    list_matches = (
        _matches_any(window.applications, application.name),
        _matches_any(window.namespaces, destination.namespace),
        _matches_any(window.clusters, destination.server) or _matches_any(window.clusters, destination.name),
    )
    if window.should_match_all:
        return any(lists) and all(match for match, patterns in zip(list_matches, lists, strict=True) if patterns)
    return any(list_matches)


def _matches_any(patterns: Iterable[object], text: str) -> bool:
    return any(isinstance(pattern, str) and matches(pattern, text) for pattern in patterns)


def _read_list(project: Object, field: str) -> list[Any]:
    rules = get_field(project, ("spec", field))
    return rules if isinstance(rules, list) else []
