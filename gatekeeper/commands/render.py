"""`gatekeeper render`: prints the objects that the cluster would get, as the gate checks them."""

from __future__ import annotations

import sys
from pathlib import Path

from gatekeeper import config
from gatekeeper.errors import UsageError
from gatekeeper.model import Resource
from gatekeeper.render import pipeline
from gatekeeper.terminal.options import create_parser
from gatekeeper.terminal.redaction import hide_secret_values
from gatekeeper.terminal.yaml_output import dump_yaml
from gatekeeper.workspace import config_loader, documents

EXAMPLES = """examples:
  gatekeeper render clusters/production
  gatekeeper render apps/web/kustomization.yaml | kubectl diff -f -

Plaintext values of Secrets are hidden. Exit status: 0 everything was rendered, 3 something could not be rendered.
"""
LINE_WIDTH = 120


def render(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: the path does not exist, or the configuration is invalid.
    """
    parser = create_parser(
        "render", "Print what kustomize, Helm, Flux and Argo CD render from the files below a path, as YAML.", EXAMPLES
    )
    parser.add_argument("path", type=Path, metavar="PATH", help="a folder or file of the repository")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"use this instead of {config.CONFIG_FILE} in the repository root"
    )
    args = parser.parse_args(arguments)
    if not args.path.exists():
        raise UsageError(f"{args.path}: no such file or folder")
    root = config_loader.find_root(args.path.resolve())
    rendered = pipeline.render_repository(root, config_loader.load(root, args.config))
    below = args.path.resolve().relative_to(root.resolve()).as_posix()
    for where, resources in rendered.resource_groups:
        if _is_within(where, below):
            for resource in resources:
                sys.stdout.write(_format_document(resource))
    fatal_gaps = [gap for gap in rendered.gaps if gap.is_fatal and _is_within(gap.file, below)]
    for finding in rendered.findings:
        if finding.rule.startswith("render/") and _is_within(finding.location.file, below):
            sys.stderr.write(f"{finding.location.file}: {finding.message}\n")
    for gap in fatal_gaps:
        sys.stderr.write(f"{gap.file}: {gap.reason}\n")
    return 3 if fatal_gaps else 0


def _is_within(path: str, below: str) -> bool:
    """Whether a file or folder is below a path, or is the folder of the kustomization or chart at that path."""
    folder, _, name = below.rpartition("/")
    return (
        below == "."
        or path == below
        or path.startswith(f"{below}/")
        or (name in (*documents.KUSTOMIZATION_NAMES, "Chart.yaml") and path == folder)
    )


def _format_document(resource: Resource) -> str:
    place = resource.origin.find_location(())
    return f"---\n# from {place.file}\n{dump_yaml(hide_secret_values(resource.value), LINE_WIDTH)}"
