"""The objects that Kustomizations apply from one repository, rendered and checked once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gatekeeper.apply.model import ApplySet
from gatekeeper.cluster import secrets
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.config import Config
from gatekeeper.errors import GatekeeperError
from gatekeeper.flux import post_build_values
from gatekeeper.flux.model import CheckedKustomizations
from gatekeeper.flux.ownership import GROUP
from gatekeeper.gate import pipeline
from gatekeeper.gate.pipeline import FullResult
from gatekeeper.model import Finding, NamespacedName, Object, Resource, Verdict, get_field, name_of
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render import appliers
from gatekeeper.render import pipeline as render_pipeline
from gatekeeper.render.model import BuildOutput
from gatekeeper.render.pipeline import RenderedTree
from gatekeeper.secret_value import SecretBytes
from gatekeeper.workspace import config_loader


class KustomizationOutput(NamedTuple):
    """What one Kustomization applies, with the resources that it was built from."""

    build: ApplySet
    resources: Sequence[Resource]


def check_repository_kustomizations(result: FullResult, jobs: int) -> CheckedKustomizations:
    """What the Kustomizations in the files of a repository apply.

    Args:
        result: the checked repository.
    """
    outputs = _build_repository_outputs(result.rendered, jobs)
    # What cannot be rendered completely is not applied, and needs no verdict.
    applied = [resource for output in outputs if not output.build.render_error for resource in output.resources]
    verdict = result.verdict.merge(pipeline.check_additional_resources(result, {"": applied}, jobs))
    return CheckedKustomizations(verdict, [output.build for output in outputs])


def build_repository_kustomizations(rendered: RenderedTree, jobs: int) -> list[ApplySet]:
    """What the Kustomizations in the files of a repository apply, without a verdict."""
    return [output.build for output in _build_repository_outputs(rendered, jobs)]


def check_cluster_kustomizations(
    root: Path, settings: Config, kustomizations: Sequence[Object], cluster: DynamicClient | None, jobs: int
) -> CheckedKustomizations:
    """What Kustomizations of a cluster apply from a repository, and the same verdict on it as `gatekeeper check`.

    Args:
        root: the checkout of the repository.
        cluster: has the values that `substituteFrom` names; None to substitute only what is in the Kustomizations.
    """
    values = _inline_values(cluster, kustomizations) if cluster else ClusterValues(list(kustomizations), {}, {})
    result = pipeline.check_and_render_repository(root, settings, jobs)
    rendered, excluded = render_pipeline.add_excluded_files(result.rendered, jobs)
    applying = [appliers.build_cluster_resource(kustomization) for kustomization in values.kustomizations]
    outputs = list(_build_outputs(rendered, applying, excluded))
    built = {output.build.name for output in outputs}
    # A path that is not a folder must not prune everything.
    outputs += [_report_missing_folder(value) for value in values.kustomizations if name_of(value) not in built]
    # A Kustomization of the cluster can differ from that in Git, and has values that are in no file.
    applied = [resource for output in outputs for resource in output.resources]
    additional = pipeline.check_additional_resources(result, {"": applied}, jobs)
    secret_values = [value for several in values.secrets.values() for value in several]
    verdict = result.verdict.merge(_mask_findings(additional, secret_values))
    return CheckedKustomizations(verdict, [values.complete(output.build) for output in outputs])


def check_commit(
    root: Path, kustomizations: Sequence[Object], cluster: DynamicClient, config_file: Path | None = None
) -> CheckedKustomizations:
    """What Kustomizations of a cluster apply from a commit, and the verdict on it, with its own settings on all cores.

    Args:
        root: the checkout of the commit.
        config_file: used instead of the repository's own `gatekeeper.yaml`; None for that.

    Raises:
        GatekeeperError: the settings are invalid, or the repository cannot be checked.
    """
    settings = config_loader.load(root, config_file)
    return check_cluster_kustomizations(root, settings, kustomizations, cluster, os.cpu_count() or 1)


class ClusterValues(NamedTuple):
    """Kustomizations with the values of `substituteFrom` in them.

    Attributes:
        secrets: the values that came from Secrets, by Kustomization.
        errors: why values are missing, by Kustomization.
    """

    kustomizations: list[Object]
    secrets: dict[NamespacedName, tuple[SecretBytes, ...]]
    errors: dict[NamespacedName, str]

    def complete(self, build: ApplySet) -> ApplySet:
        """A build with its secret values, which its error does not repeat."""
        secret_values = self.secrets.get(build.name, ())
        reason = self.errors.get(build.name) or post_build_values.mask_secrets(build.render_error, secret_values)
        return build._replace(secret_values=secret_values, render_error=reason)


def _inline_values(cluster: DynamicClient, kustomizations: Sequence[Object]) -> ClusterValues:
    values = ClusterValues([], {}, {})
    for kustomization in kustomizations:
        name = name_of(kustomization)
        read_data = partial(secrets.read_data, cluster, name[0])
        try:
            complete, values.secrets[name] = post_build_values.inline_values(kustomization, read_data)
        except GatekeeperError as error:
            complete, values.errors[name] = kustomization, str(error)
        values.kustomizations.append(complete)
    return values


def _mask_findings(verdict: Verdict, secret_values: Sequence[SecretBytes]) -> Verdict:
    """The verdict without secret values: a policy may repeat a value that it refuses."""

    def mask(finding: Finding) -> Finding:
        message = post_build_values.mask_secrets(finding.message, secret_values)
        return finding._replace(message=message, members=tuple(map(mask, finding.members)))

    return verdict._replace(findings=tuple(map(mask, verdict.findings)))


def _build_repository_outputs(rendered: RenderedTree, jobs: int) -> list[KustomizationOutput]:
    complete, excluded = render_pipeline.add_excluded_files(rendered, jobs)
    plain_resources = complete.builder.inputs.plain_resources
    applying = [
        *rendered.resources,
        *(resource for file in excluded for resource in plain_resources.get(file, ())),
    ]
    return list(_build_outputs(complete, applying, excluded))


def _build_outputs(
    rendered: RenderedTree, applying: Sequence[Resource], excluded: Sequence[str]
) -> Iterator[KustomizationOutput]:
    """What each Kustomization among these resources applies."""
    unchecked = [file for file in excluded if file.endswith((".yaml", ".yml"))]
    for applied, output in render_pipeline.render_applied_folders(rendered, applying):
        if applied.applier.ref.group != GROUP:
            continue
        error = _find_error(output, applied.folder, unchecked)
        objects = [resource.value for resource in output.resources]
        toolchain = rendered.builder.inputs.config.toolchain
        build = ApplySet(applied.applier.value, applied.folder, objects, error, toolchain=toolchain)
        yield KustomizationOutput(build, output.resources)


def _find_error(output: BuildOutput, folder: str, unchecked: Sequence[str]) -> str:
    """Why a folder could not be rendered and checked completely; empty if it could."""
    error = next((f"{gap.file}: {gap.reason}" for gap in output.gaps if gap.is_fatal), "")
    inside = [file for file in unchecked if file.startswith(f"{folder}/" if folder else "")]
    return error or (f"{inside[0]}: would be applied, but `files.exclude` keeps it from the gate" if inside else "")


def _report_missing_folder(kustomization: Object) -> KustomizationOutput:
    path: Any = get_field(kustomization, ("spec", "path"))
    error = f"`spec.path` {path} is not a folder of the repository"
    return KustomizationOutput(ApplySet(kustomization, "", (), error), ())
