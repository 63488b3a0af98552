"""The check of a file tree: parse, render, run all engines, apply waivers, return one verdict."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from gatekeeper.config import CONFIG_FILE, Config
from gatekeeper.engines.admission import mutation
from gatekeeper.engines.protocol import Engine, EngineContext, EngineResult, PrivateKeys
from gatekeeper.engines.registry import ENGINES, evaluate_engines, sort_by_end
from gatekeeper.engines.rego.bundles import resolver
from gatekeeper.gate import chart_findings, finding_groups, impact, waivers
from gatekeeper.gate.shards import WHOLE_REPOSITORY, Shard
from gatekeeper.gate.waivers import UNUSED_WAIVER_RULE
from gatekeeper.host import program_failures
from gatekeeper.host.cache import Cache
from gatekeeper.model import Coverage, Finding, Gap, Resource, Verdict, deduplicate
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render import pipeline as render
from gatekeeper.render import terraform
from gatekeeper.render.pipeline import RenderedTree
from gatekeeper.workspace import documents
from gatekeeper.workspace.file_selection import build_tree
from gatekeeper.workspace.tree import ParsedFile, Tree

# Receives the step, and the part of it that is done, from 0 to 1.
StepProgress = Callable[[str, float], None]
PARSE_STEP, RENDER_STEP = "reading", "rendering"
STEPS = (PARSE_STEP, RENDER_STEP, *(engine.STEP for engine in sort_by_end(ENGINES.values())))


class RepositoryPolicies(NamedTuple):
    """The parts of a repository that apply to objects from outside its files: policies, definitions and waivers.

    Attributes:
        resources: definitions and constraints among them count.
    """

    tree: Tree
    parsed_files: Sequence[ParsedFile]
    resources: Sequence[Resource]
    config: Config


class FullResult(NamedTuple):
    """The verdict on a whole tree, with the files and resources that it is about.

    Attributes:
        rendered: the resources, and every build that they come from, to be applied without another rendering.
        global_gaps: policies that could not be evaluated for any resource.
    """

    verdict: Verdict
    tree: Tree
    parsed_files: list[ParsedFile]
    rendered: RenderedTree
    config: Config
    global_gaps: frozenset[Gap]


class CheckOptions(NamedTuple):
    """The options of a run.

    Attributes:
        jobs: the number of threads.
        on_progress: receives each step and the part of it that is done.
        today: the day on which waivers must not have expired; None for the clock's.
        changed_files: the files of a change, to report only what it can break; None to report everything.
        cache: results of earlier runs, read and written; None to use none.
        shard: the share of this run. Problems that are in no file of a shard are reported by every share.
        read_base_file: returns the content of a changed file before the change, None for other files.
        private_keys: private keys of sealed-secrets by name, to decrypt with; None to decrypt nothing.
        applying: the Kustomizations and Applications of a cluster that apply the files.
    """

    jobs: int = 1
    on_progress: StepProgress = lambda step, part: None
    today: datetime.date | None = None
    changed_files: frozenset[str] | None = None
    cache: Cache | None = None
    shard: Shard = WHOLE_REPOSITORY
    read_base_file: Callable[[str], bytes | None] | None = None
    private_keys: PrivateKeys | None = None
    applying: Sequence[Resource] = ()


def check_tree(tree: Tree, config: Config, options: CheckOptions) -> Verdict:
    """Parses, renders and checks all files of a tree, and reports the findings that a change can have caused.

    Raises:
        UsageError: the config names something that does not exist.
    """
    return filter_by_change(check_and_render_tree(tree, config, options), options.changed_files)


def filter_by_change(result: FullResult, changed_files: frozenset[str] | None) -> Verdict:
    """The part of a verdict that a change of these files can have caused; the whole verdict for None."""
    if changed_files is None:
        return result.verdict
    affected_files = impact.find_affected_files(result.tree, result.parsed_files, result.config, changed_files)
    return filter_by_files(result.verdict, affected_files, result.global_gaps)


def filter_by_files(verdict: Verdict, affected_files: frozenset[str] | None, global_gaps: Collection[Gap]) -> Verdict:
    """The part of a verdict that is about these files; the whole verdict for None."""
    if affected_files is None:
        return verdict
    coverage = verdict.coverage
    gaps = (gap for gap in coverage.gaps if gap.file in affected_files or gap.file == CONFIG_FILE or gap in global_gaps)
    # The places of one cause can be in several files, of which the change reaches only some.
    places = finding_groups.ungroup_findings(verdict.findings)
    affected = (finding for finding in places if impact.is_affected(finding, affected_files))
    findings = finding_groups.regroup_findings(affected)
    return verdict._replace(findings=findings, coverage=coverage._replace(gaps=tuple(gaps)))


def check_and_render_tree(tree: Tree, config: Config, options: CheckOptions) -> FullResult:
    """Parses, renders and checks all files of a tree.

    Raises:
        UsageError: the config names something that does not exist.
    """
    report, shard, failures = options.on_progress, options.shard, program_failures.count_failures()
    report(PARSE_STEP, 0)
    parsed_files, unreadable = documents.parse_tree(tree, options.jobs)
    report(RENDER_STEP, 0)
    rendered = render.render_tree(
        tree, parsed_files, config, options.jobs, lambda done, total: report(RENDER_STEP, done / total)
    )
    code = terraform.parse_files(tree, parsed_files, config.kubernetes)
    # A file that was parsed as Terraform is not skipped, although it is not YAML.
    terraform_files = {resource.origin.file for resource in code.resources}
    skipped = (*tree.gaps, *unreadable, *rendered.gaps, *code.gaps)
    gaps = [gap for gap in skipped if gap.is_fatal or gap.file not in terraform_files]
    resources = rendered.resources
    context = _build_context(tree, parsed_files, resources, config, options)._replace(
        shard_files=tree.select_files(shard.contains),
        resource_groups=rendered.resource_groups,
        target_namespaces=render.find_target_namespaces(rendered, options.applying),
        targets=[resource for resource in resources if shard.contains(resource.origin.file)],
        terraform_targets=[resource for resource in code.resources if shard.contains(resource.origin.file)],
        gaps=gaps,
    )
    context, unapplied = mutation.apply_mutations(context)
    gaps += unapplied
    result = _run_engines(context, ENGINES.values(), options)
    found = [*_select_findings((*rendered.findings, *code.findings), shard), *result.findings]
    result = result._replace(
        findings=list(chart_findings.attribute_findings(found, resources, config.chart_severity)),
        gaps=[*(gap for gap in gaps if shard.contains(gap.file)), *result.gaps],
    )
    verdict = _build_verdict(context, result, options)._replace(shard=shard.position)
    if program_failures.count_failures() != failures:
        verdict = verdict._replace(is_cacheable=False)
    return FullResult(
        verdict=verdict,
        tree=tree,
        parsed_files=parsed_files,
        rendered=rendered,
        config=config,
        global_gaps=frozenset(result.global_gaps),
    )


def check_and_render_repository(root: Path, config: Config, jobs: int, applying: Sequence[Resource] = ()) -> FullResult:
    """Parses, renders and checks all files of a repository, once for all of its appliers.

    Args:
        applying: see `CheckOptions`.

    Raises:
        UsageError: the config names something that does not exist.
    """
    tree = build_tree([root], root, config.exclude, config.policies)
    return check_and_render_tree(tree, config, CheckOptions(jobs, applying=applying))


def check_additional_resources(result: FullResult, groups: Mapping[str, Sequence[Resource]], jobs: int) -> Verdict:
    """The verdict on those resources that differ from the checked repository; empty without any.

    Args:
        result: the checked repository.
        groups: what is to be applied from it, by the namespace for objects that name none (empty for `default`).
    """
    known_resources = result.rendered.resources
    known = {resource.json for resource in known_resources}
    new = {where: [resource for resource in group if resource.json not in known] for where, group in groups.items()}
    if not any(new.values()):
        return Verdict(is_cacheable=True)
    policies = RepositoryPolicies(result.tree, result.parsed_files, known_resources, result.config)
    return check_objects(policies, new, CheckOptions(jobs))


def check_objects(
    policies: RepositoryPolicies, groups: Mapping[str, Sequence[Resource]], options: CheckOptions
) -> Verdict:
    """Checks objects that are in no file of the repository against its schemas, policies and waivers.

    The engines that check the repository as a whole (references, plaintext secrets, encrypted files) do not run.

    Args:
        groups: the objects, by the namespace for objects that name none (empty for `default`).
    """
    objects = [resource for group in groups.values() for resource in group]
    resources, no_files = [*policies.resources, *objects], policies.tree.select_files(lambda file: False)
    context = _build_context(policies.tree, policies.parsed_files, resources, policies.config, options)
    context = context._replace(
        targets=objects,
        shard_files=no_files,
        is_validated_by_server=True,
        resource_groups=[(namespace, list(group)) for namespace, group in groups.items()],
        target_namespaces={namespace: [namespace] for namespace in groups if namespace},
    )
    engines = [engine for engine in ENGINES.values() if engine.SCOPE == "resources"]
    verdict = _build_verdict(context, _run_engines(context, engines, options), options)
    # A waiver that silences nothing here may silence something in the files.
    findings = tuple(finding for finding in verdict.findings if finding.rule != UNUSED_WAIVER_RULE)
    return verdict._replace(findings=findings)


def _build_context(
    tree: Tree, parsed_files: Sequence[ParsedFile], resources: Sequence[Resource], config: Config, options: CheckOptions
) -> EngineContext:
    """The input of the engines, without targets; policies of bundles count as policies of the config."""
    brought = resolver.resolve(tree.root, config.bundles)
    return EngineContext(
        tree=tree,
        shard_files=tree,
        parsed_files=parsed_files,
        resource_groups=(),
        resources=resources,
        targets=(),
        terraform_targets=(),
        config=config._replace(policies=(*config.policies, *brought.folders)),
        bundles=brought,
        jobs=options.jobs,
        cache=options.cache,
        read_base_file=options.read_base_file,
        private_keys=options.private_keys,
    )


def _run_engines(context: EngineContext, engines: Iterable[Engine], options: CheckOptions) -> EngineResult:
    """Runs the engines; keeps only the shard's findings of engines that check the whole repository."""
    results = [
        result._replace(findings=_select_findings(result.findings, options.shard))
        if engine.SCOPE == "repository"
        else result
        for engine, result in evaluate_engines(engines, context, lambda step: options.on_progress(step, 0))
    ]
    return EngineResult(
        findings=[finding for result in results for finding in result.findings],
        gaps=[gap for result in results for gap in result.gaps],
        global_gaps=[gap for result in results for gap in result.global_gaps],
        checked_count=sum(result.checked_count for result in results),
        engine=next((result.engine for result in results if result.engine), None),
        policy_digests=[digest for result in results for digest in result.policy_digests],
        is_cacheable=all(result.is_cacheable for result in results),
    )


def _select_findings(findings: Sequence[Finding], shard: Shard) -> list[Finding]:
    return [finding for finding in findings if shard.contains(finding.location.file)]


def _build_verdict(context: EngineContext, result: EngineResult, options: CheckOptions) -> Verdict:
    """The verdict on the targets of the engines, with waivers applied."""
    today = options.today or datetime.date.today()
    waived = waivers.apply(deduplicate(result.findings), context.tree, context.parsed_files, context.config, today)
    findings = [_follow_link(finding, context.tree) for finding in waived]
    coverage = Coverage(
        len(context.shard_files.files),
        len(context.targets) + len(context.terraform_targets),
        result.checked_count,
        tuple(sorted({*result.gaps, *result.global_gaps})),
    )
    return Verdict(
        finding_groups.regroup_findings(findings),
        coverage,
        result.engine or ("", ""),
        _combine_digests(result.policy_digests),
        is_cacheable=result.is_cacheable,
    )


def _follow_link(finding: Finding, tree: Tree) -> Finding:
    """The finding at the file that its author can edit, where its own file is a symbolic link."""
    target = tree.links.get(finding.location.file)
    return finding if target is None else finding._replace(location=finding.location._replace(file=target))


def _combine_digests(digests: Sequence[str]) -> str:
    """One digest of all policies; without others, it is that of the Rego policies, which come first."""
    first, *others = digests
    if not others:
        return first
    return f"sha256:{hashlib.sha256(''.join([first, *sorted(others)]).encode()).hexdigest()}"
