"""Post-renderers and common metadata of a HelmRelease: what they make of the objects that its chart renders.

Source: fluxcd/helm-controller `internal/postrender` (build.go, kustomize.go, common.go).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.config import Config
from gatekeeper.errors import ToolError
from gatekeeper.model import FieldPath, Finding, Gap, Location, Origin, Resource, build_ref, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render.common_metadata import set_common_metadata
from gatekeeper.render.model import BuildOutput
from gatekeeper.render.origin import ApplierFields
from gatekeeper.upstream.client import open_client
from gatekeeper.upstream.kustomization import BuiltObject, build_own_files
from gatekeeper.upstream.kustomization_files import WRAPPER

HOOK_ANNOTATION = "helm.sh/hook"


class PostRenderedOrigin(NamedTuple):
    """The origin of an object that a post-renderer changed by the fields (JSON) at a path of its HelmRelease."""

    inner: Origin
    before: bytes
    after: bytes
    release: Resource
    fields_path: FieldPath
    fields: bytes

    @property
    def file(self) -> str:
        """See `gatekeeper.model.Origin`."""
        return self.inner.file

    def find_location(self, path: FieldPath, key: bool = False) -> Location:
        """See `gatekeeper.model.Origin`: the post-renderer that set the field, else what the chart says."""
        before, after = orjson.loads(self.before), orjson.loads(self.after)
        if get_field(before, path) == get_field(after, path):
            return self.inner.find_location(path, key)
        fields = ApplierFields(self.release, self.fields_path, self.fields)
        for transformer in ("PatchTransformer", "ImageTagTransformer"):
            found = fields.find_location(transformer, path, str(after.get("kind")), after)
            if found:
                return found
        return self.release.origin.find_location(self.fields_path, key)


def post_render(output: BuildOutput, release: Resource, post_rendering: bytes, config: Config) -> BuildOutput:
    """Changes the objects of a chart; where kustomize fails, returns a finding with its message, and a gap."""
    settings = orjson.loads(post_rendering)
    # Helm hands on everything but its hooks.
    hooks = [one for one in output.resources if get_field(one.value, ("metadata", "annotations", HOOK_ANNOTATION))]
    current = [one for one in output.resources if one not in hooks]
    renderers = settings.get("postRenderers")
    for number, entry in enumerate(renderers if isinstance(renderers, list) else ()):
        spec = get_field(entry, ("kustomize",))
        path: FieldPath = ("spec", "postRenderers", number, "kustomize")
        try:
            current = _run_kustomize(current, release, path, spec, config) if isinstance(spec, dict) else current
        except ToolError as error:
            place = release.origin.find_location(path)
            message = f"a post-renderer cannot be applied to what the chart renders: {error}"
            finding = Finding(
                rule="render/kustomize",
                severity="error",
                message=message,
                location=place,
                resource_ref=release.ref,
                field_path=path,
                hint="correct its patches",
            )
            gap = Gap(release.origin.file, "its post-renderers failed, so its objects were not checked", is_fatal=True)
            return BuildOutput([], [*output.findings, finding], [*output.gaps, gap])
    current = set_common_metadata([*current, *hooks], settings.get("commonMetadata"))
    return BuildOutput(current, output.findings, output.gaps)


def _build_fields(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a kustomization, as helm-controller writes them."""
    fields: dict[str, Any] = {name: spec[name] for name in ("images", "patches") if spec.get(name)}
    if spec.get("patchesStrategicMerge"):
        fields["patchesStrategicMerge"] = [_write_patch(patch) for patch in spec["patchesStrategicMerge"]]
    if spec.get("patchesJson6902"):
        fields["patchesJson6902"] = [
            {**entry, "patch": _write_patch(entry.get("patch"))} if isinstance(entry, dict) else entry
            for entry in spec["patchesJson6902"]
        ]
    return fields


def _write_patch(patch: Any) -> str:
    # kustomize takes a text with a line end for a patch, and any other for the name of a file.
    return patch if isinstance(patch, str) else orjson.dumps(patch).decode() + "\n"


def _run_kustomize(
    resources: Sequence[Resource], release: Resource, path: FieldPath, spec: Mapping[str, Any], config: Config
) -> list[Resource]:
    fields = _build_fields(spec)
    if not fields or not resources:
        return list(resources)
    by_name = {f"{number:05}.yaml": resource for number, resource in enumerate(resources)}
    settings = {**fields, "resources": list(by_name), "buildMetadata": ["originAnnotations"]}
    files = {name: resource.json.decode() for name, resource in by_name.items()}
    files["kustomization.yaml"] = orjson.dumps(settings).decode()
    try:
        built = build_own_files(open_client(config.kubernetes), files, config.timeout)
    except ToolError as error:
        words = str(error).replace(f"{WRAPPER}/", "").replace(WRAPPER, "the release")
        raise ToolError(" ".join(words.split())[:600]) from error
    return [_build_resource(one, by_name[one.own_file], release, path, orjson.dumps(fields)) for one in built]


def _build_resource(
    built: BuiltObject, before: Resource, release: Resource, path: FieldPath, fields: bytes
) -> Resource:
    after = orjson.dumps(built.value)
    return Resource(
        build_ref(built.value),
        after,
        PostRenderedOrigin(
            inner=before.origin, before=before.json, after=after, release=release, fields_path=path, fields=fields
        ),
    )
