"""`gatekeeper unseal`: decrypts SealedSecrets with local private keys."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gatekeeper.errors import SecretFileError
from gatekeeper.sealedsecrets import sealedsecret
from gatekeeper.terminal.key_io import load_private_keys
from gatekeeper.terminal.object_io import format_objects, parse_objects, read_input
from gatekeeper.terminal.options import create_parser

EXAMPLES = """examples:
  gatekeeper unseal --key backup-of-the-controller.yaml < sealed.yaml
  gatekeeper unseal --key old.pem --key new.pem -f sealed.yaml -o yaml

A key file holds a private key in PEM, a key Secret of the controller, or a List of these. The command prints the
Secret to standard output: take care where that goes.
Exit status: 0 decrypted, 1 cannot be decrypted, 2 wrong usage.
"""


def unseal(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: a file cannot be read.
        SecretFileError: a private key cannot be loaded, or no key decrypts an object.
    """
    parser = create_parser("unseal", "Decrypt SealedSecrets with private keys, offline.", EXAMPLES)
    parser.add_argument(
        "--key", action="append", required=True, type=Path, metavar="FILE", help="a private key; may be repeated"
    )
    parser.add_argument(
        "-f", "--file", type=Path, metavar="FILE", help="SealedSecrets to unseal (default: standard input)"
    )
    parser.add_argument("-o", "--format", dest="output", choices=("json", "yaml"), default="json")
    args = parser.parse_args(arguments)
    keys = load_private_keys(args.key)
    secrets = []
    for value, location in parse_objects(read_input(args.file), str(args.file or "-")):
        try:
            secrets.append(sealedsecret.unseal_secret(value, keys))
        except SecretFileError as error:
            raise SecretFileError(f"{location}: {error}") from None
    if sys.stdout.isatty() and "GATEKEEPER_CI" not in os.environ:
        sys.stderr.write("warning: the values of the Secret follow on this terminal, in base64\n")
    sys.stdout.write(format_objects(secrets, args.output))
    return 0
