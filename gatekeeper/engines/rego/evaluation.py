"""The Rego engines' common half: which rule is asked of which resource, and what an answer means as a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gatekeeper.config import NAME, Config
from gatekeeper.engines.rego import loader
from gatekeeper.engines.rego.embedded import Embedded
from gatekeeper.engines.rego.field_tracer import Suspect, Tracer
from gatekeeper.engines.rego.loader import PolicySet
from gatekeeper.engines.rego.query_plan import Asked, Plan, plan
from gatekeeper.engines.rego.result_cache import Memory
from gatekeeper.errors import PolicyError, ToolError
from gatekeeper.host.cache import Cache
from gatekeeper.model import TERRAFORM, FieldPath, Finding, Gap, Placed, Resource
from gatekeeper.protocols import Answer, RegoEngine


class Judged(NamedTuple):
    """What the policies found, what they could not judge, the engine's name and version, and the policies' digest.

    Attributes:
        lasts: whether the same policies say the same of the same resources at any time.
    """

    findings: list[Finding]
    gaps: list[Gap]
    engine: tuple[str, str]
    digest: str
    lasts: bool = False


def run(
    root: Path,
    resources: Sequence[Resource],
    config: Config,
    jobs: int,
    cache: Cache | None = None,
    more: Sequence[PolicySet] = (),
) -> Judged:
    """Loads what the config names and asks it; policies that cannot be used are a gap, and all else is judged.

    Args:
        more: policies that bundles bring.
        cache: knows what earlier runs found in the same resources.

    Raises:
        UsageError: the config chooses a rule that does not exist.
    """
    chosen = Plan({}, PolicySet((), {}))
    try:
        chosen = plan(config, loader.joined([loader.load(root, config.policies, config.data), *more]))
        lasts = not config.opa_url and not any(loader.is_moody(module.text) for module in chosen.policies.modules)
        memory = Memory(cache, chosen, config) if cache and lasts and not chosen.exceptions else None
        drafts = memory.drafts(resources) if memory else []
        numbers = memory.unknown(resources) if memory else list(range(len(resources)))
        rest = [resources[number] for number in numbers]
        gaps: list[Gap] = []
        name = memory.engine if memory else None
        if rest or name is None:
            engine = start(config, chosen, jobs)
            try:
                name, outcome = engine.name, ask(rest, chosen, engine)
            finally:
                engine.close()
            gaps = outcome.gaps
            fresh = [draft._replace(number=numbers[draft.number]) for draft in outcome.drafts]
            # In the order of the resources, whoever knew.
            drafts = sorted([*drafts, *fresh], key=lambda draft: draft.number)
            if memory:
                memory.learn(rest, outcome, name)
        return Judged([finding(draft) for draft in drafts], gaps, name, chosen.policies.digest, lasts)
    except (PolicyError, ToolError) as error:
        gap = Gap(NAME, f"no policy was asked: {error}", fatal=True)
        return Judged([], [gap], (config.engine, ""), chosen.policies.digest)


def start(config: Config, chosen: Plan, jobs: int) -> RegoEngine:
    """The engine that the repository chose, loaded."""
    if config.engine == "opa":
        from gatekeeper.engines.rego.opa import Opa

        return Opa(chosen.policies, chosen.queries, config.policy_timeout, config.opa_url, config.builtins)
    return Embedded(chosen.policies, config.policy_timeout, jobs)


def judge(
    resources: Sequence[Resource],
    chosen: Plan,
    engine: RegoEngine,
    wanted: Callable[[Resource], Sequence[str]] | None = None,
) -> tuple[list[Finding], list[Gap]]:
    """What the rules find; a rule that cannot be evaluated on a resource is a gap.

    Args:
        wanted: the rules that judge a resource; None for those whose kinds it is of.
    """
    outcome = ask(resources, chosen, engine, wanted)
    return [finding(draft) for draft in outcome.drafts], outcome.gaps


def ask(
    resources: Sequence[Resource],
    chosen: Plan,
    engine: RegoEngine,
    wanted: Callable[[Resource], Sequence[str]] | None = None,
) -> Outcome:
    """What the rules say, each with the field that it says it of."""
    choose = wanted or _by_kind(chosen)
    inputs: list[tuple[bytes, Sequence[str]]] = [(resource.json, choose(resource)) for resource in resources]
    drafts: list[Draft] = []
    gaps: list[Gap] = []
    failed: set[int] = set()
    answers = engine.evaluate(inputs)
    excepted = _excepted(answers, chosen)
    for answer in answers:
        resource, rule = resources[answer.input], chosen.asked.get(answer.query)
        if answer.error:
            name = rule.name if rule else answer.query
            reason = f"rule {name} could not be evaluated on {resource.ref}: {answer.error}"
            gaps.append(Gap(resource.origin.file, reason, fatal=True))
            failed.add(answer.input)
        elif rule and _bare(answer.query) in excepted.get((answer.input, rule.module.package), ()):
            gaps.append(Gap(resource.origin.file, f"rule {rule.name} makes an exception of {resource.ref}"))
            failed.add(answer.input)
        elif rule:
            drafts.extend(_drafts(answer, resource, rule))
    tracer = Tracer(engine, {query: rule.module for query, rule in chosen.asked.items()})
    lost = [draft for draft in drafts if not draft.placed]
    suspects = [Suspect(draft.query, draft.resource.value, draft.message, draft.total) for draft in lost]
    traced = iter(tracer.trace(suspects))
    return Outcome([draft if draft.placed else draft.traced(next(traced)) for draft in drafts], gaps, failed)


def _by_kind(chosen: Plan) -> Callable[[Resource], Sequence[str]]:
    known: dict[str, tuple[str, ...]] = {}

    def choose(resource: Resource) -> Sequence[str]:
        kind = resource.ref.kind
        if kind not in known:
            rules = chosen.asked.items()
            # Rules for all kinds are for all that a cluster takes.
            judging = tuple(
                query for query, rule in rules if kind in rule.kinds or (not rule.kinds and kind != TERRAFORM)
            )
            known[kind] = (*judging, *chosen.exceptions.values())
        return known[kind]

    return choose


def _excepted(answers: Sequence[Answer], chosen: Plan) -> dict[tuple[int, str], set[str]]:
    """The rules that are not to judge an input: by input and package, their names without `deny_` and the like.

    Source: conftest `policy/engine.go`, which asks `data.<package>.exception[_][_] == "<name>"`.
    """
    packages = {query: package for package, query in chosen.exceptions.items()}
    excepted: dict[tuple[int, str], set[str]] = {}
    for answer in answers:
        if answer.query in packages and not answer.error:
            lists = answer.value.values() if isinstance(answer.value, dict) else answer.value
            names = excepted.setdefault((answer.input, packages[answer.query]), set())
            for listed in lists if isinstance(lists, Iterable) else ():
                names.update(name for name in (listed if isinstance(listed, list) else ()) if isinstance(name, str))
    return excepted


def _bare(query: str) -> str:
    """A rule's name without what tells its severity; nothing of a plain `deny`."""
    return query.rpartition(".")[2].partition("_")[2]


class Draft(NamedTuple):
    """What a rule said of a resource, with the field where it named one or was traced to one.

    Attributes:
        number: the resource's place among those that were asked.
        total: how many things the rule said of it.
        placed: how the field is known; empty as long as it is to be traced.
    """

    number: int
    query: str
    rule: Asked
    resource: Resource
    message: str
    path: FieldPath | None
    total: int
    placed: Placed | Literal[""]

    def traced(self, path: FieldPath | None) -> Draft:
        """The same, with the field that it was traced to."""
        return self._replace(path=path, placed="resource" if path is None else "traced")


class Outcome(NamedTuple):
    """What rules said, what could not be judged, and the places of resources that this is of."""

    drafts: list[Draft]
    gaps: list[Gap]
    failed: set[int]


def _drafts(answer: Answer, resource: Resource, rule: Asked) -> Iterator[Draft]:
    items = answer.value if isinstance(answer.value, list) else [answer.value]
    for item in items:
        if item not in (None, False, {}):
            message = item.get("msg") if isinstance(item, dict) else item
            message = message if isinstance(message, str) else f"{rule.name} says {message!r}"
            path = _path(item)
            placed: Placed | Literal[""] = "field" if path is not None else ""
            yield Draft(answer.input, answer.query, rule, resource, message, path, len(items), placed)


def finding(draft: Draft) -> Finding:
    """A draft as it is reported."""
    rule, path = draft.rule, draft.path
    place = draft.resource.origin.place(path or ())
    placed: Placed = draft.placed or "resource"
    return Finding(rule.name, rule.severity, draft.message, place, draft.resource.ref, path, rule.hint, placed)


def _path(item: Any) -> FieldPath | None:
    """The field that a rule names: a list of steps, or `field`/`path` as dotted text."""
    if not isinstance(item, dict):
        return None
    named = item.get("field", item.get("path"))
    if isinstance(named, list) and all(isinstance(step, str | int) for step in named):
        return tuple(int(step) if isinstance(step, float) else step for step in named)
    if isinstance(named, str) and named:
        words = named.replace("[", ".").replace("]", "").split(".")
        return tuple(int(word) if word.isdigit() else word for word in words if word)
    return None
