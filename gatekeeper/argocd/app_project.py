"""What an AppProject lets Applications do: where from, where to, and what.

Source: argo-cd `docs/user-guide/projects.md`, `docs/operator-manual/project-specification.md`. Where a rule there can
be read in two ways, the one counts that lets less.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gatekeeper.apply.inventory import Entry
from gatekeeper.argocd.application_spec import Application, Destination, normal
from gatekeeper.argocd.glob import matches
from gatekeeper.argocd.sync.sync_windows import Window, read
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.model import at

DENIED = "!"


def refusal(project: Object, application: Application, home: str, destination: Destination) -> str:
    """Why a project does not let an Application be; empty where it does.

    Args:
        home: the namespace of the projects, whose Applications need no leave.
        destination: with both the address and the name of the cluster.
    """
    name = project["metadata"]["name"]
    if at(project, ("spec", "sourceIntegrity")):
        return f"the project {name} has `sourceIntegrity`, which is not supported yet: use `signatureKeys`"
    if application.namespace != home and not _fits(_listed(project, "sourceNamespaces"), application.namespace):
        return f"the project {name} does not let Applications be in the namespace {application.namespace}"
    for source in application.sources:
        if not permits_source(project, source.url):
            return f"the project {name} does not permit the repository {source.url}"
    if not permits_destination(project, destination):
        where = destination.name or destination.server
        return f"the project {name} does not permit the namespace {destination.namespace or '(none)'} of {where}"
    return ""


def permits_source(project: Object, url: str) -> bool:
    """Whether manifests may come from a repository."""
    rules = [str(one) for one in _listed(project, "sourceRepos")]
    denied = [normal(one[1:]) for one in rules if one.startswith(DENIED)]
    allowed = [normal(one) for one in rules if not one.startswith(DENIED)]
    own = normal(url)
    if any(matches(one, own, "/") for one in denied):
        return False
    return any(one == "*" or matches(one, own, "/") for one in allowed)


def permits_destination(project: Object, destination: Destination) -> bool:
    """Whether something may be applied to a namespace of a cluster."""
    is_let = False
    for rule in _listed(project, "destinations"):
        server, name, namespace = (str(at(rule, (key,)) or "") for key in ("server", "name", "namespace"))
        by_server = _rule(server, destination.server) if server else None
        by_name = _rule(name, destination.name) if name else None
        cluster = [one for one in (by_server, by_name) if one is not None]
        space = _rule(namespace, destination.namespace)
        # A rule with `!` forbids where all that it names fits.
        if any(text.startswith(DENIED) for text in (server, name, namespace)):
            if space and all(cluster):
                return False
            continue
        is_let = is_let or (bool(space) and any(cluster))
    return is_let


def _rule(pattern: str, text: str) -> bool:
    return matches(pattern.removeprefix(DENIED), text)


def permits_kind(project: Object, entry: Entry, is_namespaced: bool) -> bool:
    """Whether objects of a kind may be applied."""
    scope = "namespace" if is_namespaced else "cluster"
    whites, blacks = (at(project, ("spec", f"{scope}Resource{word}")) for word in ("Whitelist", "Blacklist"))
    if _names(blacks, entry):
        return False
    # Of what is in namespaces all may be applied where no list says otherwise; of what is in none, nothing.
    return is_namespaced if whites is None else _names(whites, entry)


def _names(rules: Any, entry: Entry) -> bool:
    for rule in rules if isinstance(rules, list) else ():
        group, kind, name = (str(at(rule, (key,)) or "") for key in ("group", "kind", "name"))
        if matches(group, entry.group) and matches(kind, entry.kind) and (not name or matches(name, entry.name)):
            return True
    return False


def signers(project: Object) -> tuple[str, ...]:
    """The keys of PGP by one of which each commit must be signed; none where none must be."""
    found = (at(one, ("keyID",)) for one in _listed(project, "signatureKeys"))
    return tuple(sorted(str(one) for one in found if one))


def account(project: Object, destination: Destination) -> str:
    """The user with whose rights an Application of a project is applied; empty for our own."""
    for rule in _listed(project, "destinationServiceAccounts"):
        server, namespace, name = (
            str(at(rule, (key,)) or "") for key in ("server", "namespace", "defaultServiceAccount")
        )
        if matches(server, destination.server) and matches(namespace or "*", destination.namespace):
            space, sign, own = name.rpartition(":")
            return f"system:serviceaccount:{space if sign else destination.namespace}:{own}"
    return ""


def windows(project: Object) -> list[Window]:
    """When Applications of a project may be synced.

    Raises:
        FieldError: one is not valid.
    """
    return [read(one, number) for number, one in enumerate(_listed(project, "syncWindows"))]


def _fits(rules: Iterable[object], text: str) -> bool:
    return any(isinstance(one, str) and matches(one, text) for one in rules)


def _listed(project: Object, name: str) -> list[Any]:
    held = at(project, ("spec", name))
    return held if isinstance(held, list) else []


def is_for(window: Window, application: Application, destination: Destination) -> bool:
    """Whether a window is about an Application."""
    by = (
        _fits(window.applications, application.name),
        _fits(window.namespaces, destination.namespace),
        _fits(window.clusters, destination.server) or _fits(window.clusters, destination.name),
    )
    told = (window.applications, window.namespaces, window.clusters)
    if window.needs_all:
        return any(told) and all(fits for fits, listed in zip(by, told, strict=True) if listed)
    return any(by)
