"""Policies that the repository deploys to its cluster, asked before the cluster is: Gatekeeper, Kubernetes, Kyverno.

They are found among the rendered resources, and in the YAML files of the policy folders. What one asks that is not
known here is refused by name, unless the config lists it under `policies.clusterOnly`.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from gatekeeper import documents
from gatekeeper.config import Config
from gatekeeper.documents import Source
from gatekeeper.engines.admission import constraints, templates, vap
from gatekeeper.engines.admission.constraints import Constraint, Constraints
from gatekeeper.engines.admission.kyverno import rules as kyverno
from gatekeeper.engines.admission.kyverno.asking import Rules
from gatekeeper.engines.admission.selectors import Unknown
from gatekeeper.engines.admission.templates import Template
from gatekeeper.engines.rego import asking
from gatekeeper.engines.rego.asking import Asked, Plan
from gatekeeper.engines.rego.policies import PolicySet
from gatekeeper.errors import PolicyError, ToolError
from gatekeeper.model import Finding, Gap, Resource
from gatekeeper.render import plain
from gatekeeper.roles import Answer

NEWER = "policies.kyverno.io"


class Judged(NamedTuple):
    """What the policies found, what could not be judged, and a digest of each policy."""

    findings: list[Finding]
    gaps: list[Gap]
    digests: list[str]


class Family(Protocol):
    """The policies of one kind, ready to be asked."""

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.roles.RegoEngine`."""

    def asked(self) -> dict[str, Asked]:
        """The policies as rules, by query."""

    def chooses(self, query: str, resource: Resource) -> bool:
        """Whether a policy judges a resource; raises Unknown or PolicyError where that cannot be told."""

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[Answer]:
        """See `gatekeeper.roles.RegoEngine`."""

    def close(self) -> None:
        """See `gatekeeper.roles.RegoEngine`."""


def judge(root: Path, resources: Sequence[Resource], config: Config, jobs: int) -> Judged:
    """Asks all policies that the repository deploys, or has in its policy folders."""
    done = Judged([], [], [])
    known = [*resources, *_from_folders(root, config.policies)]
    policies = _distinct([one for one in known if _is_policy(one)])
    if not policies:
        return done
    done.digests.extend(hashlib.sha256(one.json).hexdigest() for one in policies)
    for start in (_constraints, _bindings, _rules):
        notes: list[Gap] = []
        try:
            family = start(policies, known, config, jobs, notes)
            if family is not None:
                _ask(family, resources, config, done)
        except (PolicyError, ToolError) as error:
            notes.append(Gap(policies[0].origin.file, f"no policy of its kind was asked: {error}", fatal=True))
        done.gaps.extend(notes)
    return done


def _ask(family: Family, resources: Sequence[Resource], config: Config, done: Judged) -> None:
    rules = family.asked()
    unknown: dict[Gap, None] = {}

    def wanted(resource: Resource) -> list[str]:
        chosen = []
        for query, rule in rules.items():
            try:
                if family.chooses(query, resource):
                    chosen.append(query)
            except (Unknown, PolicyError) as error:
                unknown[_gap(rule.module.path, rule.name, str(error), config)] = None
        return chosen

    try:
        findings, gaps = asking.judge(resources, Plan(rules, PolicySet((), {})), family, wanted)
    finally:
        family.close()
    done.findings.extend(findings)
    done.gaps.extend([*gaps, *unknown])


def _is_policy(resource: Resource) -> bool:
    ref = resource.ref
    return (
        templates.is_template(resource)
        or constraints.is_constraint(resource)
        or kyverno.is_policy(resource)
        or ref.group == NEWER
        or (ref.group == vap.GROUP and ref.kind in (vap.POLICY, vap.BINDING))
    )


def _distinct(policies: Sequence[Resource]) -> list[Resource]:
    """Each policy once, though several overlays bring it."""
    return list({(one.ref, one.json): one for one in reversed(policies)}.values())[::-1]


def _gap(file: str, name: str, reason: str, config: Config) -> Gap:
    is_known = any(fnmatch.fnmatchcase(name, pattern) for pattern in config.cluster_only)
    way_out = "" if is_known else f"; list `{name}` under `policies.clusterOnly` to leave it to the cluster"
    return Gap(file, f"policy {name} was not asked: {reason}{way_out}", fatal=not is_known)


def _refuse(policy: Resource, error: Exception, config: Config) -> Gap:
    return _gap(policy.origin.file, f"{policy.ref.kind}/{policy.ref.name}", str(error), config)


def _constraints(
    policies: Sequence[Resource], known: Sequence[Resource], config: Config, jobs: int, notes: list[Gap]
) -> Family | None:
    kinds: dict[str, Template] = {}
    for policy in policies:
        if templates.is_template(policy):
            try:
                template = templates.read(policy)
            except PolicyError as error:
                notes.append(_refuse(policy, error, config))
                continue
            if template.kind in kinds:
                notes.append(_refuse(policy, PolicyError("another template for its kind differs from it"), config))
            kinds.setdefault(template.kind, template)
    found: list[Constraint] = []
    for policy in policies:
        if constraints.is_constraint(policy):
            try:
                constraint = constraints.read(policy, kinds)
            except PolicyError as error:
                notes.append(_refuse(policy, error, config))
                continue
            if constraint is not None:
                found.append(constraint)
    return Constraints(found, known, config, jobs) if found else None


def _bindings(
    policies: Sequence[Resource], known: Sequence[Resource], config: Config, jobs: int, notes: list[Gap]
) -> Family | None:
    ours = [one for one in policies if one.ref.group == vap.GROUP]
    by_name = {one.ref.name: one for one in ours if one.ref.kind == vap.POLICY}
    bound: list[vap.Bound] = []
    used: set[str] = set()
    for binding in (one for one in ours if one.ref.kind == vap.BINDING):
        name = str((binding.value.get("spec") or {}).get("policyName"))
        used.add(name)
        try:
            if name not in by_name:
                raise PolicyError(f"it binds {vap.POLICY} {name}, which is not in the repository")
            bound.append(vap.read(by_name[name], binding, known))
        except PolicyError as error:
            notes.append(_refuse(binding, error, config))
    for name in by_name.keys() - used:
        reason = f"{vap.POLICY} {name} has no binding, so it judges nothing"
        notes.append(Gap(by_name[name].origin.file, reason))
    return vap.Bindings(bound, known, jobs) if bound else None


def _rules(
    policies: Sequence[Resource], known: Sequence[Resource], config: Config, jobs: int, notes: list[Gap]
) -> Family | None:
    exceptions = [one for one in known if one.ref.group == kyverno.GROUP and one.ref.kind == "PolicyException"]
    rules: list[kyverno.Rule] = []
    for policy in policies:
        said: list[str] = []
        try:
            if kyverno.is_policy(policy):
                rules.extend(kyverno.read(policy, exceptions, said))
            elif policy.ref.group == NEWER:
                raise PolicyError(f"the API {policy.ref.api_version} is not known here")
        except PolicyError as error:
            notes.append(_refuse(policy, error, config))
        notes.extend(Gap(policy.origin.file, note) for note in said)
    return Rules(rules, known, jobs) if rules else None


def _from_folders(root: Path, folders: Sequence[str]) -> Iterator[Resource]:
    """The resources in YAML files of the policy folders that lie outside of what is judged."""
    for folder in folders:
        start = root / folder
        files = [start] if start.is_file() else sorted(start.rglob("*"))
        for file in (file for file in files if file.suffix in documents.EXTENSIONS and file.is_file()):
            name = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()
            parsed, failure = documents.parse(file.read_bytes())
            if failure is None:
                yield from plain.resources(Source(name, "documents", tuple(parsed)))
