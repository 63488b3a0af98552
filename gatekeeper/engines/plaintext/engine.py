"""The plaintext engine: no secret is readable in the repository."""

from __future__ import annotations

from gatekeeper.engines.plaintext import secrets
from gatekeeper.engines.protocol import EngineContext, EngineResult, EngineScope

STEP = "searching for plaintext secrets"
SCOPE: EngineScope = "repository"


def evaluate(context: EngineContext) -> EngineResult:
    """Finds plaintext Secrets, and leaked credentials in any file."""
    findings, gaps = secrets.evaluate(context.shard_files, context.parsed_files, context.resources, context.config)
    return EngineResult(findings, gaps)
