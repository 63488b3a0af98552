"""The secret access engine: ExternalSecrets read only what `secrets.allow` in the config lets them read."""

from __future__ import annotations

from gatekeeper.engines.protocol import EngineContext, EngineResult, EngineScope
from gatekeeper.engines.secret_access import allow_rules

STEP = "checking access to secret stores"
SCOPE: EngineScope = "repository"


def evaluate(context: EngineContext) -> EngineResult:
    """Checks each ExternalSecret against the rules of the config; without rules, everything is allowed."""
    return EngineResult(list(allow_rules.evaluate(context.resources, context.config.secrets_allow)))
