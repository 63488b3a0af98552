"""The spine: a tree of files in, one verdict out."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from gatekeeper.config import NAME, Config
from gatekeeper.engines.admission import engine as admission
from gatekeeper.engines.encrypted import engine as sealed
from gatekeeper.engines.plaintext import secrets as plaintext
from gatekeeper.engines.references import graph as references
from gatekeeper.engines.rego import bundles, library
from gatekeeper.engines.rego import evaluation as rego
from gatekeeper.engines.schema import json_schema_policies as schema_policies
from gatekeeper.engines.schema import known_crds
from gatekeeper.engines.schema import validation as schema
from gatekeeper.engines.schema.catalog import Catalog
from gatekeeper.engines.secret_access import allow_rules as external
from gatekeeper.gate import impact, waivers
from gatekeeper.gate.shards import WHOLE, Part
from gatekeeper.host.cache import Cache
from gatekeeper.model import Coverage, Finding, Gap, Resource, Verdict, distinct
from gatekeeper.render import pipeline as render
from gatekeeper.render import terraform
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import Source
from gatekeeper.workspace.tree import Tree

# Is told the step, and how much of it is done: a part from 0 to 1.
Progress = Callable[[str, float], None]
STEPS = (
    "reading",
    "rendering",
    "checking schemas",
    "asking policies",
    "following references",
    "looking for secrets",
    "opening what is sealed",
)


class Whole(NamedTuple):
    """A verdict on everything, with what it was found in.

    Attributes:
        lost: gaps of policies that were not asked, whatever was to be judged.
    """

    verdict: Verdict
    sources: list[Source]
    parts: list[tuple[str, list[Resource]]]
    lost: frozenset[Gap]


Note = Callable[[Whole, Tree], None]
# Opens what is sealed, and tells what does not open, and what it has no key for.
Opening = Callable[[Tree, Sequence[Source], Sequence[Resource]], tuple[list[Finding], list[Gap]]]


class Asked(NamedTuple):
    """How a run judges.

    Attributes:
        jobs: threads.
        today: the day on which waivers must not have ended; None for the clock's.
        changed: the files of a change, to be told only what it can break; None for everything.
        cache: what earlier runs found, to be asked and added to.
        part: the share of this run; what is judged by others as well is told by all.
        before: of a change, what gives a file as it was; None for files that did not change.
        opening: what opens sealed files; None where no key is used.
    """

    jobs: int = 1
    say: Progress = lambda step, part: None
    today: datetime.date | None = None
    changed: frozenset[str] | None = None
    cache: Cache | None = None
    part: Part = WHOLE
    before: Callable[[str], bytes | None] | None = None
    opening: Opening | None = None


def judge(tree: Tree, config: Config, asked: Asked, note: Note | None = None) -> Verdict:
    """Reads, renders and judges all files of a tree.

    Args:
        note: is shown the verdict on everything, before what a change cannot have caused is left out.

    Raises:
        UsageError: the config names what does not exist, so that nothing can be judged.
    """
    whole = judge_all(tree, config, asked)
    if note:
        note(whole, tree)
    changed = asked.changed
    reached = impact.affected(tree, whole.sources, config, changed) if changed is not None else None
    return told(whole.verdict, reached, whole.lost)


def told(verdict: Verdict, reached: frozenset[str] | None, lost: Collection[Gap]) -> Verdict:
    """What of a verdict can come from a change that reaches some files; all of it where that is None."""
    if reached is None:
        return verdict
    covered = verdict.coverage
    gaps = (gap for gap in covered.skipped if gap.file in reached or gap.file == NAME or gap in lost)
    findings = tuple(one for one in verdict.findings if impact.tells(one, reached))
    return verdict._replace(findings=findings, coverage=covered._replace(skipped=tuple(gaps)))


def judge_all(tree: Tree, config: Config, asked: Asked) -> Whole:
    """See `judge`, of everything."""
    say, jobs, part = asked.say, asked.jobs, asked.part
    say("reading", 0)
    sources, unread = documents.read(tree, jobs)
    say("rendering", 0)
    rendered = render.all_of(tree, sources, config, jobs, lambda done, of: say("rendering", done / of))
    code = terraform.read(tree, sources)
    so_far = (*tree.gaps, *unread, *rendered.gaps, *code.gaps)
    mine = [resource for resource in rendered.resources if part.holds(resource.origin.file)]
    own_code = [resource for resource in code.resources if part.holds(resource.origin.file)]
    said = _asked(tree, sources, rendered.resources, mine, own_code, config, asked)
    say("following references", 0)
    named = references.judge(rendered.parts, tree, config.references, so_far)
    say("looking for secrets", 0)
    own = tree.only(part.holds)
    hidden, unopened = _secrets(own, sources, rendered.resources, config, asked)
    gaps = {gap for gap in so_far if part.holds(gap.file)} | {*said.gaps, *unopened}
    gaps = {gap for gap in gaps if gap.fatal or gap.file not in {one.origin.file for one in code.resources}}
    others = (*rendered.findings, *code.findings, *named, *hidden)
    found = [*said.findings, *(one for one in others if part.holds(one.place.file))]
    findings = distinct(waivers.apply(found, tree, sources, config, asked.today or datetime.date.today()))
    coverage = Coverage(len(own.files), len(mine) + len(own_code), said.checked, tuple(sorted(gaps)))
    verdict = Verdict(findings, coverage, said.engine, said.digest, lasts=said.lasts, shard=part.shard)
    return Whole(verdict, sources, rendered.parts, said.lost)


def judge_objects(
    tree: Tree,
    sources: Sequence[Source],
    ground: Sequence[Resource],
    objects: Sequence[Resource],
    config: Config,
    asked: Asked,
) -> Verdict:
    """Judges objects that stand in no file as they are: by schemas and policies, with the waivers of the repository.

    What else the gate looks for, it looks for in files: references, secrets in the open, what is sealed.

    Args:
        ground: the resources of the repository: definitions and constraints among them count.
    """
    said = _asked(tree, sources, [*ground, *objects], objects, (), config, asked)
    today = asked.today or datetime.date.today()
    findings = distinct(waivers.apply(said.findings, tree, sources, config, today))
    coverage = Coverage(0, len(objects), said.checked, tuple(sorted(said.gaps)))
    return Verdict(findings, coverage, said.engine, said.digest, lasts=said.lasts)


def _secrets(
    tree: Tree, sources: Sequence[Source], resources: Sequence[Resource], config: Config, asked: Asked
) -> tuple[list[Finding], list[Gap]]:
    """What is secret and in the open, or sealed and not as it should be."""
    found, gaps = plaintext.judge(tree, sources, resources, config)
    found.extend(sealed.judge(tree, sources, resources, asked.before))
    found.extend(external.judge(resources, config.secrets_allow))
    if asked.opening:
        asked.say("opening what is sealed", 0)
        more, unopened = asked.opening(tree, sources, resources)
        return [*found, *more], [*gaps, *unopened]
    return found, gaps


class Said(NamedTuple):
    """What schemas and policies say of resources.

    Attributes:
        lost: those of the gaps that are of policies which were not asked, whatever was to be judged.
    """

    findings: list[Finding]
    gaps: list[Gap]
    lost: frozenset[Gap]
    checked: int
    engine: tuple[str, str]
    digest: str
    lasts: bool


def _asked(
    tree: Tree,
    sources: Sequence[Source],
    resources: Sequence[Resource],
    mine: Sequence[Resource],
    code: Sequence[Resource],
    config: Config,
    asked: Asked,
) -> Said:
    say, jobs, cache = asked.say, asked.jobs, asked.cache
    say("checking schemas", 0)
    kinds = known_crds.kinds(tree, sources, resources, config)
    catalog = Catalog(config.kubernetes, kinds, library.apis)
    found, gaps, checked = schema.judge(mine, catalog, config.allow_missing, jobs)
    say("asking policies", 0)
    brought = bundles.resolve(tree.root, config.bundles)
    config = config._replace(policies=(*config.policies, *brought.folders))
    forms, unused = schema_policies.load(tree.root, config.policies)
    rules = rego.run(tree.root, [*mine, *code], config, jobs, cache, brought.sets)
    deployed = admission.judge(tree.root, resources, mine, config, jobs)
    return Said(
        [*found, *rules.findings, *deployed.findings, *schema_policies.judge([*mine, *code], forms)],
        [*gaps, *rules.gaps, *deployed.gaps, *unused, *brought.gaps],
        frozenset((*deployed.gaps, *unused)),
        checked,
        rules.engine,
        schema_policies.digest(forms, deployed.digests, rules.digest),
        rules.lasts and deployed.lasts and not brought.gaps,
    )
