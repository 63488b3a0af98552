"""What engines judge, built from the files of a repository as the gate builds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatekeeper.config import Config
from gatekeeper.engines.protocol import EngineContext
from gatekeeper.engines.rego.bundles import resolver
from gatekeeper.render import pipeline
from gatekeeper.workspace import documents, file_selection


def build_context(root: Path, settings: Config | None = None, **fields: Any) -> EngineContext:
    """The input of the engines for a whole repository."""
    settings = settings or Config()
    tree = file_selection.build_tree([root], root, settings.exclude)
    parsed, _ = documents.parse_tree(tree, 1)
    rendered = pipeline.render_tree(tree, parsed, settings, 1)
    context = EngineContext(
        tree=tree,
        shard_files=tree,
        parsed_files=parsed,
        resource_groups=rendered.resource_groups,
        resources=rendered.resources,
        targets=rendered.resources,
        terraform_targets=(),
        config=settings,
        bundles=resolver.resolve(root, settings.bundles),
    )
    return context._replace(**fields)
