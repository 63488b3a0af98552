"""Caches the results of rules: the same rules on the same resource give the same result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from gatekeeper.config import Config
from gatekeeper.engines.rego.model import QueryPlan
from gatekeeper.engines.rego.results import DraftFinding, EvaluationResult
from gatekeeper.host.cache import Cache
from gatekeeper.model import Resource

# The results of more resources than a repository has; beyond that only those of the last run are kept.
MAX_RESOURCES = 200_000


class ResultCache:
    """The cached results of one set of rules with one engine.

    Attributes:
        engine: name and version of the engine; None if nothing is cached.
    """

    def __init__(self, cache: Cache, plan: QueryPlan, config: Config) -> None:
        self._cache = cache
        self._rules = plan.rules
        rules = [(query, rule.kinds) for query, rule in plan.rules.items()]
        settings = repr((config.engine, config.policy_timeout, config.builtins, rules))
        self._key = cache.derive_key([b"rego", plan.policies.digest.encode(), settings.encode()])
        content = cache.read_entry(self._key)
        entry: dict[str, Any] = orjson.loads(content) if content else {}
        self.engine: tuple[str, str] | None = tuple(entry["engine"]) if entry else None
        # By the digest of a resource: (query, message, field path, precision of the location) for each finding.
        self._results: dict[str, list[Any]] = entry.get("results", {})
        self._digests: dict[int, str] = {}

    def _digest_resource(self, resource: Resource) -> str:
        """Digests each resource once; the objects of a run exist until its end, so that their ids are unique."""
        number = id(resource)
        if number not in self._digests:
            self._digests[number] = self._cache.derive_key([resource.json])
        return self._digests[number]

    def find_unknown(self, resources: Sequence[Resource]) -> list[int]:
        """Finds the numbers of the resources without a cached result."""
        return [
            number for number, resource in enumerate(resources) if self._digest_resource(resource) not in self._results
        ]

    def read_drafts(self, resources: Sequence[Resource]) -> list[DraftFinding]:
        """Reads the cached drafts of resources."""
        return [
            DraftFinding(
                resource_index=number,
                query=query,
                rule=self._rules[query],
                resource=resource,
                message=message,
                field_path=None if path is None else tuple(path),
                message_count=1,
                location_precision=precision,
            )
            for number, resource in enumerate(resources)
            for query, message, path, precision in self._results.get(self._digest_resource(resource), ())
        ]

    def record(self, resources: Sequence[Resource], result: EvaluationResult, engine: tuple[str, str]) -> None:
        """Caches the results of resources, except those that could not be evaluated completely."""
        fresh: dict[str, list[Any]] = {}
        for number, resource in enumerate(resources):
            if number not in result.failed_indexes:
                fresh[self._digest_resource(resource)] = []
        for draft in result.drafts:
            if draft.resource_index not in result.failed_indexes:
                fresh[self._digest_resource(draft.resource)].append(
                    [draft.query, draft.message, draft.field_path, draft.location_precision]
                )
        if fresh:
            known = self._results if len(self._results) + len(fresh) <= MAX_RESOURCES else {}
            self._cache.write_entry(self._key, orjson.dumps({"engine": engine, "results": {**known, **fresh}}))
