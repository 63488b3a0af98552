"""The admission engine: policies that the repository deploys, evaluated before the cluster does.

These are constraints of OPA Gatekeeper, ValidatingAdmissionPolicies of Kubernetes, and policies of Kyverno. They are
found among the rendered resources, and in the YAML files of the policy folders.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gatekeeper.engines import policy_files
from gatekeeper.engines.admission import policy_kinds
from gatekeeper.engines.protocol import EngineContext, EngineResult, EngineScope
from gatekeeper.engines.rego.loader import has_admission_policy
from gatekeeper.errors import PolicyError
from gatekeeper.model import Gap, Resource
from gatekeeper.render import manifests
from gatekeeper.workspace import documents
from gatekeeper.workspace.text_encoding import describe_encoding
from gatekeeper.workspace.tree import ParsedFile, list_files_below

STEP = "evaluating admission policies"
SCOPE: EngineScope = "resources"


def evaluate(context: EngineContext) -> EngineResult:
    """Evaluates all admission policies of the repository and of its policy folders."""
    folder_resources, unusable = _read_folders(context.tree.root, context.config.policies)
    known_resources = [*context.resources, *folder_resources]
    policies = _deduplicate([resource for resource in known_resources if policy_kinds.is_policy(resource)])
    if not policies:
        return EngineResult(global_gaps=unusable)
    # Imported here because the CEL and JMESPath libraries take a tenth of a second, and most repositories have none.
    from gatekeeper.engines.admission import evaluation

    result = evaluation.evaluate_policies(policies, known_resources, context)
    return result._replace(global_gaps=[*result.global_gaps, *unusable])


def read_known_resources(context: EngineContext) -> list[Resource]:
    """All rendered resources, and those in YAML files of the policy folders."""
    return [*context.resources, *_read_folders(context.tree.root, context.config.policies)[0]]


def _deduplicate(policies: Sequence[Resource]) -> list[Resource]:
    """Keeps each policy once, though several overlays may render it."""
    return list({(policy.ref, policy.json): policy for policy in reversed(policies)}.values())[::-1]


def _read_folders(root: Path, folders: Sequence[str]) -> tuple[list[Resource], list[Gap]]:
    """The resources in YAML files of the policy folders, and a gap for each file with policies that cannot be read."""
    resources: list[Resource] = []
    gaps: list[Gap] = []
    for folder in folders:
        files = list_files_below(root / folder, documents.EXTENSIONS)
        for file in (file for file in files if file.suffix in documents.EXTENSIONS):
            name = policy_files.format_name(file, root)
            try:
                content = policy_files.read_bytes(file, name)
                parsed, failure = documents.parse(content)
            except PolicyError as error:
                gaps.append(Gap(name, str(error), is_fatal=True))
                continue
            if failure is None:
                resources.extend(manifests.list_resources(ParsedFile(name, "documents", tuple(parsed))))
            elif has_admission_policy(content):
                reason = describe_encoding(content) or f"line {failure[1]}, column {failure[2]}: {failure[0]}"
                text = f"its policies could not be evaluated: {reason}; correct the file"
                gaps.append(Gap(name, text, is_fatal=True))
    return resources, gaps
