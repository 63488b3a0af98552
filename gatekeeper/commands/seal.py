"""`gatekeeper seal`: Secrets in, SealedSecrets out, as kubeseal does it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from gatekeeper.errors import SealError, UsageError
from gatekeeper.host import atomic_file
from gatekeeper.model import at
from gatekeeper.sealedsecrets import crypto, in_place_edit, sealedsecret
from gatekeeper.sealedsecrets import scope as sealedsecrets_scope
from gatekeeper.sealedsecrets.keyring import Certificate
from gatekeeper.secret_value import Hidden
from gatekeeper.sops import plaintext_history
from gatekeeper.terminal.object_io import certificate as certificate_of
from gatekeeper.terminal.object_io import objects, read, ring, written

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
    given = parser().parse_args(arguments)
    if given.replace and (given.file is None or given.to is None):
        raise UsageError("--replace needs the files of -f and -w: the one leaves Git's index, the other enters it")
    certificate = certificate_of(given.cert)
    if given.raw:
        _write(given.to, _raw(given, certificate) + "\n")
        return 0
    if given.merge_into:
        _merge(given, certificate)
        return 0
    form = given.output or ("yaml" if str(given.to or "").endswith((".yaml", ".yml")) else "json")
    found = [
        _sealed(value, place, given, certificate) for value, place in objects(read(given.file), str(given.file or "-"))
    ]
    _write(given.to, written(found, form))
    if given.file:
        if given.replace:
            plaintext_history.replace(given.file, given.to)
        plaintext_history.warn([given.file])
    return 0


def parser() -> argparse.ArgumentParser:
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


def _raw(given: argparse.Namespace, certificate: Certificate) -> str:
    scope = given.scope or "strict"
    if scope == "strict" and not given.name:
        raise UsageError("seal --raw: a strict scope binds the value to a name; give --name, or another --scope")
    if scope != "cluster-wide" and not given.namespace:
        raise UsageError("seal --raw: give --namespace, or --scope cluster-wide")
    mark = sealedsecrets_scope.label(scope, given.namespace, given.name)
    return crypto.seal(Hidden(read(given.from_file)), certificate.key, mark)


def _merge(given: argparse.Namespace, certificate: Certificate) -> None:
    """Seals the values of one Secret into a file, under the name, namespace and scope that the file has."""
    target: Path = given.merge_into
    text = read(target).decode("utf-8", "replace")
    [(held, _), *more] = objects(text.encode(), str(target))
    found = list(objects(read(given.file), str(given.file or "-")))
    if more or len(found) != 1 or held.get("kind") != sealedsecret.KIND:
        raise SealError(f"{target}: --merge-into takes one Secret, and a file with one SealedSecret")
    mark = at(held, ("metadata", "annotations", sealedsecrets_scope.SEALED_WITH))
    if isinstance(mark, str) and mark != certificate.fingerprint:
        raise SealError(
            f"{target}: is sealed with another certificate; use that one, or `gatekeeper reseal` the file first"
        )
    secret, place = found[0]
    metadata = at(secret, ("metadata",))
    for field in ("name", "namespace"):
        if at(metadata, (field,)) not in (None, at(held, ("metadata", field))):
            raise SealError(f"{place}: has another {field} than {target}")
    known = sealedsecret.plain(sealedsecret.unseal(held, ring(given.key))) if given.key else {}
    scope = sealedsecrets_scope.scope_of(at(held, ("metadata", "annotations")))
    home, name = at(held, ("metadata", "namespace")) or "default", at(held, ("metadata", "name")) or ""
    bound = sealedsecrets_scope.label(scope, str(home), str(name))
    new = {key: value for key, value in sealedsecret.plain(secret).items() if known.get(key) != value}
    changes = {key: crypto.seal(value, certificate.key, bound) for key, value in new.items()}
    atomic_file.write(target, in_place_edit.with_values(text, changes, str(target)).encode())


def _sealed(value: Any, place: str, given: argparse.Namespace, certificate: Certificate) -> dict[str, Any]:
    try:
        return sealedsecret.seal(value, certificate, given.scope, given.namespace, given.allow_empty_data)
    except SealError as error:
        raise SealError(f"{place}: {error}") from None


def _write(path: Path | None, text: str) -> None:
    if path is None:
        sys.stdout.write(text)
    else:
        atomic_file.write(path, text.encode())
