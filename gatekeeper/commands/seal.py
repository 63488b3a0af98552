"""`gatekeeper seal`: Secrets in, SealedSecrets out, as kubeseal does it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from gatekeeper.errors import SealError, UsageError
from gatekeeper.host import atomic_file
from gatekeeper.model import get_field
from gatekeeper.sealedsecrets import crypto, in_place_edit, sealedsecret
from gatekeeper.sealedsecrets import scope as sealedsecrets_scope
from gatekeeper.sealedsecrets.keyring import SealingCertificate
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sops import plaintext_history
from gatekeeper.terminal.object_io import format_objects, load_private_keys, parse_objects, read_input
from gatekeeper.terminal.object_io import load_certificate as certificate_of

EXAMPLES = """examples:
  kubectl create secret generic db --dry-run=client --from-file=password -o json | gatekeeper seal --cert keys/prod.pem
  gatekeeper seal --cert keys/prod.pem -f secret.yaml -w sealed.yaml
  gatekeeper seal --cert keys/prod.pem -f secret.yaml -w sealed.yaml --replace
  gatekeeper seal --cert https://sealed-secrets.example.com/v1/cert.pem -f secret.yaml
  gatekeeper seal --cert keys/prod.pem --scope cluster-wide -f secret.yaml
  gatekeeper seal --cert keys/prod.pem -f new-password.yaml --merge-into sealed.yaml
  printf %s "$PASSWORD" | gatekeeper seal --raw --cert keys/prod.pem -n prod --name db

The values never leave the process: they are read from standard input or a file, and what is written is sealed.
Exit status: 0 sealed, 1 it cannot be sealed, 2 wrong usage.
"""


def seal(arguments: list[str]) -> int:
    """Runs the command."""
    given = build_parser().parse_args(arguments)
    if given.replace and (given.file is None or given.to is None):
        raise UsageError("--replace needs the files of -f and -w: the one leaves Git's index, the other enters it")
    certificate = certificate_of(given.cert)
    if given.raw:
        _write_output(given.to, _seal_raw(given, certificate) + "\n")
        return 0
    if given.merge_into:
        _merge_values(given, certificate)
        return 0
    form = given.output or ("yaml" if str(given.to or "").endswith((".yaml", ".yml")) else "json")
    found = [
        _seal_object(value, place, given, certificate)
        for value, place in parse_objects(read_input(given.file), str(given.file or "-"))
    ]
    _write_output(given.to, format_objects(found, form))
    if given.file:
        if given.replace and (note := plaintext_history.replace_in_index(given.file, given.to)):
            sys.stderr.write(f"{note}\n")
        for warning in plaintext_history.find_warnings([given.file]):
            sys.stderr.write(f"warning: {warning}\n")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command's options, those of kubeseal where it has them."""
    options = argparse.ArgumentParser(
        prog="gatekeeper seal",
        description="Seal Secrets for a cluster: only its sealed-secrets controller can open them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--cert", required=True, metavar="FILE|URL", help="the controller's certificate")
    options.add_argument("-f", "--secret-file", dest="file", type=Path, metavar="FILE", help="default: standard input")
    options.add_argument(
        "-w", "--sealed-secret-file", dest="to", type=Path, metavar="FILE", help="default: standard output"
    )
    options.add_argument(
        "-o", "--format", dest="output", choices=("json", "yaml"), help="default: by the file, or json"
    )
    options.add_argument(
        "--scope", choices=sealedsecrets_scope.SCOPES, default="", help="default: what the Secret's annotations say"
    )
    options.add_argument("-n", "--namespace", default="", help="for Secrets that name none (default: default)")
    options.add_argument("--name", default="", help="with --raw: of the Secret that the value is for")
    options.add_argument(
        "--merge-into", type=Path, metavar="FILE", help="put the values into a SealedSecret that is there"
    )
    options.add_argument(
        "--key",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="with --merge-into: leave values that did not change",
    )
    options.add_argument("--raw", action="store_true", help="seal one value, from --from-file or standard input")
    options.add_argument("--from-file", type=Path, metavar="FILE", help="with --raw: where the value is")
    options.add_argument(
        "--replace", action="store_true", help="take the plain file out of Git's index, and put the sealed one in"
    )
    options.add_argument("--allow-empty-data", action="store_true", help="seal a Secret without values too")
    return options


def _seal_raw(args: argparse.Namespace, certificate: SealingCertificate) -> str:
    scope = args.scope or "strict"
    if scope == "strict" and not args.name:
        raise UsageError("seal --raw: a strict scope binds the value to a name; give --name, or another --scope")
    if scope != "cluster-wide" and not args.namespace:
        raise UsageError("seal --raw: give --namespace, or --scope cluster-wide")
    mark = sealedsecrets_scope.build_label(scope, args.namespace, args.name)
    return crypto.seal_value(SecretBytes(read_input(args.from_file)), certificate.public_key, mark)


def _merge_values(args: argparse.Namespace, certificate: SealingCertificate) -> None:
    """Seals the values of one Secret into a file, under the name, namespace and scope that the file has."""
    target: Path = args.merge_into
    text = read_input(target).decode("utf-8", "replace")
    [(held, _), *more] = parse_objects(text.encode(), str(target))
    found = list(parse_objects(read_input(args.file), str(args.file or "-")))
    if more or len(found) != 1 or held.get("kind") != sealedsecret.KIND:
        raise SealError(f"{target}: --merge-into takes one Secret, and a file with one SealedSecret")
    _, sealed_with = sealedsecrets_scope.find_sealed_with(held)
    if sealed_with and sealed_with != certificate.fingerprint:
        raise SealError(
            f"{target}: is sealed with another certificate; use that one, or `gatekeeper reseal` the file first"
        )
    secret, place = found[0]
    metadata = get_field(secret, ("metadata",))
    for field in ("name", "namespace"):
        if get_field(metadata, (field,)) not in (None, get_field(held, ("metadata", field))):
            raise SealError(f"{place}: has another {field} than {target}")
    known = (
        sealedsecret.decode_values(sealedsecret.unseal_secret(held, load_private_keys(args.key))) if args.key else {}
    )
    scope = sealedsecrets_scope.parse_scope(get_field(held, ("metadata", "annotations")))
    home, name = get_field(held, ("metadata", "namespace")) or "default", get_field(held, ("metadata", "name")) or ""
    bound = sealedsecrets_scope.build_label(scope, str(home), str(name))
    new = {key: value for key, value in sealedsecret.decode_values(secret).items() if known.get(key) != value}
    changes = {key: crypto.seal_value(value, certificate.public_key, bound) for key, value in new.items()}
    atomic_file.write(target, in_place_edit.set_values(text, changes, str(target)).encode())


def _seal_object(
    value: Any, location: str, args: argparse.Namespace, certificate: SealingCertificate
) -> dict[str, Any]:
    try:
        return sealedsecret.seal_secret(value, certificate, args.scope, args.namespace, args.allow_empty_data)
    except SealError as error:
        raise SealError(f"{location}: {error}") from None


def _write_output(path: Path | None, text: str) -> None:
    if path is None:
        sys.stdout.write(text)
    else:
        atomic_file.write(path, text.encode())
