"""Repositories for tests of rendering, and the real rendering of a folder."""

from __future__ import annotations

from pathlib import Path

from gatekeeper import config
from gatekeeper.model import FieldPath, Gap, Resource
from gatekeeper.render import inputs, pipeline
from gatekeeper.render.builder import Builder
from gatekeeper.render.inputs import RenderInputs
from gatekeeper.render.pipeline import RenderedTree
from gatekeeper.workspace import documents, file_selection
from gatekeeper.workspace.tree import ParsedFile, Tree

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
  template:
    spec:
      containers:
      - name: side
        image: side:1
      - name: web
        image: web:1
"""
FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: {name}, namespace: flux-system}}
spec:
  interval: 1m
  prune: true
  path: {path}
  sourceRef: {{kind: GitRepository, name: r}}
"""
CONTAINER: FieldPath = ("spec", "template", "spec", "containers", 1)
CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
TEMPLATE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
spec:
  replicas: {{ .Values.replicas }}
  template:
    spec:
      containers:
      - name: web
        image: "{{ .Values.image.name }}:{{ .Values.image.tag }}"
        {{- with .Values.resources }}
        resources: {{- toYaml . | nindent 10 }}
        {{- end }}
"""
VALUES = "replicas: 1\nimage:\n  name: web\n  tag: v1\nresources:\n  limits: {memory: 1Gi}\n"
FILES: dict[str, str | bytes] = {
    "chart/Chart.yaml": CHART,
    "chart/values.yaml": VALUES,
    "chart/templates/web.yaml": TEMPLATE,
}
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: shop, namespace: prod}
spec:
  interval: 1m
  chart:
    spec:
      chart: ./chart
      sourceRef: {kind: GitRepository, name: r}
      valuesFiles: [chart/values.yaml, envs/prod.yaml]
  values:
    image:
      tag: v3
"""
APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: argocd}
spec:
  project: p
  destination: {namespace: prod, server: https://kubernetes.default.svc}
  source:
    repoURL: https://example.com/r
    path: chart
    helm:
      releaseName: blue
      valueFiles: [../envs/prod.yaml]
      values: |
        # texts count their own lines
        image:
          tag: v4
      parameters:
      - {name: image.name, value: registry.example.com/web}
"""
CHART_CONTAINER: FieldPath = ("spec", "template", "spec", "containers", 0)


def render(root: Path) -> RenderedTree:
    """Everything that a folder renders to."""
    return pipeline.render_tree(*parse(root), config.Config(), 2)


def parse(root: Path) -> tuple[Tree, list[ParsedFile]]:
    """The files of a folder, parsed."""
    tree = file_selection.build_tree([root], root, ())
    parsed, _ = documents.parse_tree(tree, 2)
    return tree, parsed


def collect(root: Path, settings: config.Config | None = None) -> RenderInputs:
    """What a folder is rendered from; nothing is rendered."""
    return inputs.collect_inputs(*parse(root), settings or config.Config())


def open_builder(root: Path) -> Builder:
    """A builder over a folder."""
    return Builder(collect(root))


def the(rendered: RenderedTree, kind: str, name: str = "") -> Resource:
    """The only resource of a kind whose name begins so."""
    [found] = [one for one in rendered.resources if one.ref.kind == kind and one.ref.name.startswith(name)]
    return found


def flux(name: str, path: str, more: str = "") -> str:
    """A Flux Kustomization that applies a folder."""
    return FLUX.format(name=name, path=path) + more


def web(root: Path) -> Resource:
    """The only Deployment that a folder renders to."""
    return the(render(root), "Deployment")


def fatal(root: Path) -> list[Gap]:
    """What of a folder could not be rendered."""
    return [gap for gap in render(root).gaps if gap.is_fatal]
