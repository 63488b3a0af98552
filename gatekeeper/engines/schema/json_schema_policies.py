"""JSON Schema policies of a repository: `*.schema.json` and `*.schema.yaml` in its policy folders.

A file is a JSON Schema of any draft from 4 to 2020-12 (see `$schema`), with a block that selects resources:

    x-gatekeeper: {kinds: [Deployment, "apps/*/StatefulSet"], paths: ["apps/*"], labels: {tier: web}, severity: warning}
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from gatekeeper.engines.protocol import EngineContext, EngineResult, EngineScope
from gatekeeper.engines.schema import messages
from gatekeeper.engines.schema.json_schema_references import reject_endless_references
from gatekeeper.errors import PolicyError
from gatekeeper.model import TERRAFORM_KIND, FieldPath, Finding, Gap, Resource, Severity, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import list_files_below

if TYPE_CHECKING:
    import jsonschema_rs

SCHEMA_SUFFIXES = (".schema.json", ".schema.yaml", ".schema.yml")
SETTINGS_KEY = "x-gatekeeper"
SETTING_TYPES: dict[str, tuple[type, str]] = {
    "kinds": (list, "a list"),
    "paths": (list, "a list"),
    "labels": (dict, "a mapping"),
    "severity": (str, "a string"),
    "message": (str, "a string"),
    "remedy": (str, "a string"),
}
BASE_URI = "repository:///"
STEP = "evaluating JSON Schema policies"
SCOPE: EngineScope = "resources"


class SchemaPolicy(NamedTuple):
    """One policy: the resources that it applies to, and how violations are reported; patterns have `*` and `?`."""

    name: str
    validator: jsonschema_rs.Validator
    kinds: tuple[str, ...]
    paths: tuple[str, ...]
    labels: Mapping[str, str]
    severity: Severity
    message: str
    remedy: str
    digest: str

    def is_applicable(self, resource: Resource) -> bool:
        """Whether the policy applies to a resource."""
        ref = resource.ref
        names = (ref.kind, f"{ref.api_version}/{ref.kind}")
        # A policy applies to Terraform only if its `kinds` name it.
        if not self.kinds and ref.kind == TERRAFORM_KIND:
            return False
        if self.kinds and not any(fnmatch.fnmatchcase(name, kind) for name in names for kind in self.kinds):
            return False
        if self.paths and not any(fnmatch.fnmatchcase(resource.origin.file, path) for path in self.paths):
            return False
        labels = get_field(resource.value, ("metadata", "labels")) if self.labels else {}
        return all(fnmatch.fnmatchcase(str(get_field(labels, (key,))), pattern) for key, pattern in self.labels.items())


def load_policies(root: Path, folders: Sequence[str]) -> tuple[list[SchemaPolicy], list[Gap]]:
    """Load all JSON Schema policies below the folders; a policy that cannot be used is a gap."""
    policies: list[SchemaPolicy] = []
    gaps: list[Gap] = []
    for folder in folders:
        for path in list_files_below(root / folder, SCHEMA_SUFFIXES):
            if not path.name.endswith(SCHEMA_SUFFIXES):
                continue
            name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
            try:
                policies.append(_load_policy(root, path, name))
            except PolicyError as error:
                gaps.append(Gap(name, f"the policy could not be evaluated: {error}", is_fatal=True))
    return policies, gaps


def evaluate(context: EngineContext) -> EngineResult:
    """Validates each target by the JSON Schema policies that apply to it."""
    policies, unusable = load_policies(context.tree.root, context.config.policies)
    findings = [
        finding
        for policy in policies
        for resource in (*context.targets, *context.terraform_targets)
        if policy.is_applicable(resource)
        for finding in _find_violations(policy, resource)
    ]
    return EngineResult(findings, global_gaps=unusable, policy_digests=[policy.digest for policy in policies])


def _load_policy(root: Path, path: Path, name: str) -> SchemaPolicy:
    # Imported here: only repositories with JSON Schema policies need it.
    import jsonschema_rs

    text, schema = _read_schema(path)
    settings = schema.pop(SETTINGS_KEY, {})
    _validate_settings(settings)
    title = schema.get("title")
    reject_endless_references(schema)
    try:
        validator = jsonschema_rs.validator_for(schema, base_uri=f"{BASE_URI}{name}", retriever=_build_retriever(root))
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise PolicyError(f"is not a valid JSON Schema: {str(error).strip().splitlines()[0]}") from error
    return SchemaPolicy(
        name=f"schemas/{path.name.partition('.schema.')[0]}",
        validator=validator,
        kinds=tuple(map(str, settings.get("kinds", ()))),
        paths=tuple(map(str, settings.get("paths", ()))),
        labels={str(key): str(value) for key, value in settings.get("labels", {}).items()},
        severity=settings.get("severity", "error"),
        message=settings.get("message") or (title if isinstance(title, str) else ""),
        remedy=settings.get("remedy", ""),
        digest=hashlib.sha256(text).hexdigest(),
    )


def _read_schema(path: Path) -> tuple[bytes, dict[str, Any]]:
    try:
        text = path.read_bytes()
        parsed, failure = documents.parse(text)
    except OSError as error:
        raise PolicyError(f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise PolicyError(f"cannot be read: {error}") from error
    if failure is not None:
        raise PolicyError(f"cannot be read: line {failure[1]}: {failure[0]}")
    value = documents.to_value(parsed[0]) if parsed else None
    if not isinstance(value, dict):
        raise PolicyError("a schema must be a mapping")
    return text, value


def _validate_settings(settings: Any) -> None:
    if not isinstance(settings, dict):
        raise PolicyError(f"`{SETTINGS_KEY}` must be a mapping with {', '.join(SETTING_TYPES)}")
    for key, value in settings.items():
        if key not in SETTING_TYPES:
            raise PolicyError(f"unknown field `{SETTINGS_KEY}.{key}`; valid fields are {', '.join(SETTING_TYPES)}")
        if not isinstance(value, SETTING_TYPES[key][0]):
            raise PolicyError(f"`{SETTINGS_KEY}.{key}` must be {SETTING_TYPES[key][1]}")
    if settings.get("severity", "error") not in ("error", "warning", "info"):
        raise PolicyError(f"`{SETTINGS_KEY}.severity` must be error, warning or info")


def _build_retriever(root: Path) -> Callable[[str], Any]:
    """Build a function that reads the schemas that a schema refers to; they must be files of the repository."""

    def retrieve(uri: str) -> Any:
        local = uri.removeprefix(BASE_URI)
        if not uri.startswith(BASE_URI) or not (root / local).resolve().is_relative_to(root.resolve()):
            raise ValueError(f"{uri} is not a file of the repository, and schemas are never downloaded")
        try:
            return _read_schema(root / local)[1]
        except PolicyError as error:
            raise ValueError(f"{local} {error}") from error

    return retrieve


def _find_violations(policy: SchemaPolicy, resource: Resource) -> Iterator[Finding]:
    value = orjson.loads(resource.json)
    for error in policy.validator.iter_errors(value):
        path: FieldPath = tuple(error.instance_path)
        for fault in messages.describe_error(error.kind, path, get_field(value, path)):
            message = f"{policy.message}: {fault.message}" if policy.message else fault.message
            yield resource.build_finding(
                policy.name,
                message,
                fault.field,
                hint=policy.remedy,
                severity=policy.severity,
                is_key=fault.is_key,
            )
