"""The references engine: everything that a resource refers to exists."""

from __future__ import annotations

from gatekeeper.engines.protocol import EngineContext, EngineResult, EngineScope
from gatekeeper.engines.references import graph

STEP = "following references"
SCOPE: EngineScope = "repository"


def evaluate(context: EngineContext) -> EngineResult:
    """Finds references to missing, duplicate or unreachable resources, and cycles of `dependsOn`."""
    return EngineResult(graph.evaluate(context.resource_groups, context.tree, context.config.references, context.gaps))
