"""The Rego engines' common half: which rule is asked of which resource, and what an answer means as a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from gatekeeper.config import NAME, Config
from gatekeeper.engines.rego import library, policies
from gatekeeper.engines.rego.blame import Suspect, Tracer
from gatekeeper.engines.rego.embedded import Embedded
from gatekeeper.engines.rego.policies import Module, PolicySet
from gatekeeper.errors import PolicyError, ToolError
from gatekeeper.model import FieldPath, Finding, Gap, Placed, Resource, Severity
from gatekeeper.roles import Answer, RegoEngine


class Asked(NamedTuple):
    """One rule as it is asked: name in reports, severity, remedy, and the kinds that it judges (none: all)."""

    name: str
    severity: Severity
    hint: str
    kinds: tuple[str, ...]
    module: Module


class Plan(NamedTuple):
    """All rules of a run, by query, and what the engine must load for them.

    Attributes:
        exceptions: what asks for a package's exceptions, by package.
    """

    asked: dict[str, Asked]
    policies: PolicySet
    exceptions: Mapping[str, str] = MappingProxyType({})

    @property
    def queries(self) -> tuple[str, ...]:
        """Everything that may be asked."""
        return (*self.asked, *self.exceptions.values())


def plan(config: Config, own: PolicySet) -> Plan:
    """The library's rules that the config chooses, and the repository's own."""
    asked: dict[str, Asked] = {}
    sets = [own]
    if config.library != "off" or config.enable:
        found, everything = library.rules()
        chosen = library.chosen(found, config.library, config.enable, config.disable)
        modules = {rule.module.path for rule in chosen}
        helpers = (module for module in everything.modules if not module.path.endswith("/rule.rego"))
        kept = (*helpers, *(module for module in everything.modules if module.path in modules))
        sets += [PolicySet(kept, everything.data), facts(config)]
        for rule in chosen:
            severity = config.severity.get(rule.name, rule.severity)
            asked[rule.query] = Asked(rule.name, _severity(severity), rule.remedy, rule.kinds, rule.module)
    judging = [module for module in own.modules if not config.namespaces or module.package in config.namespaces]
    for module in judging:
        for query in module.queries():
            name = query.rpartition(".")[2]
            severity = policies.SEVERITY[name.split("_")[0]]
            asked[query] = Asked(f"{module.package}/{name}", _severity(severity), "", (), module)
    exceptions = {module.package: module.exception for module in judging if module.exception}
    return Plan(asked, policies.joined(sets), exceptions)


class Judged(NamedTuple):
    """What the policies found, what they could not judge, the engine's name and version, and the policies' digest."""

    findings: list[Finding]
    gaps: list[Gap]
    engine: tuple[str, str]
    digest: str


def run(root: Path, resources: Sequence[Resource], config: Config, jobs: int) -> Judged:
    """Loads what the config names and asks it; policies that cannot be used are a gap, and all else is judged.

    Raises:
        UsageError: the config chooses a rule that does not exist.
    """
    chosen = Plan({}, PolicySet((), {}))
    try:
        chosen = plan(config, policies.load(root, config.policies, config.data))
        engine = start(config, chosen, jobs)
        try:
            found, gaps = judge(resources, chosen, engine)
            return Judged(found, gaps, engine.name, chosen.policies.digest)
        finally:
            engine.close()
    except (PolicyError, ToolError) as error:
        gap = Gap(NAME, f"no policy was asked: {error}", fatal=True)
        return Judged([], [gap], (config.engine, ""), chosen.policies.digest)


def facts(config: Config) -> PolicySet:
    """What rules may ask about the cluster: `data.gatekeeper.kubernetes`, its version."""
    return PolicySet((), {"gatekeeper": {"kubernetes": config.kubernetes}})


def _severity(word: str) -> Severity:
    if word not in ("error", "warning", "info"):
        raise PolicyError(f"a severity is `error`, `warning` or `info`, not {word!r}")
    return word  # type: ignore[return-value]


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
    choose = wanted or _by_kind(chosen)
    inputs: list[tuple[bytes, Sequence[str]]] = [(resource.json, choose(resource)) for resource in resources]
    drafts: list[Draft] = []
    gaps: list[Gap] = []
    answers = engine.evaluate(inputs)
    excepted = _excepted(answers, chosen)
    for answer in answers:
        resource, rule = resources[answer.input], chosen.asked.get(answer.query)
        if answer.error:
            name = rule.name if rule else answer.query
            reason = f"rule {name} could not be evaluated on {resource.ref}: {answer.error}"
            gaps.append(Gap(resource.origin.file, reason, fatal=True))
        elif rule and _bare(answer.query) in excepted.get((answer.input, rule.module.package), ()):
            gaps.append(Gap(resource.origin.file, f"rule {rule.name} makes an exception of {resource.ref}"))
        elif rule:
            drafts.extend(_drafts(answer, resource, rule))
    tracer = Tracer(engine, {query: rule.module for query, rule in chosen.asked.items()})
    lost = [draft for draft in drafts if draft.path is None]
    traced = iter(
        tracer.trace([Suspect(draft.query, draft.resource.value, draft.message, draft.total) for draft in lost])
    )
    return [_finding(draft, next(traced) if draft.path is None else None) for draft in drafts], gaps


def _by_kind(chosen: Plan) -> Callable[[Resource], Sequence[str]]:
    known: dict[str, tuple[str, ...]] = {}

    def choose(resource: Resource) -> Sequence[str]:
        kind = resource.ref.kind
        if kind not in known:
            rules = chosen.asked.items()
            judging = tuple(query for query, rule in rules if not rule.kinds or kind in rule.kinds)
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
    """What a rule said of a resource, with the field where it named one."""

    query: str
    rule: Asked
    resource: Resource
    message: str
    path: FieldPath | None
    total: int


def _drafts(answer: Answer, resource: Resource, rule: Asked) -> Iterator[Draft]:
    items = answer.value if isinstance(answer.value, list) else [answer.value]
    for item in items:
        if item not in (None, False, {}):
            message = item.get("msg") if isinstance(item, dict) else item
            message = message if isinstance(message, str) else f"{rule.name} says {message!r}"
            yield Draft(answer.query, rule, resource, message, _path(item), len(items))


def _finding(draft: Draft, traced: FieldPath | None) -> Finding:
    rule, path = draft.rule, draft.path or traced
    placed: Placed = "field" if draft.path is not None else "resource" if traced is None else "traced"
    place = draft.resource.origin.place(path or ())
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
