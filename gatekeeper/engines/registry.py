"""All policy engines, in the order of their results, and how they run together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from gatekeeper.engines.admission import engine as admission
from gatekeeper.engines.encrypted import decryption_check
from gatekeeper.engines.encrypted import engine as encrypted
from gatekeeper.engines.plaintext import engine as plaintext
from gatekeeper.engines.protocol import Engine, EngineContext, EngineResult
from gatekeeper.engines.references import engine as references
from gatekeeper.engines.rego import engine as rego
from gatekeeper.engines.schema import engine as schema
from gatekeeper.engines.schema import json_schema_policies
from gatekeeper.engines.secret_access import engine as secret_access
from gatekeeper.host.background import BackgroundCall

ENGINES: dict[str, Engine] = {
    "schema": schema,
    "rego": rego,
    "admission": admission,
    "json-schema": json_schema_policies,
    "references": references,
    "plaintext": plaintext,
    "encrypted": encrypted,
    "secret-access": secret_access,
    "decryption": decryption_check,
}


def sort_by_end(engines: Iterable[Engine]) -> list[Engine]:
    """The engines in the order in which they end: the schema engine is the last."""
    return sorted(engines, key=lambda engine: engine is schema)


def evaluate_engines(
    engines: Iterable[Engine], context: EngineContext, on_step: Callable[[str], None]
) -> list[tuple[Engine, EngineResult]]:
    """The result of each engine, in their order.

    The schema engine mostly waits for the Go program, so the others run meanwhile.

    Args:
        on_step: receives the step of each engine that is waited for.

    Raises:
        UsageError: the config names something that does not exist.
    """
    engines = list(engines)
    running = BackgroundCall(partial(schema.evaluate, context)) if schema in engines else None
    results: dict[str, EngineResult] = {}
    try:
        for engine in engines:
            if engine is not schema:
                on_step(engine.STEP)
                results[engine.STEP] = engine.evaluate(context)
    except Exception:
        # An error of the schema engine comes first, as if the engines ran one after the other.
        if running is not None:
            running.wait_for_result()
        raise
    if running is not None:
        on_step(schema.STEP)
        results[schema.STEP] = running.wait_for_result()
    return [(engine, results[engine.STEP]) for engine in engines]
