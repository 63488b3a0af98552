"""`gatekeeper reconcile`: what Kustomizations and Applications would change in a cluster; the first also done, once."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from gatekeeper import config
from gatekeeper.apply.model import ApplySet, ReconcileContext, ReconcileOutcome, ReconcileResult
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.argocd import application_spec as applications
from gatekeeper.argocd import manifest_generation, plan
from gatekeeper.cluster import client
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import GatekeeperError, UsageError
from gatekeeper.flux import build as flux_build
from gatekeeper.flux import reconcile_order
from gatekeeper.flux import source as flux_source
from gatekeeper.gate import pipeline
from gatekeeper.host import atomic_file, git_state
from gatekeeper.model import Verdict, format_path
from gatekeeper.render import pipeline as render_pipeline
from gatekeeper.terminal import object_io
from gatekeeper.terminal.options import add_prune_options, create_parser
from gatekeeper.terminal.progress import show_progress
from gatekeeper.terminal.redaction import hide_secret_values
from gatekeeper.workspace import config_loader

EXAMPLES = """examples:
  gatekeeper reconcile --plan --kubeconfig ~/.kube/config
  gatekeeper reconcile --plan --kubeconfig ~/.kube/config --name flux-system/apps
  gatekeeper reconcile --once --kubeconfig ~/.kube/config
  gatekeeper reconcile --once --kubeconfig ~/.kube/config --approve main@sha1:4b825dc642cb6eb9a060e54bf8d69288fbee4904
  gatekeeper reconcile --once --kubeconfig ~/.kube/config --from-cluster
  gatekeeper reconcile --to rendered

The repository is rendered and checked as by `gatekeeper check`; refused objects are not applied. `--plan` compares with
the cluster by server-side dry run and changes nothing. `--once` applies in Flux's order, writes the inventory into the
status of each Kustomization, and prunes objects that are no longer in Git, within the prune budget or for an approved
revision. `--from-cluster` takes GitRepositories and Kustomizations from the cluster and fetches each repository;
`gatekeeper controller run` does the same continuously. `--plan` also plans the Argo CD Applications of the repository,
with this repository as their source; only the controller syncs them.
Exit status: 0 applied, or nothing prevents it; 1 an object was refused, waits or failed; 2 wrong usage; 3 the cluster
does not respond, or something could not be checked.
"""
ACTION_WORDS = {
    "create": "creates",
    "configure": "changes",
    "unchanged": "unchanged",
    "skip": "skips",
    "failed": "FAILED",
}
PROGRESS_DELAY_SECONDS = 2.0
# Sources that are reconciled in parallel, and changed fields that are printed per object.
MAX_PARALLEL, MAX_FIELDS = 8, 10


def reconcile(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: the path does not exist or contains nothing to apply, or options conflict.
        ToolError: the cluster does not respond.
    """
    args = _build_parser().parse_args(arguments)
    if not args.path.exists():
        raise UsageError(f"{args.path}: no such file or folder")
    if args.to:
        return _write_objects(_select_builds(args, _list_builds(args)), args.to)
    if not args.kubeconfig:
        raise UsageError("reconcile --plan and --once need a cluster; add --kubeconfig FILE")
    with client.connect(args.kubeconfig, args.context) as cluster:
        if args.from_cluster:
            return _reconcile_cluster(args, cluster)
        root, settings, jobs = _load_repository(args)
        revision = _format_revision(root)
        with show_progress("rendering and checking", PROGRESS_DELAY_SECONDS):
            result = pipeline.check_and_render_repository(root, settings, jobs)
            verdict, builds = flux_build.check_repository_kustomizations(result, jobs)
            argo = (
                manifest_generation.build_repository_applications(result.rendered, revision, jobs)
                if args.plan
                else None
            )
            argo_verdict = manifest_generation.check_repository_applications(result, argo, jobs) if argo else verdict
        chosen = [] if argo and not _filter_by_name(args, builds) else _select_builds(args, builds)
        done = _reconcile_builds(args, cluster, chosen, verdict, revision)
        status = _compute_exit_code(done, verdict) if done or not argo else 0
        return max(status, _plan_applications(args, cluster, argo, argo_verdict)) if argo else status


def _load_repository(args: argparse.Namespace) -> tuple[Path, config.Config, int]:
    root = config_loader.find_root(args.path.resolve())
    return root, config_loader.load(root, args.config), os.cpu_count() or 1


def _list_builds(args: argparse.Namespace) -> list[ApplySet]:
    """The objects that the Kustomizations and Applications of a repository apply."""
    root, settings, jobs = _load_repository(args)
    rendered = render_pipeline.render_repository(root, settings)
    builds = flux_build.build_repository_kustomizations(rendered, jobs)
    argo = manifest_generation.build_repository_applications(rendered, _format_revision(root), jobs)
    if argo is None:
        return builds
    for value, reason in argo.errors:
        sys.stderr.write(f"{value['metadata'].get('name')}: {reason}\n")
    return [*builds, *(ApplySet(build.manifest, "", build.objects, build.render_error) for build in argo.builds)]


def _filter_by_name(args: argparse.Namespace, builds: list[ApplySet]) -> list[ApplySet]:
    return [build for build in builds if args.name in ("", "/".join(build.name))]


def _plan_applications(
    args: argparse.Namespace,
    cluster: DynamicClient,
    argo: manifest_generation.RepositoryApplications,
    verdict: Verdict,
) -> int:
    """Print what the Applications of the repository would change; return the exit status."""
    limit = plan.PruneLimit(PruneBudget(args.max_prune, args.max_prune_percent / 100), args.approve)
    done = [
        ReconcileResult(ApplySet(value, "", ()), ReconcileOutcome(False, "InvalidSpecError", reason))
        for value, reason in argo.errors
    ]
    chosen = [build for build in argo.builds if args.name in ("", "/".join(build.application.key))]
    done += [plan.plan_application(cluster, args.argo_namespace, build, verdict, limit) for build in chosen]
    for result in done:
        _print_result(result)
    return _compute_exit_code(done, verdict)


def _select_builds(args: argparse.Namespace, builds: list[ApplySet]) -> list[ApplySet]:
    """Returns the Kustomizations that --name selects.

    Raises:
        UsageError: there is no such Kustomization.
    """
    chosen = _filter_by_name(args, builds)
    if not chosen:
        raise UsageError(
            f"{args.path}: contains no Flux Kustomization or Application{f' {args.name}' if args.name else ''}"
        )
    return chosen


def _reconcile_builds(
    args: argparse.Namespace,
    cluster: DynamicClient,
    builds: list[ApplySet],
    verdict: Verdict,
    revision: str,
) -> list[ReconcileResult]:
    budget = PruneBudget(args.max_prune, args.max_prune_percent / 100)
    context = ReconcileContext(
        cluster=cluster,
        verdict=verdict,
        revision=revision,
        budget=budget,
        approved_revision=args.approve,
        should_write=args.once,
        stop_event=threading.Event(),
    )
    return reconcile_order.reconcile_all(context, builds, _print_result)


def _reconcile_source(args: argparse.Namespace, cluster: DynamicClient, source: flux_source.TrackedSource) -> int:
    """Fetch, check and reconcile one GitRepository with its Kustomizations."""
    repository = source.repository
    if repository is None:
        sys.stdout.write(f"GitRepository {source.name}: FAILED: {source.error}\n")
        return 1
    if repository.is_suspended or not source.kustomizations:
        return 0
    try:
        source_revision = flux_source.resolve_source_revision(cluster, repository)
        folder = flux_source.resolve_storage_folder()
        root = flux_source.fetch_artifact(cluster, repository, source_revision, folder).root
        verdict, builds = flux_build.check_commit(root, source.kustomizations, cluster, args.config)
        chosen = [build for build in builds if args.name in ("", "/".join(build.name))]
        results = _reconcile_builds(args, cluster, chosen, verdict, str(source_revision.revision))
        return _compute_exit_code(results, verdict)
    except GatekeeperError as error:
        # A broken repository does not stop the others, and its applied objects stay.
        sys.stdout.write(f"GitRepository {source.name}: FAILED: {error}\n")
        return error.exit_code


def _reconcile_cluster(args: argparse.Namespace, cluster: DynamicClient) -> int:
    """Reconciles each GitRepository of a cluster once."""
    with ThreadPoolExecutor(MAX_PARALLEL) as pool:
        return max(pool.map(partial(_reconcile_source, args, cluster), flux_source.list_sources(cluster)), default=0)


def _build_parser() -> argparse.ArgumentParser:
    parser = create_parser(
        "reconcile",
        "Apply Flux Kustomizations to a cluster if the checks accept them, or show what that would change.",
        EXAMPLES,
    )
    parser.add_argument(
        "path", nargs="?", type=Path, default=Path(), metavar="PATH", help="a repository (default: the current folder)"
    )
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--plan", action="store_true", help="show what would change in the cluster")
    mode.add_argument("--once", action="store_true", help="apply once and exit")
    mode.add_argument("--to", type=Path, metavar="DIR", help="write the objects into a new folder instead of a cluster")
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="kubeconfig of the cluster")
    parser.add_argument("--context", default="", help="context of the kubeconfig (default: its current context)")
    parser.add_argument(
        "--from-cluster",
        action="store_true",
        help="reconcile the GitRepositories and Kustomizations of the cluster, instead of PATH",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"use this instead of {config.CONFIG_FILE} of each repository"
    )
    parser.add_argument(
        "--name",
        default="",
        metavar="NAMESPACE/NAME",
        help="the only Kustomization or Application to reconcile (default: all)",
    )
    parser.add_argument(
        "--argo-namespace",
        default=applications.DEFAULT_ARGOCD_NAMESPACE,
        metavar="NAME",
        help="namespace of Argo CD (default: argocd)",
    )
    add_prune_options(parser)
    parser.add_argument(
        "--approve", default="", metavar="REVISION", help="revision that may prune more objects than the budget"
    )
    return parser


def _format_revision(root: Path) -> str:
    """Returns the revision as Flux writes it, with a mark if the working tree has uncommitted changes."""
    commit = git_state.describe_revision(root)
    if commit is None:
        return "unknown"
    return f"{git_state.get_branch(root) or 'HEAD'}@sha1:{commit}"


def _print_result(result: ReconcileResult) -> None:
    lines = [f"{'/'.join(result.build.name)}: {result.outcome.reason}: {result.outcome.message}"]
    for change in result.changes:
        if change.action != "unchanged":
            lines.append(f"  {ACTION_WORDS[change.action]:<9} {change}{f': {change.reason}' if change.reason else ''}")
        lines += [f"              {format_path(field)}" for field in change.fields[:MAX_FIELDS]]
    for prune_result in result.pruned:
        word = {"delete": "deletes", "keep": "keeps", "gone": "not found", "failed": "FAILED"}[prune_result.action]
        lines.append(f"  {word:<9} {prune_result.entry}{f': {prune_result.reason}' if prune_result.reason else ''}")
    sys.stdout.write("\n".join([*lines, ""]))
    sys.stdout.flush()


def _compute_exit_code(results: list[ReconcileResult], verdict: Verdict) -> int:
    if verdict.decision == "incomplete":
        return 3
    return 0 if all(result.outcome.is_ready for result in results) else 1


def _write_objects(builds: list[ApplySet], folder: Path) -> int:
    """Writes the objects of each Kustomization into its own file, without the values of Secrets."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is not an empty folder; choose a new one")
    folder.mkdir(parents=True, exist_ok=True)
    status = 0
    for build in builds:
        target = folder / f"{'-'.join(build.name)}.yaml"
        values: list[Any] = [hide_secret_values(value) for value in build.objects]
        atomic_file.write(target, object_io.format_objects(values, "yaml").encode())
        sys.stdout.write(
            f"{target}: {len(values)} objects{f'; incomplete: {build.render_error}' if build.render_error else ''}\n"
        )
        status = 3 if build.render_error else status
    return status
