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
from gatekeeper.externalsecrets.collection import DesiredSecrets
from gatekeeper.externalsecrets.decision import Decision
from gatekeeper.externalsecrets.fetch_plan import FetchPlan, FetchResult
from gatekeeper.model import get_field

DIGEST_LENGTH = 12
# How many one request reads, and what one costs in dollars (https://aws.amazon.com/secrets-manager/pricing/).
AWS_PRICING = {"SecretsManager": (20, 0.05 / 10_000), "ParameterStore": (10, 0.0)}


def print_decision(decision: Decision, is_done: bool) -> int:
    """Tells what was decided, or done."""
    target = f"{decision.spec.namespace}/{decision.spec.target.name}"
    words: dict[str, str] = {"create": "created", "change": "changed", "delete": "deleted"} if is_done else {}
    word = {"failed": "FAILED", "wait": "waits", **words}.get(decision.action, decision.action)
    reason = f": {decision.reason}" if decision.reason else ""
    sys.stdout.write(f"{word:<9} {target}{reason}\n")
    if decision.secret is not None and not is_done:
        for key, digest in _digest_values(decision.secret):
            sys.stdout.write(f"            {key}  {digest}\n")
    return 1 if decision.action in ("failed", "wait") or decision.is_partial else 0


def print_explanation(name: str, decisions: list[Decision], fetched: FetchResult) -> int:
    """Tells of one ExternalSecret, by its name or `namespace/name`."""
    chosen = [one for one in decisions if name in (one.spec.name, f"{one.spec.namespace}/{one.spec.name}")]
    if not chosen:
        raise UsageError(f"--explain {name}: there is no such ExternalSecret, or it cannot be read")
    for one in chosen:
        for line in explanation.explain_steps(one.spec, fetched):
            sys.stdout.write(f"{line}\n")
        sys.stdout.write(f"  => {one.action}{f': {one.reason}' if one.reason else ''}\n")
    return max(1 if one.action in ("failed", "wait") else 0 for one in chosen)


def write_sealed_secret(decision: Decision, source: str, folder: Path) -> int:
    """Writes a Secret as a SealedSecret: it is never plain on the disk."""
    from gatekeeper.externalsecrets import secret_builder
    from gatekeeper.host import atomic_file
    from gatekeeper.sealedsecrets import sealedsecret
    from gatekeeper.terminal.object_io import format_objects, load_certificate

    target = folder / f"{decision.spec.namespace}-{decision.spec.target.name}.yaml"
    if decision.secret is None:
        return print_decision(decision, False)
    # The hash of the values has no place in Git, where anybody could try values on it.
    plain = secret_builder.strip_marks(decision.secret)
    value = sealedsecret.seal_secret(plain, load_certificate(source), "", decision.spec.namespace, True)
    folder.mkdir(parents=True, exist_ok=True)
    atomic_file.write(target, format_objects([value], "yaml").encode())
    sys.stdout.write(f"sealed    {target}{f': {decision.reason}' if decision.reason else ''}\n")
    return 1 if decision.is_partial else 0


_DIGEST_SALT = os.urandom(32)


def _digest_values(secret: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each key with a digest that tells the same value from another in this run, and nothing to anybody later."""
    return [
        (key, hmac.new(_DIGEST_SALT, base64.b64decode(text), hashlib.sha256).hexdigest()[:DIGEST_LENGTH])
        for key, text in secret["data"].items()
    ]


def print_plan(plan: FetchPlan, collected: DesiredSecrets) -> float:
    """What a plan reads, store by store; and what AWS takes for that, in dollars a month."""
    sys.stdout.write(f"{len(collected.specs)} ExternalSecrets\n")
    dollars = 0.0
    for key, part in plan.items():
        reads = len(part.refs) + len(part.queries)
        sys.stdout.write(f"{key}: {reads} reads for {part.reference_count} references\n")
        service = get_field(collected.stores.get(key), ("spec", "provider", "aws", "service"))
        if service in AWS_PRICING:
            at_once, price = AWS_PRICING[service]
            monthly = part.estimate_monthly_requests(at_once)
            dollars += monthly * price
            sys.stdout.write(f"            about {monthly:,.0f} requests a month, {monthly * price:.2f} $\n")
        for wish in part.refs:
            sys.stdout.write(f"            {wish}\n")
        for query in part.queries:
            marks = f" with {', '.join(f'{tag}={text}' for tag, text in query.tags.items())}" if query.tags else ""
            sys.stdout.write(f"            all below `{query.path or '/'}` that match `{query.name}`{marks}\n")
    return dollars
