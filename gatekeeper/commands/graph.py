"""`gatekeeper graph`: what names what, and whether it is there."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from gatekeeper import config
from gatekeeper.engines.references import graph as references
from gatekeeper.engines.references.graph import Edge
from gatekeeper.errors import UsageError
from gatekeeper.host import lockfile, toolchain
from gatekeeper.model import dotted
from gatekeeper.render import pipeline

SCHEMA = "gatekeeper/graph/v1"
FORMATS = ("text", "json", "mermaid")
EXAMPLES = """examples:
  gatekeeper graph
  gatekeeper graph --format mermaid > graph.mmd
  gatekeeper graph --format json | jq '.edges[] | select(.provided | not)'

Exit status: 0 all was rendered, 3 some could not be.
"""


def graph(arguments: list[str]) -> int:
    """Runs the command."""
    options = argparse.ArgumentParser(
        prog="gatekeeper graph",
        description="Print which Secrets, ConfigMaps, stores and sources are named, and whether they are there.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("path", nargs="?", type=Path, metavar="PATH", help="a repository (default: around here)")
    options.add_argument("--format", choices=FORMATS, default="text")
    options.add_argument("--config", type=Path, metavar="FILE", help=f"instead of {config.NAME} in the root")
    given = options.parse_args(arguments)
    start = given.path or Path.cwd()
    if not start.exists():
        raise UsageError(f"{start}: no such file or folder")
    root = config.root_of(start.resolve())
    toolchain.follow(lockfile.load(root))
    rendered = pipeline.of_repository(root, config.load(root, given.config))
    edges = references.edges(rendered.resources)
    sys.stdout.write({"text": _text, "json": _json, "mermaid": _mermaid}[given.format](edges))
    lost = [gap for gap in rendered.gaps if gap.fatal]
    for gap in lost:
        sys.stderr.write(f"{gap.file}: {gap.reason}\n")
    return 3 if lost else 0


def _names(edge: Edge) -> tuple[str, str]:
    need = edge.need
    where = f"{need.namespace}/" if need.namespace else ""
    return str(need.resource.ref), f"{need.kind} {where}{need.name}"


def _text(edges: Sequence[Edge]) -> str:
    lines: list[str] = []
    before = ""
    for edge in edges:
        source, target = _names(edge)
        if source != before:
            lines.append(source)
            before = source
        key = f" [{edge.need.key}]" if edge.need.key else ""
        missing = "" if edge.is_provided else "  (nothing here provides it)"
        lines.append(f"  → {target}{key}{missing}")
    return "\n".join([*lines, f"{len(edges)} references"]) + "\n"


def _json(edges: Sequence[Edge]) -> str:
    entries = []
    for edge in edges:
        need, place = edge.need, edge.need.resource.origin.place(edge.need.path)
        entries.append({
            "from": need.resource.ref._asdict(),
            "to": {"kind": need.kind, "namespace": need.namespace, "name": need.name, "key": need.key or None},
            "field": dotted(need.path), "file": place.file, "line": place.line, "provided": edge.is_provided,
        })  # fmt: skip
    return orjson.dumps({"schema": SCHEMA, "edges": entries}, option=orjson.OPT_INDENT_2).decode() + "\n"


def _mermaid(edges: Sequence[Edge]) -> str:
    """A flowchart (https://mermaid.js.org/syntax/flowchart.html); what nothing provides is drawn in red."""
    nodes: dict[str, str] = {}
    missing: set[str] = set()
    lines = ["flowchart LR"]
    links = []
    for edge in edges:
        source, target = (nodes.setdefault(name, f"n{len(nodes)}") for name in _names(edge))
        link = f"  {source} --> {target}"
        if link not in links:
            links.append(link)
        if not edge.is_provided:
            missing.add(target)
    lines += [f'  {node}["{name.replace(chr(34), chr(39))}"]' for name, node in nodes.items()]
    lines += [*links, *(f"  style {node} stroke:#c00,color:#c00" for node in sorted(missing))]
    return "\n".join(lines) + "\n"
