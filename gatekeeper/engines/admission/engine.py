"""Policies that the repository deploys to its cluster, judged before the cluster does: Gatekeeper, Kubernetes, Kyverno.

They are found among the rendered resources, and in the YAML files of the policy folders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from gatekeeper.engines.protocol import EngineContext, EngineResult, EngineScope
from gatekeeper.model import Resource
from gatekeeper.render import manifests
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import ParsedFile
from gatekeeper.workspace.tree import list_files_below

KYVERNO_CEL_GROUP = "policies.kyverno.io"
# Groups whose resources are policies, and the kinds (none: all).
POLICY_KINDS: dict[str, tuple[str, ...]] = {
    "templates.gatekeeper.sh": ("ConstraintTemplate",),
    "constraints.gatekeeper.sh": (),
    "admissionregistration.k8s.io": ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
    "kyverno.io": ("ClusterPolicy", "Policy"),
    KYVERNO_CEL_GROUP: (),
}


STEP = "evaluating admission policies"
SCOPE: EngineScope = "resources"


def evaluate(context: EngineContext) -> EngineResult:
    """Evaluates all policies that the repository deploys, or has in its policy folders."""
    known = [*context.resources, *_read_folders(context.tree.root, context.config.policies)]
    policies = _deduplicate([one for one in known if is_policy(one)])
    if not policies:
        return EngineResult()
    # Most repositories have none: what asks them takes a tenth of a second to load.
    from gatekeeper.engines.admission import evaluation

    return evaluation.evaluate_policies(policies, known, context.targets, context.config, context.jobs)


def is_policy(resource: Resource) -> bool:
    """Whether a resource is a policy, or what puts one to work."""
    return is_policy_kind(resource.ref.group, resource.ref.kind)


def is_policy_kind(group: str, kind: str) -> bool:
    """Whether a kind is that of a policy, or of what puts one to work."""
    kinds = POLICY_KINDS.get(group)
    return kinds is not None and (not kinds or kind in kinds)


def _deduplicate(policies: Sequence[Resource]) -> list[Resource]:
    """Each policy once, though several overlays bring it."""
    return list({(one.ref, one.json): one for one in reversed(policies)}.values())[::-1]


def _read_folders(root: Path, folders: Sequence[str]) -> Iterator[Resource]:
    """The resources in YAML files of the policy folders that lie outside of what is judged."""
    for folder in folders:
        for file in list_files_below(root / folder, documents.EXTENSIONS):
            if file.suffix not in documents.EXTENSIONS:
                continue
            name = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()
            parsed, failure = documents.parse(file.read_bytes())
            if failure is None:
                yield from manifests.list_resources(ParsedFile(name, "documents", tuple(parsed)))
