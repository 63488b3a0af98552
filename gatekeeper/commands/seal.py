"""`gatekeeper seal`: Secrets in, SealedSecrets out, as kubeseal does it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gatekeeper import documents, files
from gatekeeper.errors import SealError, UsageError
from gatekeeper.hidden import Hidden
from gatekeeper.model import at
from gatekeeper.sealing import editing, keyring, scopes, sealed, values
from gatekeeper.sealing.keyring import Certificate

EXAMPLES = """examples:
  kubectl create secret generic db --dry-run=client --from-file=password -o json | gatekeeper seal --cert keys/prod.pem
  gatekeeper seal --cert keys/prod.pem -f secret.yaml -w sealed.yaml
  gatekeeper seal --cert https://sealed-secrets.example.com/v1/cert.pem -f secret.yaml
  gatekeeper seal --cert keys/prod.pem --scope cluster-wide -f secret.yaml
  gatekeeper seal --cert keys/prod.pem -f new-password.yaml --merge-into sealed.yaml
  printf %s "$PASSWORD" | gatekeeper seal --raw --cert keys/prod.pem -n prod --name db

The values never leave the process: they are read from standard input or a file, and what is written is sealed.
Exit status: 0 sealed, 1 it cannot be sealed, 2 wrong usage.
"""
MOST_BYTES = 16 * 1024 * 1024
MOST_CERTIFICATE = 256 * 1024
SECONDS = 10.0


def seal(arguments: list[str]) -> int:
    """Runs the command."""
    given = parser().parse_args(arguments)
    certificate = keyring.certificate(fetched(given.cert), given.cert)
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
        "--scope", choices=scopes.SCOPES, default="", help="default: what the Secret's annotations say"
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
    options.add_argument("--allow-empty-data", action="store_true", help="seal a Secret without values too")
    return options


def _raw(given: argparse.Namespace, certificate: Certificate) -> str:
    scope = given.scope or "strict"
    if scope == "strict" and not given.name:
        raise UsageError("seal --raw: a strict scope binds the value to a name; give --name, or another --scope")
    if scope != "cluster-wide" and not given.namespace:
        raise UsageError("seal --raw: give --namespace, or --scope cluster-wide")
    mark = scopes.label(scope, given.namespace, given.name)
    return values.seal(Hidden(read(given.from_file)), certificate.key, mark)


def _merge(given: argparse.Namespace, certificate: Certificate) -> None:
    """Seals the values of one Secret into a file, under the name, namespace and scope that the file has."""
    target: Path = given.merge_into
    text = read(target).decode("utf-8", "replace")
    [(held, _), *more] = objects(text.encode(), str(target))
    found = list(objects(read(given.file), str(given.file or "-")))
    if more or len(found) != 1 or held.get("kind") != sealed.KIND:
        raise SealError(f"{target}: --merge-into takes one Secret, and a file with one SealedSecret")
    mark = at(held, ("metadata", "annotations", scopes.SEALED_WITH))
    if isinstance(mark, str) and mark != certificate.fingerprint:
        raise SealError(
            f"{target}: is sealed with another certificate; use that one, or `gatekeeper reseal` the file first"
        )
    secret, place = found[0]
    metadata = secret.get("metadata") or {}
    for field in ("name", "namespace"):
        if metadata.get(field) not in (None, at(held, ("metadata", field))):
            raise SealError(f"{place}: has another {field} than {target}")
    known = sealed.plain(sealed.unseal(held, keyring.load(given.key))) if given.key else {}
    scope = scopes.scope_of(at(held, ("metadata", "annotations")))
    home, name = at(held, ("metadata", "namespace")) or "default", at(held, ("metadata", "name")) or ""
    bound = scopes.label(scope, str(home), str(name))
    new = {key: value for key, value in sealed.plain(secret).items() if known.get(key) != value}
    changes = {key: values.seal(value, certificate.key, bound) for key, value in new.items()}
    files.write(target, editing.with_values(text, changes, str(target)).encode())


def _sealed(value: Any, place: str, given: argparse.Namespace, certificate: Certificate) -> dict[str, Any]:
    try:
        return sealed.seal(value, certificate, given.scope, given.namespace, given.allow_empty_data)
    except SealError as error:
        raise SealError(f"{place}: {error}") from None


def objects(content: bytes, name: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Each object of a file, those of a List too, and where it stands.

    Raises:
        SealError: the file is no YAML or JSON, or holds nothing.
    """
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SealError(f"{name}: is no text (byte {error.start})") from None
    parsed, failure = documents.parse(content)
    if failure is not None:
        raise SealError(f"{name}:{failure[1]}:{failure[2]}: is no YAML or JSON: {failure[0]}")
    found = False
    for document in parsed:
        for key, line, _, first in document.duplicates:
            raise SealError(f"{name}:{line}: `{key}` is written twice, first in line {first}; remove one")
        value = documents.value_of(document)
        listed = value.get("items") if isinstance(value, dict) and value.get("kind") == "List" else [value]
        for item in listed if isinstance(listed, list) else ():
            if isinstance(item, dict):
                found = True
                yield item, f"{name}:{document.start[0]}"
    if not found:
        raise SealError(f"{name}: holds no object")


def written(found: Sequence[dict[str, Any]], form: str) -> str:
    """Objects as one text."""
    if form == "json":
        import orjson

        return "".join(orjson.dumps(one, option=orjson.OPT_INDENT_2).decode() + "\n" for one in found)
    import yaml

    texts = [yaml.safe_dump(one, sort_keys=False, allow_unicode=True, width=1_000_000) for one in found]
    return "---\n".join(texts)


def fetched(source: str) -> bytes:
    """A certificate, from a file or from where the controller shows it (`/v1/cert.pem`).

    Raises:
        SealError: the URL does not answer, or with something too large.
    """
    if not source.startswith(("http://", "https://")):
        return read(Path(source))
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(source, timeout=SECONDS) as answer:
            content: bytes = answer.read(MOST_CERTIFICATE + 1)
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SealError(f"{source}: does not answer with a certificate: {reason}") from None
    if len(content) > MOST_CERTIFICATE:
        raise SealError(f"{source}: answers with more than a certificate")
    return content


def read(path: Path | None) -> bytes:
    """A file, or standard input; as much as a Secret can be."""
    if path is None or str(path) == "-":
        content = sys.stdin.buffer.read(MOST_BYTES + 1)
    else:
        try:
            with path.open("rb") as handle:
                content = handle.read(MOST_BYTES + 1)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > MOST_BYTES:
        raise SealError(f"{path or 'standard input'}: larger than {MOST_BYTES >> 20} MB, so it is no Secret")
    return content


def _write(path: Path | None, text: str) -> None:
    if path is None:
        sys.stdout.write(text)
    else:
        files.write(path, text.encode())
