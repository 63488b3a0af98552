"""What rules said of resources in earlier runs: the same rules say the same of the same resource."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from gatekeeper.config import Config
from gatekeeper.host.cache import Cache
from gatekeeper.model import Resource

if TYPE_CHECKING:
    from gatekeeper.engines.rego.evaluation import Draft, Outcome
    from gatekeeper.engines.rego.query_plan import Plan

# A repository has fewer resources; beyond that only those of the last run are kept.
MOST = 200_000


class Memory:
    """What is known of one set of rules, asked by one engine.

    Attributes:
        engine: its name and version; None as long as nothing is known.
    """

    def __init__(self, cache: Cache, chosen: Plan, config: Config) -> None:
        self._cache = cache
        self._rules = chosen.asked
        asked = repr(
            (config.engine, config.policy_timeout, config.builtins, [(q, r.kinds) for q, r in chosen.asked.items()])
        )
        self._key = cache.key([b"rego", chosen.policies.digest.encode(), asked.encode()])
        held = cache.read(self._key)
        known: dict[str, Any] = orjson.loads(held) if held else {}
        self.engine: tuple[str, str] | None = tuple(known["engine"]) if known else None
        self._said: dict[str, list[Any]] = known.get("said", {})
        self._digests: dict[int, str] = {}

    def _digest(self, resource: Resource) -> str:
        """The digest of a resource, made once: the objects of a run live until its end."""
        number = id(resource)
        if number not in self._digests:
            self._digests[number] = self._cache.key([resource.json])
        return self._digests[number]

    def unknown(self, resources: Sequence[Resource]) -> list[int]:
        """The places of the resources that the rules have never been asked of."""
        return [number for number, resource in enumerate(resources) if self._digest(resource) not in self._said]

    def drafts(self, resources: Sequence[Resource]) -> list[Draft]:
        """What the rules said of those that they have been asked of."""
        from gatekeeper.engines.rego.evaluation import Draft

        return [
            Draft(
                number, query, self._rules[query], resource, message, None if path is None else tuple(path), 1, placed
            )
            for number, resource in enumerate(resources)
            for query, message, path, placed in self._said.get(self._digest(resource), ())
        ]

    def learn(self, resources: Sequence[Resource], outcome: Outcome, engine: tuple[str, str]) -> None:
        """Keeps what the rules said of some resources, but of those that could not be judged in full."""
        new: dict[str, list[Any]] = {}
        for number, resource in enumerate(resources):
            if number not in outcome.failed:
                new[self._digest(resource)] = []
        for draft in outcome.drafts:
            if draft.number not in outcome.failed:
                new[self._digest(draft.resource)].append([draft.query, draft.message, draft.path, draft.placed])
        if new:
            old = self._said if len(self._said) + len(new) <= MOST else {}
            self._cache.write(self._key, orjson.dumps({"engine": engine, "said": {**old, **new}}))
