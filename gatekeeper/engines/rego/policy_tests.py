"""Tests of policies: Rego's own (`test_...` rules), and folders with cases that a rule must find and must not find."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from gatekeeper.config import Config
from gatekeeper.engines.rego import evaluation as rego
from gatekeeper.engines.rego import loader, query_plan
from gatekeeper.engines.rego.loader import PolicySet, RegoModule
from gatekeeper.engines.rego.query_plan import QueryPlan, RuleQuery
from gatekeeper.errors import PolicyError
from gatekeeper.model import Resource
from gatekeeper.render import manifests, terraform
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import ParsedFile
from gatekeeper.workspace.tree import Tree

BAD_PREFIX, GOOD_PREFIX = "bad", "good"


class PolicyTestOutcome(NamedTuple):
    """One test and how it went: passed, failed (with what it said), or could not be evaluated (with the reason)."""

    name: str
    passed: bool
    error: str = ""
    message: str = ""


class PolicyTestRun(NamedTuple):
    """Trials, and what was asked for them: policies, and inputs with their rules."""

    results: list[PolicyTestOutcome]
    query_batches: list[tuple[PolicySet, list[tuple[bytes, Sequence[str]]]]]


def run_tests(root: Path, paths: Sequence[str], data_paths: Sequence[str], config: Config, jobs: int) -> PolicyTestRun:
    """Runs all tests below some paths with the engine that the config chooses.

    Raises:
        PolicyError: a policy does not load.
    """
    loaded = loader.merge_policy_sets(
        [loader.load_policies(root, paths, data_paths, include_tests=True), query_plan.build_cluster_data(config)]
    )
    rules = [(module, rule) for module in loaded.modules for rule in module.rules if rule.startswith("test_")]
    done = PolicyTestRun(_run_rego_tests(rules, loaded, config, jobs), [])
    if rules:
        done.query_batches.append((loaded, [(b"{}", [f"data.{module.package}.{rule}" for module, rule in rules])]))
    for folder, cases in _find_case_folders(root, loaded.modules):
        _run_cases(root, folder, cases, loaded, config, jobs, done)
    return done


def _run_rego_tests(
    rules: Sequence[tuple[RegoModule, str]], policy_set: PolicySet, config: Config, jobs: int
) -> list[PolicyTestOutcome]:
    if not rules:
        return []
    asked = {
        f"data.{module.package}.{rule}": RuleQuery(f"{module.path}: {rule}", "error", "", (), module)
        for module, rule in rules
    }
    engine = rego.start_engine(config, QueryPlan(asked, policy_set), jobs)
    try:
        answers = {answer.query: answer for answer in engine.evaluate([(b"{}", tuple(asked))])}
    finally:
        engine.close()
    trials = []
    for query, about in asked.items():
        answer = answers.get(query)
        trials.append(
            PolicyTestOutcome(about.name, bool(answer and answer.value is True), answer.error if answer else "")
        )
    return trials


def _find_case_folders(root: Path, modules: Sequence[RegoModule]) -> Iterator[tuple[str, list[Path]]]:
    folders = dict.fromkeys(PurePosixPath(module.path).parent.as_posix() for module in modules)
    for folder in folders:
        globs = (f"{word}*.{kind}" for word in (BAD_PREFIX, GOOD_PREFIX) for kind in ("y*ml", "tf", "tfplan.json"))
        cases = [path for glob in globs for path in (root / folder).glob(glob)]
        if cases:
            yield folder, sorted(cases)


def _run_cases(
    root: Path,
    folder: str,
    cases: Sequence[Path],
    policy_set: PolicySet,
    config: Config,
    jobs: int,
    test_run: PolicyTestRun,
) -> None:
    """Each case against the rules of its own folder, with a folder's own data where it has some."""
    more = next((root / folder).glob("data.*"), None)
    own = loader.load_policies(root, [], [f"{folder}/{more.name}"]) if more else PolicySet((), {})
    together = loader.merge_policy_sets([policy_set, own])
    asked = {
        query: RuleQuery(f"{module.package}/{query.rpartition('.')[2]}", "error", "", _read_kinds(module), module)
        for module in policy_set.modules
        if PurePosixPath(module.path).parent.as_posix() == folder
        for query in module.list_queries()
    }
    chosen = QueryPlan(asked, together)
    questions: list[tuple[bytes, Sequence[str]]] = []
    test_run.query_batches.append((together, questions))
    engine = rego.start_engine(config, chosen, jobs)
    try:
        for case in cases:
            name = f"{folder}/{case.name}"
            held = read_case(case, name)
            questions.extend((resource.json, list(asked)) for resource in held)
            found, gaps = rego.evaluate_resources(held, chosen, engine)
            wanted = case.name.startswith(BAD_PREFIX)
            test_run.results.append(
                PolicyTestOutcome(name, not gaps and bool(found) == wanted, gaps[0].reason if gaps else "")
            )
    finally:
        engine.close()


def _read_terraform(case: Path, name: str) -> list[Resource]:
    tree = Tree(case.parent, [case.name])
    found = terraform.parse_files(tree, documents.parse_tree(tree, 1)[0])
    if not found.resources:
        told = found.gaps[0].reason if found.gaps else "is no Terraform file and no plan"
        raise PolicyError(f"{name}: {told}")
    return found.resources


def _read_kinds(module: RegoModule) -> tuple[str, ...]:
    """The kinds that a rule of the library says it judges; none: all."""
    return tuple(module.metadata.get("custom", {}).get("kinds", ()))


def read_case(case: Path, name: str) -> list[Resource]:
    """The resources of a case; `name` is for messages."""
    if case.suffix in (".tf", ".json"):
        return _read_terraform(case, name)
    try:
        parsed, failure = documents.parse(case.read_bytes())
    except OSError as error:
        raise PolicyError(f"{name}: cannot be read: {error.strerror or error}") from error
    if failure:
        raise PolicyError(f"{name}:{failure[1]}:{failure[2]}: cannot be read: {failure[0]}")
    return list(manifests.list_resources(ParsedFile(name, "documents", tuple(parsed))))
