"""The spine: a tree of files in, one verdict out."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from gatekeeper import changes, documents, waivers
from gatekeeper.cache import Cache
from gatekeeper.config import NAME, Config
from gatekeeper.engines.admission import deployed as admission
from gatekeeper.engines.plaintext import secrets as plaintext
from gatekeeper.engines.references import graph as references
from gatekeeper.engines.rego import asking as rego
from gatekeeper.engines.rego import library
from gatekeeper.engines.schema import custom
from gatekeeper.engines.schema import policies as schema_policies
from gatekeeper.engines.schema import validation as schema
from gatekeeper.engines.schema.catalog import Catalog
from gatekeeper.model import Coverage, Finding, Verdict
from gatekeeper.render import every as render
from gatekeeper.sources import Tree

# Is told the step, and how much of it is done: a part from 0 to 1.
Progress = Callable[[str, float], None]
STEPS = ("reading", "rendering", "checking schemas", "asking policies", "following references", "looking for secrets")


def judge(
    tree: Tree,
    config: Config,
    jobs: int,
    say: Progress = lambda step, part: None,
    today: datetime.date | None = None,
    changed: frozenset[str] | None = None,
    cache: Cache | None = None,
) -> Verdict:
    """Reads, renders and judges all files of a tree.

    Args:
        changed: the files of a change, to be told only what it can break; None for everything.
        cache: what earlier runs found, to be asked and added to.
        today: the day on which waivers must not have ended; None for the clock's.

    Raises:
        UsageError: the config names what does not exist, so that nothing can be judged.
    """
    say("reading", 0)
    sources, unread = documents.read(tree, jobs)
    say("rendering", 0)
    rendered = render.all_of(tree, sources, config, jobs, lambda done, of: say("rendering", done / of))
    resources = rendered.resources
    say("checking schemas", 0)
    kinds = custom.kinds(tree, sources, resources, config)
    catalog = Catalog(config.kubernetes, kinds, library.apis)
    found_schema, gaps_schema, checked = schema.judge(resources, catalog, config.allow_missing, jobs)
    say("asking policies", 0)
    forms, unused = schema_policies.load(tree.root, config.policies)
    found_forms = schema_policies.judge(resources, forms)
    asked = rego.run(tree.root, resources, config, jobs, cache)
    deployed = admission.judge(tree.root, resources, config, jobs)
    say("following references", 0)
    so_far = (*tree.gaps, *unread, *rendered.gaps)
    found_named = references.judge(resources, config.references, so_far, tree.is_whole)
    say("looking for secrets", 0)
    found_plain, gaps_plain = plaintext.judge(tree, sources, resources, config)
    gaps = (*so_far, *gaps_schema, *asked.gaps, *deployed.gaps, *unused, *gaps_plain)
    reached = changes.affected(tree, sources, config, changed) if changed is not None else None
    if reached is not None:
        gaps = tuple(gap for gap in gaps if gap.file in reached or gap.file == NAME)
    coverage = Coverage(len(tree.files), len(resources), checked, tuple(sorted(set(gaps))))
    policies = [*asked.findings, *deployed.findings, *found_forms]
    found = [*rendered.findings, *found_schema, *policies, *found_named, *found_plain]
    answered = waivers.apply(found, tree, sources, config, today or datetime.date.today())
    findings = _distinct([one for one in answered if reached is None or changes.tells(one, reached)])
    digest = schema_policies.digest(forms, deployed.digests, asked.digest)
    return Verdict(findings, coverage, asked.engine, digest, lasts=asked.lasts and deployed.lasts)


def _distinct(findings: list[Finding]) -> tuple[Finding, ...]:
    """Each finding once, though several overlays render the same base; in the order of files and lines."""
    once: dict[tuple[object, ...], Finding] = {}
    for finding in findings:
        once.setdefault((finding.rule, finding.place, finding.message), finding)
    return tuple(sorted(once.values(), key=lambda found: (_known(found), found.rule, found.message)))


def _known(finding: Finding) -> tuple[str, int, int]:
    place = finding.place
    return place.file, place.line or 0, place.column or 0
