"""`gatekeeper unseal`: SealedSecrets in, Secrets out, with the private keys at hand."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from gatekeeper.errors import SealError
from gatekeeper.sealedsecrets import sealedsecret
from gatekeeper.terminal.object_io import format_objects, load_private_keys, parse_objects, read_input

EXAMPLES = """examples:
  gatekeeper unseal --key backup-of-the-controller.yaml < sealed.yaml
  gatekeeper unseal --key old.pem --key new.pem -f sealed.yaml -o yaml

A key is a private key in PEM, one of the controller's Secrets, or a List of these. The Secret is printed: mind where.
Exit status: 0 opened, 1 it cannot be opened, 2 wrong usage.
"""


def unseal(arguments: list[str]) -> int:
    """Runs the command."""
    options = argparse.ArgumentParser(
        prog="gatekeeper unseal",
        description="Open SealedSecrets with private keys, offline.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--key", action="append", required=True, type=Path, metavar="FILE", help="can be repeated")
    options.add_argument("-f", "--file", type=Path, metavar="FILE", help="default: standard input")
    options.add_argument("-o", "--format", dest="output", choices=("json", "yaml"), default="json")
    given = options.parse_args(arguments)
    keys = load_private_keys(given.key)
    found = []
    for value, place in parse_objects(read_input(given.file), str(given.file or "-")):
        try:
            found.append(sealedsecret.unseal_secret(value, keys))
        except SealError as error:
            raise SealError(f"{place}: {error}") from None
    if sys.stdout.isatty() and "GATEKEEPER_CI" not in os.environ:
        sys.stderr.write("the Secret follows, in base64, on your terminal\n")
    sys.stdout.write(format_objects(found, given.output))
    return 0
