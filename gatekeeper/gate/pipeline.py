"""The spine: a tree of files in, one verdict out."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from gatekeeper.config import CONFIG_FILE, Config
from gatekeeper.engines.admission import engine as admission
from gatekeeper.engines.encrypted import engine as sealed
from gatekeeper.engines.plaintext import secrets as plaintext
from gatekeeper.engines.references import graph as references
from gatekeeper.engines.rego import bundles, library
from gatekeeper.engines.rego import evaluation as rego
from gatekeeper.engines.schema import json_schema_policies as schema_policies
from gatekeeper.engines.schema import known_crds
from gatekeeper.engines.schema import validation as schema
from gatekeeper.engines.schema.catalog import SchemaCatalog
from gatekeeper.engines.secret_access import allow_rules as external
from gatekeeper.gate import impact, waivers
from gatekeeper.gate.shards import WHOLE_REPOSITORY, Shard
from gatekeeper.host.cache import Cache
from gatekeeper.model import Coverage, Finding, Gap, Resource, Verdict, deduplicate
from gatekeeper.render import pipeline as render
from gatekeeper.render import terraform
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import ParsedFile
from gatekeeper.workspace.tree import Tree

# Is told the step, and how much of it is done: a part from 0 to 1.
StepProgress = Callable[[str, float], None]
STEPS = (
    "reading",
    "rendering",
    "checking schemas",
    "asking policies",
    "following references",
    "looking for secrets",
    "opening what is sealed",
)


class FullResult(NamedTuple):
    """A verdict on everything, with what it was found in.

    Attributes:
        global_gaps: gaps of policies that were not asked, whatever was to be judged.
    """

    verdict: Verdict
    parsed_files: list[ParsedFile]
    resource_groups: list[tuple[str, list[Resource]]]
    global_gaps: frozenset[Gap]


Observer = Callable[[FullResult, Tree], None]
# Opens what is sealed, and tells what does not open, and what it has no key for.
DecryptionCheck = Callable[[Tree, Sequence[ParsedFile], Sequence[Resource]], tuple[list[Finding], list[Gap]]]


class CheckOptions(NamedTuple):
    """How a run judges.

    Attributes:
        jobs: threads.
        today: the day on which waivers must not have ended; None for the clock's.
        changed_files: the files of a change, to be told only what it can break; None for everything.
        cache: what earlier runs found, to be asked and added to.
        shard: the share of this run; what is judged by others as well is told by all.
        read_base_file: of a change, what gives a file as it was; None for files that did not change.
        decryption_check: what opens sealed files; None where no key is used.
    """

    jobs: int = 1
    on_progress: StepProgress = lambda step, part: None
    today: datetime.date | None = None
    changed_files: frozenset[str] | None = None
    cache: Cache | None = None
    shard: Shard = WHOLE_REPOSITORY
    read_base_file: Callable[[str], bytes | None] | None = None
    decryption_check: DecryptionCheck | None = None


def run_check(tree: Tree, config: Config, options: CheckOptions, observer: Observer | None = None) -> Verdict:
    """Reads, renders and judges all files of a tree.

    Args:
        observer: is shown the verdict on everything, before what a change cannot have caused is left out.

    Raises:
        UsageError: the config names what does not exist, so that nothing can be judged.
    """
    whole = run_full_check(tree, config, options)
    if observer:
        observer(whole, tree)
    changed = options.changed_files
    reached = impact.find_affected_files(tree, whole.parsed_files, config, changed) if changed is not None else None
    return filter_by_change(whole.verdict, reached, whole.global_gaps)


def filter_by_change(verdict: Verdict, affected_files: frozenset[str] | None, global_gaps: Collection[Gap]) -> Verdict:
    """What of a verdict can come from a change that reaches some files; all of it where that is None."""
    if affected_files is None:
        return verdict
    covered = verdict.coverage
    gaps = (gap for gap in covered.gaps if gap.file in affected_files or gap.file == CONFIG_FILE or gap in global_gaps)
    findings = tuple(one for one in verdict.findings if impact.is_affected(one, affected_files))
    return verdict._replace(findings=findings, coverage=covered._replace(gaps=tuple(gaps)))


def run_full_check(tree: Tree, config: Config, options: CheckOptions) -> FullResult:
    """See `judge`, of everything."""
    say, jobs, part = options.on_progress, options.jobs, options.shard
    say("reading", 0)
    sources, unread = documents.parse_tree(tree, jobs)
    say("rendering", 0)
    rendered = render.render_tree(tree, sources, config, jobs, lambda done, of: say("rendering", done / of))
    code = terraform.parse_files(tree, sources)
    so_far = (*tree.gaps, *unread, *rendered.gaps, *code.gaps)
    mine = [resource for resource in rendered.resources if part.contains(resource.origin.file)]
    own_code = [resource for resource in code.resources if part.contains(resource.origin.file)]
    said = _evaluate_policies(tree, sources, rendered.resources, mine, own_code, config, options)
    say("following references", 0)
    named = references.evaluate(rendered.resource_groups, tree, config.references, so_far)
    say("looking for secrets", 0)
    own = tree.select_files(part.contains)
    hidden, unopened = _check_secrets(own, sources, rendered.resources, config, options)
    gaps = {gap for gap in so_far if part.contains(gap.file)} | {*said.gaps, *unopened}
    gaps = {gap for gap in gaps if gap.is_fatal or gap.file not in {one.origin.file for one in code.resources}}
    others = (*rendered.findings, *code.findings, *named, *hidden)
    found = [*said.findings, *(one for one in others if part.contains(one.location.file))]
    findings = deduplicate(waivers.apply(found, tree, sources, config, options.today or datetime.date.today()))
    coverage = Coverage(len(own.files), len(mine) + len(own_code), said.checked_count, tuple(sorted(gaps)))
    verdict = Verdict(
        findings, coverage, said.engine, said.policy_digest, is_cacheable=said.is_cacheable, shard=part.position
    )
    return FullResult(verdict, sources, rendered.resource_groups, said.global_gaps)


def check_objects(
    tree: Tree,
    parsed_files: Sequence[ParsedFile],
    repository_resources: Sequence[Resource],
    objects: Sequence[Resource],
    config: Config,
    options: CheckOptions,
) -> Verdict:
    """Judges objects that stand in no file as they are: by schemas and policies, with the waivers of the repository.

    What else the gate looks for, it looks for in files: references, secrets in the open, what is sealed.

    Args:
        repository_resources: the resources of the repository: definitions and constraints among them count.
    """
    said = _evaluate_policies(tree, parsed_files, [*repository_resources, *objects], objects, (), config, options)
    today = options.today or datetime.date.today()
    findings = deduplicate(waivers.apply(said.findings, tree, parsed_files, config, today))
    coverage = Coverage(0, len(objects), said.checked_count, tuple(sorted(said.gaps)))
    return Verdict(findings, coverage, said.engine, said.policy_digest, is_cacheable=said.is_cacheable)


def _check_secrets(
    tree: Tree, parsed_files: Sequence[ParsedFile], resources: Sequence[Resource], config: Config, options: CheckOptions
) -> tuple[list[Finding], list[Gap]]:
    """What is secret and in the open, or sealed and not as it should be."""
    found, gaps = plaintext.evaluate(tree, parsed_files, resources, config)
    found.extend(sealed.evaluate(tree, parsed_files, resources, options.read_base_file))
    found.extend(external.evaluate(resources, config.secrets_allow))
    if options.decryption_check:
        options.on_progress("opening what is sealed", 0)
        more, unopened = options.decryption_check(tree, parsed_files, resources)
        return [*found, *more], [*gaps, *unopened]
    return found, gaps


class PolicyResult(NamedTuple):
    """What schemas and policies say of resources.

    Attributes:
        global_gaps: those of the gaps that are of policies which were not asked, whatever was to be judged.
    """

    findings: list[Finding]
    gaps: list[Gap]
    global_gaps: frozenset[Gap]
    checked_count: int
    engine: tuple[str, str]
    policy_digest: str
    is_cacheable: bool


def _evaluate_policies(
    tree: Tree,
    parsed_files: Sequence[ParsedFile],
    resources: Sequence[Resource],
    selected_resources: Sequence[Resource],
    terraform_resources: Sequence[Resource],
    config: Config,
    options: CheckOptions,
) -> PolicyResult:
    say, jobs, cache = options.on_progress, options.jobs, options.cache
    say("checking schemas", 0)
    kinds = known_crds.find_custom_kinds(tree, parsed_files, resources, config)
    catalog = SchemaCatalog(config.kubernetes, kinds, library.load_replacement_apis)
    found, gaps, checked = schema.evaluate(selected_resources, catalog, config.allow_missing, jobs)
    say("asking policies", 0)
    brought = bundles.resolve(tree.root, config.bundles)
    config = config._replace(policies=(*config.policies, *brought.folders))
    forms, unused = schema_policies.load_policies(tree.root, config.policies)
    rules = rego.evaluate(
        tree.root, [*selected_resources, *terraform_resources], config, jobs, cache, brought.policy_sets
    )
    deployed = admission.evaluate(tree.root, resources, selected_resources, config, jobs)
    return PolicyResult(
        [
            *found,
            *rules.findings,
            *deployed.findings,
            *schema_policies.evaluate([*selected_resources, *terraform_resources], forms),
        ],
        [*gaps, *rules.gaps, *deployed.gaps, *unused, *brought.gaps],
        frozenset((*deployed.gaps, *unused)),
        checked,
        rules.engine,
        schema_policies.compute_digest(forms, deployed.digests, rules.digest),
        rules.is_cacheable and deployed.is_cacheable and not brought.gaps,
    )
