"""`gatekeeper keys`: the keys of sealed-secrets: new ones, and what certificates a repository holds."""

from __future__ import annotations

import argparse
import datetime
import secrets
import sys
from pathlib import Path

from gatekeeper import files
from gatekeeper.commands.seal import written
from gatekeeper.config import KEYS
from gatekeeper.errors import SealError, UsageError
from gatekeeper.sealing import keyring

EXAMPLES = """examples:
  gatekeeper keys new --certificate keys/prod.pem --private ~/safe/prod-key.yaml
  gatekeeper keys list
  gatekeeper keys list keys/prod.pem

`new` writes the certificate, which belongs into the repository, and the private key as a Secret that the controller
takes once it is applied; it belongs nowhere near the repository. Nothing that exists is written over.
Exit status: 0 done, 1 a certificate has expired or cannot be read, 2 wrong usage.
"""
# The controller makes itself a new key every 30 days; the certificate of an old one still seals.
RENEWAL_DAYS = 30


def keys(arguments: list[str]) -> int:
    """Runs the command."""
    options = argparse.ArgumentParser(
        prog="gatekeeper keys",
        description="Make keys for the sealed-secrets controller, and list certificates.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("action", choices=("new", "list"))
    options.add_argument("paths", nargs="*", type=Path, metavar="FILE", help=f"`list`: default {KEYS}/*.pem, *.crt")
    options.add_argument("--certificate", type=Path, metavar="FILE", help="`new`: where to write the certificate")
    options.add_argument(
        "--private", type=Path, metavar="FILE", help="`new`: where to write the private key, mode 0600"
    )
    options.add_argument("--bits", type=int, default=4096, choices=(2048, 3072, 4096), help="`new`: default 4096")
    options.add_argument(
        "--days", type=int, default=3650, help="`new`: how long the certificate is valid (default 3650)"
    )
    options.add_argument(
        "-n", "--namespace", default="kube-system", help="`new`: the controller's (default kube-system)"
    )
    given = options.parse_args(arguments)
    return _new(given) if given.action == "new" else _list(given.paths)


def _new(given: argparse.Namespace) -> int:
    if given.certificate is None or given.private is None or given.paths:
        raise UsageError("keys new needs --certificate FILE and --private FILE, and nothing else")
    if given.days < 1:
        raise UsageError("--days must be 1 or more")
    for path in (given.certificate, given.private):
        if path.exists():
            raise UsageError(f"{path}: exists, and a key is never written over; choose another name")
    now = datetime.datetime.now(tz=datetime.UTC)
    certificate, private = keyring.new(given.bits, given.days, now)
    name = f"sealed-secrets-key{secrets.token_hex(3)}"
    secret = keyring.key_secret(certificate, private, name, given.namespace)
    files.write(given.private, written([secret], "yaml").encode(), 0o600)
    files.write(given.certificate, certificate)
    known = keyring.certificate(certificate, str(given.certificate))
    sys.stdout.write(f"{given.certificate}: {known.fingerprint}, valid to {known.ends:%Y-%m-%d}\n")
    sys.stdout.write(
        f"{given.private}: the private key; `kubectl apply -f` it, restart the controller, and keep it safe\n"
    )
    return 0


def _list(paths: list[Path]) -> int:
    found = paths or sorted(path for glob in ("*.pem", "*.crt") for path in Path(KEYS).glob(glob))
    if not found:
        raise UsageError(f"no certificate in {KEYS}/; name a FILE")
    now = datetime.datetime.now(tz=datetime.UTC)
    status = 0
    for path in found:
        try:
            one = keyring.certificate(path.read_bytes(), str(path), must_be_valid=False)
        except SealError as error:
            sys.stdout.write(f"{error}\n")
            status = 1
            continue
        words = f"valid to {one.ends:%Y-%m-%d}"
        if now > one.ends:
            words, status = f"expired on {one.ends:%Y-%m-%d}", 1
        elif (now - one.starts).days > RENEWAL_DAYS:
            words += f"; {(now - one.starts).days} days old, the controller has a newer one by default"
        sys.stdout.write(f"{one.fingerprint}  {one.key.key_size} bits  {path}  {words}\n")
    return status
