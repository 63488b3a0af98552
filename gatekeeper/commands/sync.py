"""`gatekeeper sync`: what ExternalSecrets of a repository ask for, read from its stores and written into a cluster."""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatekeeper import wishes
from gatekeeper.errors import GateError, UsageError
from gatekeeper.external import explaining, planning, syncing
from gatekeeper.external.model import Wanted
from gatekeeper.external.planning import Fetched, Plan, StoreKey
from gatekeeper.external.syncing import Decision
from gatekeeper.fields import Fields
from gatekeeper.hidden import Hidden
from gatekeeper.model import at
from gatekeeper.stores import every as stores
from gatekeeper.stores.directory import Directory
from gatekeeper.stores.reading import Store, StoreError
from gatekeeper.wishes import Found

if TYPE_CHECKING:
    from lightkube import Client

EXAMPLES = """examples:
  gatekeeper sync --plan clusters/prod
  gatekeeper sync --plan --budget 20 clusters/prod       in CI, before a change costs more
  gatekeeper sync --dry-run --directory vault-backend=dev-secrets .
  gatekeeper sync --dry-run --kubeconfig ~/.kube/config clusters/prod
  gatekeeper sync --explain prod/db --kubeconfig ~/.kube/config clusters/prod
  gatekeeper sync --once --seal keys/prod.pem --to clusters/prod/secrets clusters/prod
  gatekeeper sync --once --kubeconfig ~/.kube/config clusters/prod

`--plan` tells what would be read, and reads nothing. `--dry-run` reads, and shows keys with digests that are good for
this one run only. `--once` writes the Secrets into the cluster. Stores are signed in to with the credentials that they
name, from the cluster; without a cluster as you (VAULT_TOKEN). No value is ever printed.
Exit status: 0 all is as it shall be, 1 something failed or waits, 2 wrong usage, 3 the cluster does not answer.
"""
MANAGER = "externalsecrets.external-secrets.io/"
DIGEST = 12
# So many requests to the cluster at a time.
AT_ONCE = 16
# How many one request reads, and what one costs in dollars (https://aws.amazon.com/secrets-manager/pricing/).
AWS = {"SecretsManager": (20, 0.05 / 10_000), "ParameterStore": (10, 0.0)}


def sync(arguments: list[str]) -> int:
    """Runs the command."""
    given = _parser().parse_args(arguments)
    if given.once and not given.kubeconfig and not given.seal:
        raise UsageError("sync --once writes into a cluster, or sealed files: give --kubeconfig, or --seal and --to")
    if bool(given.seal) != bool(given.to) or (given.seal and not given.once):
        raise UsageError("sync --once --seal CERT --to DIR go together")
    folders = dict(map(_directory, given.directory))
    found = wishes.found(given.path, given.namespace)
    plan = planning.plan(found.wanted)
    for line in found.refused:
        sys.stdout.write(f"FAILED    {line}\n")
    if given.plan:
        dollars = _tell(plan, found)
        if given.budget is not None and dollars > given.budget:
            sys.stdout.write(f"refused: {dollars:.2f} $ a month are more than the budget of {given.budget:.2f} $\n")
            return 1
        return 1 if found.refused else 0
    from gatekeeper.cluster import client

    with client.opened(given.kubeconfig, given.context) if given.kubeconfig else nullcontext() as cluster:
        fetched = planning.fetch(plan, partial(_opened, found.stores, folders, cluster))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            decisions = list(pool.map(lambda wanted: _decided(wanted, fetched, cluster), found.wanted))
            if given.once and cluster is not None and not given.seal:
                decisions = list(pool.map(partial(_written, cluster), decisions))
        if given.explain:
            return _explain(given.explain, decisions, fetched)
        if given.seal:
            status = max([_sealed(one, given.seal, given.to) for one in decisions], default=0)
        else:
            status = max([_told(one, given.once) for one in decisions], default=0)
    for key, calls in sorted(fetched.calls.items()):
        sys.stdout.write(f"{key}: {calls} requests for {plan[key].references} references\n")
    return max(status, 1 if found.refused else 0)


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="gatekeeper sync",
        description="Read what ExternalSecrets ask for, each secret once, and write the Secrets into a cluster.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("path", nargs="?", type=Path, default=Path(), metavar="PATH", help="default: this folder")
    how = options.add_mutually_exclusive_group(required=True)
    how.add_argument("--plan", action="store_true", help="tell what would be read")
    how.add_argument("--dry-run", action="store_true", help="read, and tell what would be written")
    how.add_argument(
        "--explain", metavar="NAME", help="read, and tell where each value of one ExternalSecret comes from"
    )
    how.add_argument("--once", action="store_true", help="read and write, once")
    options.add_argument(
        "--budget", type=float, metavar="DOLLARS", help="with --plan: refuse what costs more a month at AWS"
    )
    options.add_argument("--kubeconfig", type=Path, metavar="FILE", help="of the cluster")
    options.add_argument("--context", default="", help="of the kubeconfig (default: its current one)")
    options.add_argument(
        "--directory", action="append", default=[], metavar="STORE=DIR", help="take a folder for this store instead"
    )
    options.add_argument("--seal", metavar="CERT", help="with --once: write SealedSecrets for this certificate instead")
    options.add_argument("--to", type=Path, metavar="DIR", help="with --seal: where")
    options.add_argument("-n", "--namespace", default="default", help="where an object names none")
    return options


def _directory(text: str) -> tuple[str, Path]:
    name, is_split, folder = text.partition("=")
    if not is_split or not name or not folder:
        raise UsageError(f"--directory {text}: write STORE=DIR")
    return name, Path(folder)


def _opened(known: Mapping[StoreKey, Any], folders: Mapping[str, Path], cluster: Client | None, key: StoreKey) -> Store:
    if key.name in folders:
        return Directory(folders[key.name])
    if key not in known:
        raise StoreError("is not in the repository")
    return stores.opened(known[key], _credentials(key, cluster), cluster is None)


def _credentials(key: StoreKey, cluster: Client | None) -> Callable[[Fields], Hidden]:
    """What gives the values that a store signs in with."""
    from gatekeeper.cluster import secrets

    def value(fields: Fields) -> Hidden:
        name, field = fields.text("name"), fields.text("key", "token")
        space = fields.text("namespace", "") or key.namespace
        fields.end()
        if not space:
            raise StoreError(f"names no namespace for the Secret {name} that it signs in with")
        found = secrets.value(cluster, space, name, field) if cluster is not None else None
        if found is None:
            raise StoreError(f"signs in with `{field}` of the Secret {space}/{name}, which is not there")
        return found

    return value


def _decided(wanted: Wanted, fetched: Fetched, cluster: Client | None) -> Decision:
    from gatekeeper.cluster import secrets

    def text_of(kind: str, name: str, key: str) -> str:
        found = secrets.text(cluster, kind, wanted.namespace, name, key) if cluster is not None else None
        if found is None:
            raise StoreError(f"the template in {kind} {name}, `{key}`, is not there")
        return found

    existing = secrets.secret(cluster, wanted.namespace, wanted.target.name) if cluster is not None else None
    return syncing.decide(wanted, fetched, existing, text_of)


def _written(cluster: Client, one: Decision) -> Decision:
    """Does what was decided."""
    from gatekeeper.cluster import secrets

    try:
        if one.secret is not None:
            secrets.write(cluster, one.secret, MANAGER + one.wanted.name, one.action == "create")
        elif one.action == "delete":
            secrets.delete(cluster, one.wanted.namespace, one.wanted.target.name)
    except GateError as error:
        return Decision(one.wanted, "failed", str(error))
    return one


def _told(one: Decision, is_done: bool) -> int:
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


def _explain(name: str, decisions: list[Decision], fetched: Fetched) -> int:
    """Tells of one ExternalSecret, by its name or `namespace/name`."""
    chosen = [one for one in decisions if name in (one.wanted.name, f"{one.wanted.namespace}/{one.wanted.name}")]
    if not chosen:
        raise UsageError(f"--explain {name}: there is no such ExternalSecret, or it cannot be read")
    for one in chosen:
        for line in explaining.steps(one.wanted, fetched):
            sys.stdout.write(f"{line}\n")
        sys.stdout.write(f"  => {one.action}{f': {one.reason}' if one.reason else ''}\n")
    return max(1 if one.action in ("failed", "wait") else 0 for one in chosen)


def _sealed(one: Decision, source: str, folder: Path) -> int:
    """Writes a Secret as a SealedSecret: it is never plain on the disk."""
    from gatekeeper import files
    from gatekeeper.commands.reading import certificate, written
    from gatekeeper.external import building
    from gatekeeper.sealing import sealed

    target = folder / f"{one.wanted.namespace}-{one.wanted.target.name}.yaml"
    if one.secret is None:
        return _told(one, False)
    # The hash of the values has no place in Git, where anybody could try values on it.
    plain = building.unmarked(one.secret)
    value = sealed.seal(plain, certificate(source), "", one.wanted.namespace, True)
    folder.mkdir(parents=True, exist_ok=True)
    files.write(target, written([value], "yaml").encode())
    sys.stdout.write(f"sealed    {target}{f': {one.reason}' if one.reason else ''}\n")
    return 1 if one.reason.startswith("not all") else 0


_salt = os.urandom(32)


def _digests(secret: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each key with a digest that tells the same value from another in this run, and nothing to anybody later."""
    return [
        (key, hmac.new(_salt, base64.b64decode(text), hashlib.sha256).hexdigest()[:DIGEST])
        for key, text in secret["data"].items()
    ]


def _tell(plan: Plan, found: Found) -> float:
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
