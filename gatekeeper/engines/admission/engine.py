"""The admission engine: policies that the repository deploys, evaluated before the cluster does.

These are constraints of OPA Gatekeeper, ValidatingAdmissionPolicies of Kubernetes, and policies of Kyverno. They are
found among the rendered resources, and in the YAML files of the policy folders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from gatekeeper.engines import policy_files
from gatekeeper.engines.admission import policy_kinds
from gatekeeper.engines.protocol import EngineContext, EngineResult, EngineScope
from gatekeeper.model import Resource
from gatekeeper.render import manifests
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile, list_files_below

STEP = "evaluating admission policies"
SCOPE: EngineScope = "resources"


def evaluate(context: EngineContext) -> EngineResult:
    """Evaluates all admission policies of the repository and of its policy folders."""
    known_resources = read_known_resources(context)
    policies = _deduplicate([resource for resource in known_resources if policy_kinds.is_policy(resource)])
    if not policies:
        return EngineResult()
    # Imported here because the CEL and JMESPath libraries take a tenth of a second, and most repositories have none.
    from gatekeeper.engines.admission import evaluation

    return evaluation.evaluate_policies(policies, known_resources, context)


def read_known_resources(context: EngineContext) -> list[Resource]:
    """All rendered resources, and those in YAML files of the policy folders."""
    return [*context.resources, *_read_folders(context.tree.root, context.config.policies)]


def _deduplicate(policies: Sequence[Resource]) -> list[Resource]:
    """Keeps each policy once, though several overlays may render it."""
    return list({(policy.ref, policy.json): policy for policy in reversed(policies)}.values())[::-1]


def _read_folders(root: Path, folders: Sequence[str]) -> Iterator[Resource]:
    """Reads the resources in YAML files of the policy folders; the Rego engine reports files that cannot be read."""
    for folder in folders:
        files = list_files_below(root / folder, documents.EXTENSIONS)
        for file in (file for file in files if file.suffix in documents.EXTENSIONS):
            parsed, failure = documents.parse(file.read_bytes())
            if failure is None:
                name = policy_files.format_name(file, root)
                yield from manifests.list_resources(ParsedFile(name, "documents", tuple(parsed)))
