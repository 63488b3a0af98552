"""Runs the tests of policies: Rego's own `test_...` rules, and the bad and good cases in the folder of a rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from gatekeeper.config import Config
from gatekeeper.engines import policy_files
from gatekeeper.engines.rego import evaluation, loader, query_plan
from gatekeeper.engines.rego.model import PolicySet, QueryPlan, RegoModule, RuleQuery
from gatekeeper.errors import PolicyError
from gatekeeper.model import Resource
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render import manifests, terraform
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile, Tree

BAD_PREFIX, GOOD_PREFIX = "bad", "good"
CASE_SUFFIXES = ("y*ml", "tf", "tfplan.json")
TEST_INPUT = b"{}"


class PolicyTestOutcome(NamedTuple):
    """The result of one test.

    Attributes:
        error: why the test could not be evaluated; empty if it passed or failed.
        message: what differs from the expectation, if there is more to say than that the test failed.
    """

    name: str
    passed: bool
    error: str = ""
    message: str = ""


class PolicyTestRun(NamedTuple):
    """The results of tests, and what was evaluated for them, as input for coverage: policies, inputs and queries."""

    results: list[PolicyTestOutcome]
    query_batches: list[tuple[PolicySet, list[tuple[bytes, Sequence[str]]]]]


class TestContext(NamedTuple):
    """What all tests of a run share."""

    root: Path
    policies: PolicySet
    config: Config
    jobs: int
    run: PolicyTestRun


def run_tests(root: Path, paths: Sequence[str], data_paths: Sequence[str], config: Config, jobs: int) -> PolicyTestRun:
    """Runs all tests below some paths with the engine of the config.

    Raises:
        PolicyError: a policy does not load.
    """
    policies = loader.merge_policy_sets(
        [loader.load_policies(root, paths, data_paths, include_tests=True), query_plan.build_cluster_data(config)]
    )
    context = TestContext(root, policies, config, jobs, PolicyTestRun([], []))
    _run_rego_tests(context)
    for folder, cases in _find_case_folders(root, policies.modules):
        _run_cases(context, folder, cases)
    return context.run


def _run_rego_tests(context: TestContext) -> None:
    """Runs the `test_...` rules; one passes if it is true."""
    tests = {
        f"data.{module.package}.{rule}": RuleQuery(f"{module.path}: {rule}", "error", "", (), module)
        for module in context.policies.modules
        for rule in module.rules
        if rule.startswith("test_")
    }
    if not tests:
        return
    context.run.query_batches.append((context.policies, [(TEST_INPUT, list(tests))]))
    engine = evaluation.start_engine(context.config, QueryPlan(tests, context.policies), context.jobs)
    try:
        answers = {answer.query: answer for answer in engine.evaluate([(TEST_INPUT, tuple(tests))])}
    finally:
        engine.close()
    for query, test in tests.items():
        answer = answers.get(query)
        passed, error = bool(answer and answer.value is True), answer.error if answer else ""
        context.run.results.append(PolicyTestOutcome(test.name, passed, error))


def _find_case_folders(root: Path, modules: Sequence[RegoModule]) -> Iterator[tuple[str, list[Path]]]:
    folders = dict.fromkeys(PurePosixPath(module.path).parent.as_posix() for module in modules)
    for folder in folders:
        globs = (f"{prefix}*.{suffix}" for prefix in (BAD_PREFIX, GOOD_PREFIX) for suffix in CASE_SUFFIXES)
        cases = [path for glob in globs for path in (root / folder).glob(glob)]
        if cases:
            yield folder, sorted(cases)


def _run_cases(context: TestContext, folder: str, cases: Sequence[Path]) -> None:
    """Evaluates the rules of a folder on its cases, with the data file of the folder if it has one.

    A bad case passes if the rules find something in it, a good case if they find nothing.
    """
    data_file = next((context.root / folder).glob("data.*"), None)
    data_paths = [f"{folder}/{data_file.name}"] if data_file else []
    own_data = loader.load_policies(context.root, [], data_paths)
    policies = loader.merge_policy_sets([context.policies, own_data])
    rules = {
        query: RuleQuery(f"{module.package}/{query.rpartition('.')[2]}", "error", "", _read_kinds(module), module)
        for module in context.policies.modules
        if PurePosixPath(module.path).parent.as_posix() == folder
        for query in module.list_queries()
    }
    plan = QueryPlan(rules, policies)
    batch: list[tuple[bytes, Sequence[str]]] = []
    context.run.query_batches.append((policies, batch))
    engine = evaluation.start_engine(context.config, plan, context.jobs)
    try:
        for case in cases:
            name = f"{folder}/{case.name}"
            resources = read_case(case, name)
            batch.extend((resource.json, list(rules)) for resource in resources)
            findings, gaps = evaluation.evaluate_resources(resources, plan, engine)
            passed = not gaps and bool(findings) == case.name.startswith(BAD_PREFIX)
            context.run.results.append(PolicyTestOutcome(name, passed, gaps[0].reason if gaps else ""))
    finally:
        engine.close()


def _read_kinds(module: RegoModule) -> tuple[str, ...]:
    """The kinds that a rule applies to by its METADATA; empty for all kinds."""
    return tuple(module.metadata.get("custom", {}).get("kinds", ()))


def read_case(case: Path, name: str) -> list[Resource]:
    """Reads the resources of a case; `name` is its name in messages.

    Raises:
        PolicyError: the file cannot be read, or is neither YAML nor Terraform.
    """
    if case.suffix in (".tf", ".json"):
        return _read_terraform(case, name)
    parsed = policy_files.parse_documents(policy_files.read_bytes(case, name), name)
    return list(manifests.list_resources(ParsedFile(name, "documents", tuple(parsed))))


def _read_terraform(case: Path, name: str) -> list[Resource]:
    tree = Tree(case.parent, [case.name])
    result = terraform.parse_files(tree, documents.parse_tree(tree, 1)[0])
    if not result.resources:
        reason = result.gaps[0].reason if result.gaps else "not a Terraform file or plan"
        raise PolicyError(f"{name}: {reason}")
    return result.resources
