"""The secret access engine: ExternalSecrets read only what `secrets.allow` in the config lets them read."""

from __future__ import annotations

from gatekeeper.engines.protocol import EngineContext, EngineResult, EngineScope

STEP = "checking access to secret stores"
SCOPE: EngineScope = "repository"


def evaluate(context: EngineContext) -> EngineResult:
    """Checks each ExternalSecret against the rules of the config; without rules, everything is allowed."""
    if not context.config.secrets_allow:
        return EngineResult([])
    # Most repositories have no such rules, and the commit hook has no time for the modules of ExternalSecrets.
    from gatekeeper.engines.secret_access import allow_rules

    return EngineResult(list(allow_rules.evaluate(context.resources, context.config.secrets_allow)))
