"""`gatekeeper seal`: encrypts Secrets into SealedSecrets, as kubeseal does."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from gatekeeper.errors import SecretFileError, UsageError
from gatekeeper.host import atomic_file
from gatekeeper.model import get_field
from gatekeeper.sealedsecrets import crypto, in_place_edit, sealedsecret
from gatekeeper.sealedsecrets import scope as sealedsecrets_scope
from gatekeeper.sealedsecrets.keyring import SealingCertificate
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sops import plaintext_history
from gatekeeper.terminal.key_io import load_certificate, load_private_keys
from gatekeeper.terminal.object_io import format_objects, parse_objects, read_input
from gatekeeper.terminal.options import create_parser

EXAMPLES = """examples:
  kubectl create secret generic db --dry-run=client --from-file=password -o json | gatekeeper seal --cert keys/prod.pem
  gatekeeper seal --cert keys/prod.pem -f secret.yaml -w sealed.yaml
  gatekeeper seal --cert keys/prod.pem -f secret.yaml -w sealed.yaml --replace
  gatekeeper seal --cert https://sealed-secrets.example.com/v1/cert.pem -f secret.yaml
  gatekeeper seal --cert keys/prod.pem --scope cluster-wide -f secret.yaml
  gatekeeper seal --cert keys/prod.pem -f new-password.yaml --merge-into sealed.yaml
  printf %s "$PASSWORD" | gatekeeper seal --raw --cert keys/prod.pem -n prod --name db

The plaintext never leaves the process: the command reads it from standard input or a file and writes only ciphertext.
Exit status: 0 sealed, 1 cannot be sealed, 2 wrong usage.
"""


def seal(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: options conflict, or a file cannot be read.
        SecretFileError: the certificate is invalid, or an object cannot be sealed.
    """
    args = build_parser().parse_args(arguments)
    if args.replace and (args.file is None or args.to is None):
        raise UsageError("--replace needs -f and -w: it removes the first file from Git's index and adds the second")
    certificate = load_certificate(args.cert)
    if args.raw:
        _write_output(args.to, _seal_raw(args, certificate) + "\n")
        return 0
    if args.merge_into:
        _merge_values(args, certificate)
        return 0
    # As with kubeseal, the ending of the file decides before `-o`.
    output_format = "yaml" if str(args.to or "").endswith((".yaml", ".yml")) else args.output or "json"
    sealed = [
        _seal_object(value, location, args, certificate)
        for value, location in parse_objects(read_input(args.file), str(args.file or "-"))
    ]
    _write_output(args.to, format_objects(sealed, output_format))
    if args.file:
        if args.replace and (note := plaintext_history.replace_in_index(args.file, args.to)):
            sys.stderr.write(f"{note}\n")
        for warning in plaintext_history.find_warnings([args.file]):
            sys.stderr.write(f"warning: {warning}\n")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser; the options are those of kubeseal where kubeseal has them."""
    parser = create_parser(
        "seal", "Seal Secrets for a cluster: only its sealed-secrets controller can decrypt them.", EXAMPLES
    )
    parser.add_argument("--cert", required=True, metavar="FILE|URL", help="the controller's certificate")
    parser.add_argument(
        "-f", "--secret-file", dest="file", type=Path, metavar="FILE", help="Secrets to seal (default: standard input)"
    )
    parser.add_argument(
        "-w",
        "--sealed-secret-file",
        dest="to",
        type=Path,
        metavar="FILE",
        help="file for the SealedSecrets (default: standard output)",
    )
    parser.add_argument(
        "-o",
        "--format",
        dest="output",
        choices=("json", "yaml"),
        help="format of the output (default: json; always yaml for a file named *.yaml or *.yml)",
    )
    parser.add_argument(
        "--scope",
        choices=sealedsecrets_scope.SCOPES,
        default="",
        help="default, and for strict: from the annotations of the Secret",
    )
    parser.add_argument("-n", "--namespace", default="", help="for Secrets without a namespace (default: default)")
    parser.add_argument("--name", default="", help="replaces the name of the Secret; with --raw: its name")
    parser.add_argument(
        "--merge-into", type=Path, metavar="FILE", help="add the values to an existing SealedSecret file"
    )
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="with --merge-into: private key, to keep unchanged values as they are",
    )
    parser.add_argument("--raw", action="store_true", help="seal one value from --from-file or standard input")
    parser.add_argument("--from-file", type=Path, metavar="FILE", help="with --raw: file with the value")
    parser.add_argument(
        "--replace", action="store_true", help="remove the plaintext file from Git's index and add the sealed file"
    )
    parser.add_argument("--allow-empty-data", action="store_true", help="accept a Secret without values")
    return parser


def _seal_raw(args: argparse.Namespace, certificate: SealingCertificate) -> str:
    scope = args.scope or "strict"
    if scope == "strict" and not args.name:
        raise UsageError(
            "seal --raw: the strict scope binds the value to a name: add --name, or choose another --scope"
        )
    if scope != "cluster-wide" and not args.namespace:
        raise UsageError("seal --raw: add --namespace, or --scope cluster-wide")
    mark = sealedsecrets_scope.build_label(scope, args.namespace, args.name)
    return crypto.seal_value(SecretBytes(read_input(args.from_file)), certificate.public_key, mark)


def _merge_values(args: argparse.Namespace, certificate: SealingCertificate) -> None:
    """Seals the values of one Secret into an existing file, with its name, namespace and scope."""
    target: Path = args.merge_into
    text = read_input(target).decode("utf-8", "replace")
    [(sealed, _), *more] = parse_objects(text.encode(), str(target))
    inputs = list(parse_objects(read_input(args.file), str(args.file or "-")))
    if more or len(inputs) != 1 or sealed.get("kind") != sealedsecret.KIND:
        raise SecretFileError(
            f"{target}: --merge-into needs exactly one Secret as input and a file with exactly one SealedSecret"
        )
    _, sealed_with = sealedsecrets_scope.find_sealed_with(sealed)
    if sealed_with and sealed_with != certificate.fingerprint:
        raise SecretFileError(
            f"{target}: is sealed with another certificate; use that one, or run `gatekeeper reseal` on the file first"
        )
    secret, location = inputs[0]
    metadata = get_field(secret, ("metadata",))
    for field in ("name", "namespace"):
        if get_field(metadata, (field,)) not in (None, get_field(sealed, ("metadata", field))):
            raise SecretFileError(f"{location}: {field} differs from that of {target}")
    known = (
        sealedsecret.decode_values(sealedsecret.unseal_secret(sealed, load_private_keys(args.key))) if args.key else {}
    )
    scope = sealedsecrets_scope.parse_scope(get_field(sealed, ("metadata", "annotations")))
    home, name = (
        get_field(sealed, ("metadata", "namespace")) or "default",
        get_field(sealed, ("metadata", "name")) or "",
    )
    bound = sealedsecrets_scope.build_label(scope, str(home), str(name))
    new = {key: value for key, value in sealedsecret.decode_values(secret).items() if known.get(key) != value}
    changes = {key: crypto.seal_value(value, certificate.public_key, bound) for key, value in new.items()}
    atomic_file.write(target, in_place_edit.set_values(text, changes, str(target)).encode())


def _seal_object(
    value: Any, location: str, args: argparse.Namespace, certificate: SealingCertificate
) -> dict[str, Any]:
    try:
        return sealedsecret.seal_secret(
            value, certificate, args.scope, args.namespace, args.allow_empty_data, override_name=args.name
        )
    except SecretFileError as error:
        raise SecretFileError(f"{location}: {error}") from None


def _write_output(path: Path | None, text: str) -> None:
    if path is None:
        sys.stdout.write(text)
    else:
        atomic_file.write(path, text.encode())
