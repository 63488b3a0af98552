"""`gatekeeper render`: what the cluster would get, as the gate judges it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from gatekeeper import config
from gatekeeper.errors import UsageError
from gatekeeper.model import Resource, get_field
from gatekeeper.render import pipeline
from gatekeeper.workspace import documents

EXAMPLES = """examples:
  gatekeeper render clusters/production
  gatekeeper render apps/web/kustomization.yaml | kubectl diff -f -

Secret values that stand in the open are not printed. Exit status: 0 all rendered, 3 some could not be.
"""
HIDDEN_VALUE = "(hidden by gatekeeper)"
# kubectl keeps a whole copy of the object there.
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def render(arguments: list[str]) -> int:
    """Runs the command."""
    options = argparse.ArgumentParser(
        prog="gatekeeper render",
        description="Print what kustomize, Helm, Flux and Argo CD make of the files below a path, as YAML.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("path", type=Path, metavar="PATH", help="a folder or file of the repository")
    options.add_argument("--config", type=Path, metavar="FILE", help=f"instead of {config.CONFIG_FILE} in the root")
    given = options.parse_args(arguments)
    if not given.path.exists():
        raise UsageError(f"{given.path}: no such file or folder")
    root = config.find_root(given.path.resolve())
    rendered = pipeline.render_repository(root, config.load(root, given.config))
    below = given.path.resolve().relative_to(root.resolve()).as_posix()
    for where, lot in rendered.resource_groups:
        if _is_within(where, below):
            for resource in lot:
                sys.stdout.write(_format_document(resource))
    lost = [gap for gap in rendered.gaps if gap.is_fatal and _is_within(gap.file, below)]
    for finding in rendered.findings:
        if finding.rule.startswith("render/") and _is_within(finding.location.file, below):
            sys.stderr.write(f"{finding.location.file}: {finding.message}\n")
    for gap in lost:
        sys.stderr.write(f"{gap.file}: {gap.reason}\n")
    return 3 if lost else 0


def _is_within(path: str, below: str) -> bool:
    """Whether a file or folder lies below a path, or is what a kustomization's own file stands for."""
    folder, _, name = below.rpartition("/")
    return (
        below == "."
        or path == below
        or path.startswith(f"{below}/")
        or (name in (*documents.KUSTOMIZATION_NAMES, "Chart.yaml") and path == folder)
    )


def _format_document(resource: Resource) -> str:
    import yaml

    place = resource.origin.find_location(())
    text: str = yaml.safe_dump(hide_secret_values(resource.value), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n# from {place.file}\n{text}"


def hide_secret_values(value: dict[str, Any]) -> dict[str, Any]:
    """The object with the values of a Secret hidden, unless they are ciphertext."""
    if value.get("kind") == "Secret":
        for section in ("data", "stringData"):
            entries = value.get(section)
            if isinstance(entries, dict):
                value[section] = {key: _hide_text(text) for key, text in entries.items()}
            elif entries is not None:
                value[section] = HIDDEN_VALUE
        applied = get_field(value, ("metadata", "annotations"))
        if isinstance(applied, dict) and LAST_APPLIED in applied:
            applied[LAST_APPLIED] = HIDDEN_VALUE
    return value


def _hide_text(text: Any) -> Any:
    return text if isinstance(text, str) and text.startswith("ENC[AES256_GCM,") else HIDDEN_VALUE
