"""How well an object is, in Argo CD's words; None where nothing is known of its kind.

Source: argo-cd `gitops-engine/pkg/health`, `resource_customizations`. Tests run Argo CD's own cases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatekeeper.applications import builtin_health
from gatekeeper.applications.builtin_health import UNSEEN, Health, Word, condition, said
from gatekeeper.cluster.objects import Object
from gatekeeper.model import at
from gatekeeper.reconciling.ordering import group_of


def of(value: Object) -> Health | None:
    """How well an object of the cluster is."""
    if at(value, ("metadata", "deletionTimestamp")):
        return Health("Progressing", "Pending deletion")
    kind, group = str(value.get("kind")), group_of(value)
    check = CHECKS.get(f"{group}/{kind}" if group else kind)
    return check(value) if check is not None else None


def _workflow(value: Object) -> Health:
    words: dict[Any, Word] = {
        None: "Progressing", "": "Progressing", "Pending": "Progressing", "Running": "Progressing",
        "Succeeded": "Healthy", "Failed": "Degraded", "Error": "Degraded",
    }  # fmt: skip
    return Health(words.get(at(value, ("status", "phase")), "Unknown"), str(at(value, ("status", "message")) or ""))


def _flux(value: Object) -> Health:
    """Of a Flux resource: its condition `Ready`."""
    if at(value, ("spec", "suspend")):
        return Health("Suspended", f"{value['kind']} is suspended")
    if at(value, ("spec", "type")) == "oci" and value["kind"] == "HelmRepository":
        return Health("Healthy", "of type oci: it has no status")
    ready, generation = condition(value, "Ready"), at(value, ("metadata", "generation"))
    if ready and generation and ready.get("observedGeneration") not in (None, generation):
        return UNSEEN
    if ready.get("status") == "True":
        return Health("Healthy", said(ready))
    if ready.get("status") == "False":
        is_late = ready.get("reason") == "DependencyNotReady" and value["kind"] in ("Kustomization", "HelmRelease")
        waits = is_late or ready.get("reason") in ("Progressing", "ProgressingWithRetry")
        return Health("Progressing" if waits else "Degraded", said(ready))
    return Health("Progressing", said(ready) or f"Waiting for {value['kind']}")


def _ready(value: Object) -> Health:
    """Of external-secrets and cert-manager: the condition `Ready`."""
    ready = condition(value, "Ready")
    issuing = condition(value, "Issuing")
    if issuing.get("status") == "True":
        return Health("Progressing", said(issuing))
    for name in ("NotReady", "PartiallyReady"):
        if ready.get("status") != "True" and condition(value, name).get("status") == "True":
            return Health("Degraded", said(condition(value, name)))
    if not ready:
        return Health("Progressing", f"Waiting for {value['kind']}")
    return Health("Healthy" if ready.get("status") == "True" else "Degraded", said(ready))


PHASES: dict[Any, Word] = {
    "Pending": "Progressing", "Running": "Progressing", "Progressing": "Progressing", "Paused": "Suspended",
    "Successful": "Healthy", "Healthy": "Healthy", "Failed": "Degraded", "Error": "Degraded", "Degraded": "Degraded",
    "Inconclusive": "Unknown",
}  # fmt: skip


def _phase(value: Object) -> Health:
    """Of Argo Rollouts: its own phase. Rollouts before 1.0 have none, and are told as progressing."""
    phase, message = at(value, ("status", "phase")), str(at(value, ("status", "message")) or "")
    return Health(PHASES.get(phase, "Progressing"), message)


WORKLOAD = "rollout.argoproj.io/workload-generation"


def _rollout(value: Object) -> Health:
    invalid = condition(value, "InvalidSpec")
    if invalid:
        return Health("Degraded", said(invalid))
    seen, generation = at(value, ("status", "observedGeneration")), at(value, ("metadata", "generation"))
    workload, known = (
        at(value, ("metadata", "annotations", WORKLOAD)),
        at(value, ("status", "workloadObservedGeneration")),
    )
    is_old = generation is not None and str(seen).isdecimal() and int(str(seen)) < generation
    if is_old or (workload is not None and str(known) != str(workload)):
        return UNSEEN
    progress = condition(value, "Progressing")
    if progress.get("reason") in ("ProgressDeadlineExceeded", "RolloutAborted"):
        return Health("Degraded", said(progress))
    if at(value, ("spec", "paused")) or at(value, ("status", "pauseConditions")):
        return Health("Suspended", "it is paused")
    return _phase(value)


def _application_set(value: Object) -> Health:
    for name, is_bad in (("ErrorOccurred", True), ("ResourcesUpToDate", False)):
        one = condition(value, name)
        if one.get("status") == "True":
            return Health("Degraded" if is_bad else "Healthy", said(one))
    return Health("Progressing", "Waiting for the ApplicationSet")


def _sealed(value: Object) -> Health:
    synced = condition(value, "Synced")
    if synced.get("status") == "False":
        return Health("Degraded", said(synced))
    return Health("Healthy" if synced else "Progressing", said(synced))


FLUX = {
    "kustomize": ("Kustomization",), "helm": ("HelmRelease",), "notification": ("Receiver", "Alert", "Provider"),
    "source": ("GitRepository", "OCIRepository", "HelmRepository", "HelmChart", "Bucket"),
    "image": ("ImageRepository", "ImagePolicy", "ImageUpdateAutomation"),
}  # fmt: skip
CHECKS: dict[str, Callable[[Object], Health]] = {
    **builtin_health.CHECKS,
    "argoproj.io/Workflow": _workflow, "argoproj.io/Rollout": _rollout, "argoproj.io/AnalysisRun": _phase,
    "argoproj.io/Experiment": _phase, "argoproj.io/ApplicationSet": _application_set,
    "bitnami.com/SealedSecret": _sealed, "external-secrets.io/ExternalSecret": _ready,
    "external-secrets.io/SecretStore": _ready, "external-secrets.io/ClusterSecretStore": _ready,
    "external-secrets.io/PushSecret": _ready, "external-secrets.io/ClusterExternalSecret": _ready,
    "cert-manager.io/Issuer": _ready, "cert-manager.io/ClusterIssuer": _ready, "cert-manager.io/Certificate": _ready,
    **{f"{group}.toolkit.fluxcd.io/{kind}": _flux for group, kinds in FLUX.items() for kind in kinds},
}  # fmt: skip
