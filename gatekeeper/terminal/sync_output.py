"""The output of `gatekeeper sync`: decisions, the sources of values, and the reads and price of a plan."""

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
from gatekeeper.externalsecrets.target import secret_builder
from gatekeeper.host import atomic_file
from gatekeeper.model import get_field
from gatekeeper.sealedsecrets import sealedsecret
from gatekeeper.terminal.key_io import load_certificate
from gatekeeper.terminal.object_io import format_objects

DIGEST_LENGTH = 12
# By service: secrets read by one request, and the price of a request in US dollars (https://aws.amazon.com/secrets-manager/pricing/).
AWS_PRICING = {"SecretsManager": (20, 0.05 / 10_000), "ParameterStore": (10, 0.0)}


def print_decision(decision: Decision, is_done: bool) -> int:
    """Prints a decision, or with `is_done` its result; returns the exit status, 1 if it failed, waits or is partial."""
    target = f"{decision.spec.namespace}/{decision.spec.target.name}"
    past_tense: dict[str, str] = {"create": "created", "change": "changed", "delete": "deleted"} if is_done else {}
    word = {"failed": "FAILED", "wait": "waits", **past_tense}.get(decision.action, decision.action)
    reason = f": {decision.reason}" if decision.reason else ""
    sys.stdout.write(f"{word:<9} {target}{reason}\n")
    if decision.secret is not None and not is_done:
        for key, digest in _digest_values(decision.secret):
            sys.stdout.write(f"            {key}  {digest}\n")
    return 1 if decision.action in ("failed", "wait") or decision.is_partial else 0


def print_explanation(name: str, decisions: list[Decision], fetched: FetchResult) -> int:
    """Prints the source of each value of an ExternalSecret, given by its name or `namespace/name`.

    Raises:
        UsageError: there is no such ExternalSecret.
    """
    chosen = [
        decision
        for decision in decisions
        if name in (decision.spec.name, f"{decision.spec.namespace}/{decision.spec.name}")
    ]
    if not chosen:
        raise UsageError(f"--explain {name}: no such ExternalSecret, or it is invalid; use NAME or NAMESPACE/NAME")
    for decision in chosen:
        for line in explanation.explain_steps(decision.spec, fetched):
            sys.stdout.write(f"{line}\n")
        sys.stdout.write(f"  => {decision.action}{f': {decision.reason}' if decision.reason else ''}\n")
    return max(1 if decision.action in ("failed", "wait") else 0 for decision in chosen)


def write_sealed_secret(decision: Decision, source: str, folder: Path) -> int:
    """Writes a Secret as a SealedSecret, never in plain text, into a folder; returns the exit status.

    Raises:
        SecretFileError: the certificate cannot be loaded, or the Secret cannot be sealed.
    """
    target = folder / f"{decision.spec.namespace}-{decision.spec.target.name}.yaml"
    if decision.secret is None:
        return print_decision(decision, False)
    # The hash of the values must not get into Git, where others could test guesses of the values on it.
    plain = secret_builder.strip_marks(decision.secret)
    value = sealedsecret.seal_secret(plain, load_certificate(source), "", decision.spec.namespace, True)
    folder.mkdir(parents=True, exist_ok=True)
    atomic_file.write(target, format_objects([value], "yaml").encode())
    sys.stdout.write(f"sealed    {target}{f': {decision.reason}' if decision.reason else ''}\n")
    return 1 if decision.is_partial else 0


_DIGEST_SALT = os.urandom(32)


def _digest_values(secret: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each key with a digest that identifies equal values within this run; its salt is lost after the run."""
    return [
        (key, hmac.new(_DIGEST_SALT, base64.b64decode(text), hashlib.sha256).hexdigest()[:DIGEST_LENGTH])
        for key, text in secret["data"].items()
    ]


def print_plan(plan: FetchPlan, collected: DesiredSecrets) -> float:
    """Prints the reads of a plan by store; returns the price at AWS, in US dollars per month."""
    sys.stdout.write(f"{len(collected.specs)} ExternalSecrets\n")
    dollars = 0.0
    for key, part in plan.items():
        reads = len(part.refs) + len(part.queries)
        sys.stdout.write(f"{key}: {reads} reads for {part.reference_count} references\n")
        service = get_field(collected.stores.get(key), ("spec", "provider", "aws", "service"))
        if service in AWS_PRICING:
            reads_per_request, price = AWS_PRICING[service]
            monthly = part.estimate_monthly_requests(reads_per_request)
            dollars += monthly * price
            sys.stdout.write(f"            about {monthly:,.0f} requests per month, ${monthly * price:.2f}\n")
        for ref in part.refs:
            sys.stdout.write(f"            {ref}\n")
        for query in part.queries:
            tags = f" with {', '.join(f'{tag}={value}' for tag, value in query.tags.items())}" if query.tags else ""
            sys.stdout.write(f"            all secrets below `{query.path or '/'}` that match `{query.name}`{tags}\n")
    return dollars
