"""What rules said of resources in earlier runs: the same rules say the same of the same resource."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from gatekeeper.config import Config
from gatekeeper.host.cache import Cache
from gatekeeper.model import Resource

if TYPE_CHECKING:
    from gatekeeper.engines.rego.evaluation import DraftFinding, EvaluationResult
    from gatekeeper.engines.rego.query_plan import QueryPlan

# A repository has fewer resources; beyond that only those of the last run are kept.
MAX_RESOURCES = 200_000


class ResultCache:
    """What is known of one set of rules, asked by one engine.

    Attributes:
        engine: its name and version; None as long as nothing is known.
    """

    def __init__(self, cache: Cache, plan: QueryPlan, config: Config) -> None:
        self._cache = cache
        self._rules = plan.rules
        asked = repr(
            (config.engine, config.policy_timeout, config.builtins, [(q, r.kinds) for q, r in plan.rules.items()])
        )
        self._key = cache.derive_key([b"rego", plan.policies.digest.encode(), asked.encode()])
        held = cache.read_entry(self._key)
        known: dict[str, Any] = orjson.loads(held) if held else {}
        self.engine: tuple[str, str] | None = tuple(known["engine"]) if known else None
        self._results: dict[str, list[Any]] = known.get("said", {})
        self._digests: dict[int, str] = {}

    def _digest_resource(self, resource: Resource) -> str:
        """The digest of a resource, made once: the objects of a run live until its end."""
        number = id(resource)
        if number not in self._digests:
            self._digests[number] = self._cache.derive_key([resource.json])
        return self._digests[number]

    def find_unknown(self, resources: Sequence[Resource]) -> list[int]:
        """The places of the resources that the rules have never been asked of."""
        return [
            number for number, resource in enumerate(resources) if self._digest_resource(resource) not in self._results
        ]

    def read_drafts(self, resources: Sequence[Resource]) -> list[DraftFinding]:
        """What the rules said of those that they have been asked of."""
        from gatekeeper.engines.rego.evaluation import DraftFinding

        return [
            DraftFinding(
                number, query, self._rules[query], resource, message, None if path is None else tuple(path), 1, placed
            )
            for number, resource in enumerate(resources)
            for query, message, path, placed in self._results.get(self._digest_resource(resource), ())
        ]

    def record(self, resources: Sequence[Resource], result: EvaluationResult, engine: tuple[str, str]) -> None:
        """Keeps what the rules said of some resources, but of those that could not be judged in full."""
        new: dict[str, list[Any]] = {}
        for number, resource in enumerate(resources):
            if number not in result.failed_indexes:
                new[self._digest_resource(resource)] = []
        for draft in result.drafts:
            if draft.resource_index not in result.failed_indexes:
                new[self._digest_resource(draft.resource)].append(
                    [draft.query, draft.message, draft.field_path, draft.location_precision]
                )
        if new:
            old = self._results if len(self._results) + len(new) <= MAX_RESOURCES else {}
            self._cache.write_entry(self._key, orjson.dumps({"engine": engine, "said": {**old, **new}}))
