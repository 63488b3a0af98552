"""What `gatekeeper sync` tells: what was done, where a value comes from, what a plan reads and costs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatekeeper.errors import UsageError
from gatekeeper.externalsecrets import explanation
from gatekeeper.externalsecrets.collection import Found
from gatekeeper.externalsecrets.decision import Decision
from gatekeeper.externalsecrets.fetch_plan import Fetched, Plan
from gatekeeper.model import at

DIGEST = 12
# How many one request reads, and what one costs in dollars (https://aws.amazon.com/secrets-manager/pricing/).
AWS = {"SecretsManager": (20, 0.05 / 10_000), "ParameterStore": (10, 0.0)}


def decision(one: Decision, is_done: bool) -> int:
    """Tells what was decided, or done."""
    target = f"{one.wanted.namespace}/{one.wanted.target.name}"
    words: dict[str, str] = {"create": "created", "change": "changed", "delete": "deleted"} if is_done else {}
    word = {"failed": "FAILED", "wait": "waits", **words}.get(one.action, one.action)
    reason = f": {one.reason}" if one.reason else ""
    sys.stdout.write(f"{word:<9} {target}{reason}\n")
    if one.secret is not None and not is_done:
        for key, digest in _digests(one.secret):
            sys.stdout.write(f"            {key}  {digest}\n")
    return 1 if one.action in ("failed", "wait") or one.reason.startswith("not all") else 0


def explain(name: str, decisions: list[Decision], fetched: Fetched) -> int:
    """Tells of one ExternalSecret, by its name or `namespace/name`."""
    chosen = [one for one in decisions if name in (one.wanted.name, f"{one.wanted.namespace}/{one.wanted.name}")]
    if not chosen:
        raise UsageError(f"--explain {name}: there is no such ExternalSecret, or it cannot be read")
    for one in chosen:
        for line in explanation.steps(one.wanted, fetched):
            sys.stdout.write(f"{line}\n")
        sys.stdout.write(f"  => {one.action}{f': {one.reason}' if one.reason else ''}\n")
    return max(1 if one.action in ("failed", "wait") else 0 for one in chosen)


def sealed(one: Decision, source: str, folder: Path) -> int:
    """Writes a Secret as a SealedSecret: it is never plain on the disk."""
    from gatekeeper.externalsecrets import secret_builder
    from gatekeeper.host import atomic_file
    from gatekeeper.sealedsecrets import sealedsecret
    from gatekeeper.terminal.object_io import certificate, written

    target = folder / f"{one.wanted.namespace}-{one.wanted.target.name}.yaml"
    if one.secret is None:
        return decision(one, False)
    # The hash of the values has no place in Git, where anybody could try values on it.
    plain = secret_builder.unmarked(one.secret)
    value = sealedsecret.seal(plain, certificate(source), "", one.wanted.namespace, True)
    folder.mkdir(parents=True, exist_ok=True)
    atomic_file.write(target, written([value], "yaml").encode())
    sys.stdout.write(f"sealed    {target}{f': {one.reason}' if one.reason else ''}\n")
    return 1 if one.reason.startswith("not all") else 0


_salt = os.urandom(32)


def _digests(secret: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each key with a digest that tells the same value from another in this run, and nothing to anybody later."""
    return [
        (key, hmac.new(_salt, base64.b64decode(text), hashlib.sha256).hexdigest()[:DIGEST])
        for key, text in secret["data"].items()
    ]


def plan(plan: Plan, found: Found) -> float:
    """What a plan reads, store by store; and what AWS takes for that, in dollars a month."""
    sys.stdout.write(f"{len(found.wanted)} ExternalSecrets\n")
    dollars = 0.0
    for key, part in plan.items():
        reads = len(part.wishes) + len(part.queries)
        sys.stdout.write(f"{key}: {reads} reads for {part.references} references\n")
        service = at(found.stores.get(key), ("spec", "provider", "aws", "service"))
        if service in AWS:
            at_once, price = AWS[service]
            monthly = part.monthly(at_once)
            dollars += monthly * price
            sys.stdout.write(f"            about {monthly:,.0f} requests a month, {monthly * price:.2f} $\n")
        for wish in part.wishes:
            sys.stdout.write(f"            {wish}\n")
        for query in part.queries:
            marks = f" with {', '.join(f'{tag}={text}' for tag, text in query.tags.items())}" if query.tags else ""
            sys.stdout.write(f"            all below `{query.path or '/'}` that match `{query.name}`{marks}\n")
    return dollars
