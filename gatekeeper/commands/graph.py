"""`gatekeeper graph`: prints the references between objects and whether their targets exist."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gatekeeper import config
from gatekeeper.engines.references import graph as references
from gatekeeper.engines.references.graph import ReferenceEdge
from gatekeeper.errors import UsageError
from gatekeeper.host import json_text
from gatekeeper.model import format_path
from gatekeeper.render import pipeline
from gatekeeper.terminal.options import create_parser
from gatekeeper.workspace import config_loader

SCHEMA_VERSION = "gatekeeper/graph/v1"
GRAPH_FORMATS = ("text", "json", "mermaid")
EXAMPLES = """examples:
  gatekeeper graph
  gatekeeper graph --format mermaid > graph.mmd
  gatekeeper graph --format json | jq '.edges[] | select(.provided | not)'

Exit status: 0 everything was rendered, 3 something could not be rendered.
"""


def graph(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: the path does not exist, or the configuration is invalid.
    """
    parser = create_parser(
        "graph",
        "Print the Secrets, ConfigMaps, stores and sources that objects reference, and whether they exist.",
        EXAMPLES,
    )
    parser.add_argument(
        "path", nargs="?", type=Path, metavar="PATH", help="a repository (default: the one around the current folder)"
    )
    parser.add_argument("--format", choices=GRAPH_FORMATS, default="text")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"use this instead of {config.CONFIG_FILE} in the repository root"
    )
    args = parser.parse_args(arguments)
    start = args.path or Path.cwd()
    if not start.exists():
        raise UsageError(f"{start}: no such file or folder")
    root = config_loader.find_root(start.resolve())
    rendered = pipeline.render_repository(root, config_loader.load(root, args.config))
    edges = references.list_edges(rendered.resources)
    sys.stdout.write({"text": _format_text, "json": _format_json, "mermaid": _format_mermaid}[args.format](edges))
    fatal_gaps = [gap for gap in rendered.gaps if gap.is_fatal]
    for gap in fatal_gaps:
        sys.stderr.write(f"{gap.file}: {gap.reason}\n")
    return 3 if fatal_gaps else 0


def _format_ends(edge: ReferenceEdge) -> tuple[str, str]:
    need = edge.reference
    where = f"{need.namespace}/" if need.namespace else ""
    return str(need.resource.ref), f"{need.kind} {where}{need.name}"


def _format_text(edges: Sequence[ReferenceEdge]) -> str:
    lines: list[str] = []
    before = ""
    for edge in edges:
        source, target = _format_ends(edge)
        if source != before:
            lines.append(source)
            before = source
        key = f" [{edge.reference.key}]" if edge.reference.key else ""
        missing = "" if edge.is_provided else "  (missing in this repository)"
        lines.append(f"  → {target}{key}{missing}")
    return "\n".join([*lines, f"{len(edges)} references"]) + "\n"


def _format_json(edges: Sequence[ReferenceEdge]) -> str:
    entries = []
    for edge in edges:
        need, place = edge.reference, edge.reference.resource.origin.find_location(edge.reference.path)
        entries.append(
            {
                "from": need.resource.ref._asdict(),
                "to": {"kind": need.kind, "namespace": need.namespace, "name": need.name, "key": need.key or None},
                "field": format_path(need.path),
                "file": place.file,
                "line": place.line,
                "provided": edge.is_provided,
            }
        )
    return json_text.format_report({"schema": SCHEMA_VERSION, "edges": entries})


def _format_mermaid(edges: Sequence[ReferenceEdge]) -> str:
    """A flowchart (https://mermaid.js.org/syntax/flowchart.html); missing targets are drawn in red."""
    nodes: dict[str, str] = {}
    missing: set[str] = set()
    lines = ["flowchart LR"]
    links = []
    for edge in edges:
        source, target = (nodes.setdefault(name, f"n{len(nodes)}") for name in _format_ends(edge))
        link = f"  {source} --> {target}"
        if link not in links:
            links.append(link)
        if not edge.is_provided:
            missing.add(target)
    lines += [f'  {node}["{name.replace(chr(34), chr(39))}"]' for name, node in nodes.items()]
    lines += [*links, *(f"  style {node} stroke:#c00,color:#c00" for node in sorted(missing))]
    return "\n".join(lines) + "\n"
