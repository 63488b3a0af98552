"""Tests of policies: Rego's own (`test_...` rules), and folders with cases that a rule must find and must not find."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from gatekeeper.config import Config
from gatekeeper.engines.rego import evaluation as rego
from gatekeeper.engines.rego import loader, query_plan
from gatekeeper.engines.rego.loader import Module, PolicySet
from gatekeeper.engines.rego.query_plan import Asked, Plan
from gatekeeper.errors import PolicyError
from gatekeeper.model import Resource
from gatekeeper.render import manifests, terraform
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import Source
from gatekeeper.workspace.tree import Tree

BAD, GOOD = "bad", "good"


class Trial(NamedTuple):
    """One test and how it went: passed, failed (with what it said), or could not be evaluated (with the reason)."""

    name: str
    passed: bool
    error: str = ""
    said: str = ""


class Run(NamedTuple):
    """Trials, and what was asked for them: policies, and inputs with their rules."""

    trials: list[Trial]
    asked: list[tuple[PolicySet, list[tuple[bytes, Sequence[str]]]]]


def run(root: Path, paths: Sequence[str], data: Sequence[str], config: Config, jobs: int) -> Run:
    """Runs all tests below some paths with the engine that the config chooses.

    Raises:
        PolicyError: a policy does not load.
    """
    loaded = loader.joined([loader.load(root, paths, data, tests=True), query_plan.facts(config)])
    rules = [(module, rule) for module in loaded.modules for rule in module.rules if rule.startswith("test_")]
    done = Run(_rego(rules, loaded, config, jobs), [])
    if rules:
        done.asked.append((loaded, [(b"{}", [f"data.{module.package}.{rule}" for module, rule in rules])]))
    for folder, cases in _case_folders(root, loaded.modules):
        _cases(root, folder, cases, loaded, config, jobs, done)
    return done


def _rego(rules: Sequence[tuple[Module, str]], loaded: PolicySet, config: Config, jobs: int) -> list[Trial]:
    if not rules:
        return []
    asked = {
        f"data.{module.package}.{rule}": Asked(f"{module.path}: {rule}", "error", "", (), module)
        for module, rule in rules
    }
    engine = rego.start(config, Plan(asked, loaded), jobs)
    try:
        answers = {answer.query: answer for answer in engine.evaluate([(b"{}", tuple(asked))])}
    finally:
        engine.close()
    trials = []
    for query, about in asked.items():
        answer = answers.get(query)
        trials.append(Trial(about.name, bool(answer and answer.value is True), answer.error if answer else ""))
    return trials


def _case_folders(root: Path, modules: Sequence[Module]) -> Iterator[tuple[str, list[Path]]]:
    folders = dict.fromkeys(PurePosixPath(module.path).parent.as_posix() for module in modules)
    for folder in folders:
        globs = (f"{word}*.{kind}" for word in (BAD, GOOD) for kind in ("y*ml", "tf", "tfplan.json"))
        cases = [path for glob in globs for path in (root / folder).glob(glob)]
        if cases:
            yield folder, sorted(cases)


def _cases(
    root: Path, folder: str, cases: Sequence[Path], loaded: PolicySet, config: Config, jobs: int, done: Run
) -> None:
    """Each case against the rules of its own folder, with a folder's own data where it has some."""
    more = next((root / folder).glob("data.*"), None)
    own = loader.load(root, [], [f"{folder}/{more.name}"]) if more else PolicySet((), {})
    together = loader.joined([loaded, own])
    asked = {
        query: Asked(f"{module.package}/{query.rpartition('.')[2]}", "error", "", _kinds(module), module)
        for module in loaded.modules
        if PurePosixPath(module.path).parent.as_posix() == folder
        for query in module.queries()
    }
    chosen = Plan(asked, together)
    questions: list[tuple[bytes, Sequence[str]]] = []
    done.asked.append((together, questions))
    engine = rego.start(config, chosen, jobs)
    try:
        for case in cases:
            name = f"{folder}/{case.name}"
            held = resources(case, name)
            questions.extend((resource.json, list(asked)) for resource in held)
            found, gaps = rego.judge(held, chosen, engine)
            wanted = case.name.startswith(BAD)
            done.trials.append(Trial(name, not gaps and bool(found) == wanted, gaps[0].reason if gaps else ""))
    finally:
        engine.close()


def _terraform(case: Path, name: str) -> list[Resource]:
    tree = Tree(case.parent, [case.name])
    found = terraform.read(tree, documents.read(tree, 1)[0])
    if not found.resources:
        told = found.gaps[0].reason if found.gaps else "is no Terraform file and no plan"
        raise PolicyError(f"{name}: {told}")
    return found.resources


def _kinds(module: Module) -> tuple[str, ...]:
    """The kinds that a rule of the library says it judges; none: all."""
    return tuple(module.metadata.get("custom", {}).get("kinds", ()))


def resources(case: Path, name: str) -> list[Resource]:
    """The resources of a case; `name` is for messages."""
    if case.suffix in (".tf", ".json"):
        return _terraform(case, name)
    try:
        parsed, failure = documents.parse(case.read_bytes())
    except OSError as error:
        raise PolicyError(f"{name}: cannot be read: {error.strerror or error}") from error
    if failure:
        raise PolicyError(f"{name}:{failure[1]}:{failure[2]}: cannot be read: {failure[0]}")
    return list(manifests.resources(Source(name, "documents", tuple(parsed))))
