"""Builds kustomizations and charts, each of them once in a run, however many read the result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gatekeeper.config import Config
from gatekeeper.render import appliers, kustomize, post_build
from gatekeeper.render.common_metadata import set_common_metadata
from gatekeeper.render.helm import api_versions, charts, post_render
from gatekeeper.render.helm.chart_content import ArchivedChart, LocalChart
from gatekeeper.render.helm.charts import ChartOutput
from gatekeeper.render.inputs import RenderInputs
from gatekeeper.render.kustomization_graph import find_links
from gatekeeper.render.kustomize import KustomizeTarget
from gatekeeper.render.model import AppliedFolder, BuildOutput, BuildUnit, ChartContent, ChartUse
from gatekeeper.sources.source_cache import open_source_cache
from gatekeeper.upstream.client import open_client
from gatekeeper.upstream.kustomization import KustomizationBuilder


class Builder:
    """Builds units and charts of a tree with kustomize and Helm, and keeps every result.

    Results are shared: callers must not change their lists.
    """

    def __init__(self, inputs: RenderInputs) -> None:
        self.inputs = inputs
        self._client = open_client(inputs.config.kubernetes)
        self._kustomizations = KustomizationBuilder(
            self._client, inputs.tree.root, inputs.config.timeout, inputs.config.kubernetes
        )
        self._targets: dict[tuple[BuildUnit, bytes, bool], BuildOutput] = {}
        self._charts: dict[object, ChartOutput] = {}
        self._chart_contents: dict[str, ChartContent] = {}
        self._cache = open_source_cache()

    def with_inputs(self, inputs: RenderInputs) -> Builder:
        """A builder over other inputs from the same files, which shares the results of this one."""
        other = Builder(inputs)
        other._targets, other._charts, other._kustomizations = self._targets, self._charts, self._kustomizations
        other._chart_contents = self._chart_contents
        return other

    def build_units(
        self, units: Sequence[BuildUnit], applied_folders: Sequence[Sequence[AppliedFolder]]
    ) -> Iterator[BuildOutput]:
        """Builds units, all kustomizations of them at once.

        Args:
            applied_folders: those of each unit.
        """
        self._build_targets(
            [
                (unit, applied)
                for unit, entries in zip(units, applied_folders, strict=True)
                for applied in entries or (None,)
            ]
        )
        for unit, entries in zip(units, applied_folders, strict=True):
            yield self.build_unit(unit, entries)

    def build_unit(self, unit: BuildUnit, applied_folders: Sequence[AppliedFolder]) -> BuildOutput:
        """Builds a unit once for each way in which controllers apply it."""
        by_fields: dict[tuple[bytes, bool], list[AppliedFolder]] = {}
        for applied in applied_folders:
            by_fields.setdefault((applied.added_fields, self._is_restricted(applied)), []).append(applied)
        output = BuildOutput([], [], [])
        for same in by_fields.values() or [[]]:
            built = self.build_target(unit, same[0] if same else None)
            changes = [(applied.variables, appliers.find_common_metadata(applied)) for applied in same] or [
                (None, None)
            ]
            for number, change in enumerate(changes):
                if change not in changes[:number]:
                    part = post_build.substitute_variables(self._client, built.resources, change[0])
                    output.resources.extend(set_common_metadata(part.resources, change[1]))
                    output.findings.extend(part.findings)
                    output.gaps.extend(part.gaps)
            output.findings.extend(built.findings)
            output.gaps.extend(built.gaps)
        output.findings.extend(
            finding for applied in applied_folders for finding in post_build.find_invalid_names(applied)
        )
        if any(applied.applier.ref.kind == "Kustomization" for applied in applied_folders) and not unit.files:
            output.findings.extend(find_links(self.inputs.kustomizations, self.inputs.tree.links, unit.folder))
        return output

    def _is_restricted(self, applied: AppliedFolder | None) -> bool:
        """Whether the applier lets kustomize read files of its folder only."""
        return applied is not None and applied.applier.ref.kind == "Application" and self.inputs.is_load_restricted

    def build_target(self, unit: BuildUnit, applied: AppliedFolder | None) -> BuildOutput:
        """Builds a unit with the fields that one controller adds; variables are not substituted yet."""
        if unit.files and not (applied and applied.added_fields):
            resources = [resource for file in unit.files for resource in self.inputs.plain_resources[file]]
            return BuildOutput(resources, [], [])
        self._build_targets([(unit, applied)])
        return self._targets[self._find_key(unit, applied)]

    def _find_key(self, unit: BuildUnit, applied: AppliedFolder | None) -> tuple[BuildUnit, bytes, bool]:
        """What a build depends on."""
        fields = applied.added_fields if applied else b""
        return unit, fields, not unit.files and self._is_restricted(applied)

    def _build_targets(self, requested: Sequence[tuple[BuildUnit, AppliedFolder | None]]) -> None:
        """Builds with kustomize what was not built yet."""
        targets: dict[tuple[BuildUnit, bytes, bool], KustomizeTarget] = {}
        for unit, applied in requested:
            key = self._find_key(unit, applied)
            fields, is_restricted = key[1:]
            if key not in self._targets and (fields or not unit.files):
                targets[key] = KustomizeTarget(unit.folder, unit.files, applied if fields else None, is_restricted)
        outputs = kustomize.build_targets(self.inputs, self._kustomizations, list(targets.values()))
        self._targets.update(zip(targets, outputs, strict=True))

    def build_chart(self, use: ChartUse, config: Config) -> BuildOutput:
        """Renders one use of a chart, once with and without its CRDs.

        Args:
            config: has the Kubernetes version to render for, which an Application may choose.
        """
        key = (use.rendering_key, config.kubernetes)
        output = self._charts.get(key)
        if output is None:
            chart = self._find_chart(use)
            output = charts.build_chart(self.inputs.tree, use, chart, self.inputs.files_by_path, config)
            self._charts[key] = output
        part = output.complete if use.include_crds else output.templates
        if use.release_object is None:
            return part
        return post_render.post_render(part, use.release_object, use.post_rendering, config)

    def reads_api_versions(self, use: ChartUse) -> bool:
        """Whether a chart can render something else in a cluster with other API versions."""
        return self._find_chart(use).contains(api_versions.WORD)

    def _find_chart(self, use: ChartUse) -> ChartContent:
        """The content of a chart, read once for all its uses."""
        chart = self._chart_contents.get(use.chart)
        if chart is None:
            fetched = use.fetched
            chart = (
                LocalChart(self.inputs.tree, use.chart)
                if fetched is None
                else ArchivedChart(fetched.name, fetched.pin.digest, self._cache)
            )
            self._chart_contents[use.chart] = chart
        return chart
