"""`gatekeeper keys`: the keys of sealed-secrets: new ones, old ones, and what certificates a repository holds."""

from __future__ import annotations

import argparse
import datetime
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gatekeeper.config import CERTIFICATE_FOLDER
from gatekeeper.errors import SealError, UsageError
from gatekeeper.host import atomic_file
from gatekeeper.sealedsecrets import keyring
from gatekeeper.sealedsecrets.keyring import SealingCertificate
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sops import sops_cli
from gatekeeper.terminal.object_io import format_objects, read_decrypted

EXAMPLES = """examples:
  gatekeeper keys new --certificate keys/prod.pem --private ~/safe/prod-key.yaml
  gatekeeper keys new --certificate keys/prod.pem --private prod-key.yaml --age age1qy…
  gatekeeper keys new --certificate keys/prod.pem --kubeconfig ~/.kube/config
  gatekeeper keys list                               the certificates in keys/, and when they end
  gatekeeper keys show ~/safe/prod-key.yaml          one in full; of a private key the public part
  gatekeeper keys rotate --certificate keys/prod.pem --private ~/safe/prod-key-2.yaml
  gatekeeper keys export --kubeconfig ~/.kube/config --private backup.yaml --age age1qy…

`new` writes the certificate, which belongs into the repository, and the private key as a Secret that the controller
takes once it is applied; it belongs nowhere near the repository. With --age it is a SOPS file for these recipients.
`rotate` does the same once a certificate is older than 30 days, and keeps the old one beside it. No private key is
ever written over, and nobody else can read its file.
Exit status: 0 done, 1 a certificate has expired or cannot be read, 2 wrong usage, 3 the cluster does not answer.
"""
ACTIONS = ("new", "list", "show", "rotate", "export")
# The controller makes itself a new key every 30 days; the certificate of an old one still seals.
RENEWAL_DAYS = 30
# So long before its end a certificate is told of.
WARNING_DAYS = 30


def keys(arguments: list[str]) -> int:
    """Runs the command."""
    given = _build_parser().parse_args(arguments)
    if given.days < 1:
        raise UsageError("--days must be 1 or more")
    if given.age and not given.private:
        raise UsageError("--age encrypts the file of --private; give that too")
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "new": _create_key,
        "list": _list_certificates,
        "show": _show_certificates,
        "rotate": _rotate_key,
        "export": _export_keys,
    }
    return actions[given.action](given)


def _build_parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="gatekeeper keys",
        description="Make, renew, export and list the keys of the sealed-secrets controller.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("action", choices=ACTIONS)
    options.add_argument(
        "paths", nargs="*", type=Path, metavar="FILE", help=f"to list or show (default {CERTIFICATE_FOLDER}/*.pem)"
    )
    options.add_argument("--certificate", type=Path, metavar="FILE", help="where the certificate is, or is written")
    options.add_argument("--private", type=Path, metavar="FILE", help="where to write private keys, mode 0600")
    options.add_argument("--age", action="append", default=[], metavar="RECIPIENT", help="encrypt that file for it")
    options.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="put the key into a cluster, take keys from it"
    )
    options.add_argument("--context", default="", help="of the kubeconfig (default: its current one)")
    options.add_argument("--bits", type=int, default=4096, choices=(2048, 3072, 4096), help="default 4096")
    options.add_argument("--days", type=int, default=3650, help="how long a new certificate is valid (default 3650)")
    options.add_argument(
        "--older-than",
        type=int,
        default=RENEWAL_DAYS,
        metavar="DAYS",
        help="`rotate`: else it stays (default 30)",
    )
    options.add_argument("-n", "--namespace", default="kube-system", help="the controller's (default kube-system)")
    return options


def _create_key(args: argparse.Namespace) -> int:
    _require_paths(args)
    if args.certificate.exists():
        raise UsageError(f"{args.certificate}: exists; choose another name, or `gatekeeper keys rotate` it")
    _write_key_pair(args)
    return 0


def _require_paths(args: argparse.Namespace) -> None:
    if args.certificate is None or args.paths or (args.private is None and args.kubeconfig is None):
        raise UsageError(f"keys {args.action} needs --certificate FILE, and --private FILE or --kubeconfig FILE")


def _write_key_pair(args: argparse.Namespace) -> None:
    """A new key: its private part is safe before its certificate is there to seal with."""
    # Where the certificate cannot be written, no key shall be left without it.
    args.certificate.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(tz=datetime.UTC)
    certificate, private = keyring.create_key_pair(args.bits, args.days, now)
    secret = keyring.build_key_secret(certificate, private, f"sealed-secrets-key{secrets.token_hex(3)}", args.namespace)
    said = ""
    if args.private:
        _write_private_keys(args, [secret])
        said = f"{args.private}: the private key; `kubectl apply -f` it, and keep it safe\n"
        if args.age:
            said = f"{args.private}: the private key; `gatekeeper sops decrypt` it for `kubectl apply -f -`\n"
    if args.kubeconfig:
        from gatekeeper.cluster import client, sealing_keys

        with client.open_client(args.kubeconfig, args.context) as cluster:
            sealing_keys.create_key_secret(cluster, secret)
        said += f"{args.namespace}/{secret['metadata']['name']}: in the cluster; restart the controller to use it\n"
    atomic_file.write(args.certificate, certificate)
    known = keyring.parse_certificate(certificate, str(args.certificate))
    sys.stdout.write(f"{args.certificate}: {known.fingerprint}, valid to {known.not_after:%Y-%m-%d}\n{said}")


def _write_private_keys(args: argparse.Namespace, key_secrets: list[dict[str, Any]]) -> None:
    if args.private.exists():
        raise UsageError(f"{args.private}: exists, and a key is never written over; choose another name")
    content = format_objects(key_secrets, "yaml").encode()
    if args.age:
        if args.private.suffix not in (".yaml", ".yml"):
            raise UsageError(f"{args.private}: is written as SOPS with --age; give it the ending .yaml")
        chosen = ("--age", ",".join(args.age), "--encrypted-regex", "^data$")
        # Recipients are named here: no `.sops.yaml` that happens to lie above has a say.
        where = sops_cli.SopsTarget(args.private.absolute(), None, chosen)
        content = sops_cli.encrypt(SecretBytes(content), where)
    atomic_file.write(args.private, content, 0o600)


def _rotate_key(args: argparse.Namespace) -> int:
    _require_paths(args)
    before = args.certificate.read_bytes()
    old = keyring.parse_certificate(before, str(args.certificate), must_be_valid=False)
    age = (datetime.datetime.now(tz=datetime.UTC) - old.not_before).days
    if age < args.older_than:
        sys.stdout.write(f"{args.certificate}: is {age} days old, and stays; it is renewed after {args.older_than}\n")
        return 0
    kept = args.certificate.with_name(f"{args.certificate.stem}-{old.not_before:%Y-%m-%d}{args.certificate.suffix}")
    if kept.exists() and kept.read_bytes() != before:
        raise UsageError(f"{kept}: exists, and is another certificate; move it away first")
    atomic_file.write(kept, before)
    _write_key_pair(args)
    sys.stdout.write(
        f"{kept}: the old certificate, so that what is sealed with it is known; now "
        f"`gatekeeper reseal --key OLD-KEY --cert {args.certificate} .`\n"
    )
    return 0


def _export_keys(args: argparse.Namespace) -> int:
    if args.kubeconfig is None or args.private is None or args.paths:
        raise UsageError("keys export needs --kubeconfig FILE and --private FILE")
    found = [_strip_cluster_fields(one) for one in _list_cluster_keys(args)]
    if not found:
        raise SealError(f"namespace {args.namespace} holds no key of the controller; name another with --namespace")
    _write_private_keys(args, found)
    pem, newest = max(_read_certificates(found), key=lambda pair: pair[1].not_before)
    sys.stdout.write(f"{args.private}: {len(found)} private keys; keep them safe\n")
    if args.certificate:
        atomic_file.write(args.certificate, pem)
        sys.stdout.write(f"{args.certificate}: the newest certificate, {newest.fingerprint}\n")
    return 0


def _list_cluster_keys(args: argparse.Namespace) -> list[dict[str, Any]]:
    from gatekeeper.cluster import client, sealing_keys

    with client.open_client(args.kubeconfig, args.context) as cluster:
        return sealing_keys.list_key_secrets(cluster, args.namespace)


def _strip_cluster_fields(secret: dict[str, Any]) -> dict[str, Any]:
    """A key Secret without what only its cluster knows; when it was made tells which one is newest."""
    own = {"name", "namespace", "labels", "creationTimestamp"}
    metadata = {key: str(value) if key == "creationTimestamp" else value for key, value in secret["metadata"].items()}
    return {**secret, "metadata": {key: value for key, value in metadata.items() if key in own}}


def _read_certificates(key_secrets: list[dict[str, Any]]) -> Iterator[tuple[bytes, SealingCertificate]]:
    import base64

    for secret in key_secrets:
        pem = base64.b64decode(secret["data"]["tls.crt"])
        yield pem, keyring.parse_certificate(pem, secret["metadata"]["name"], must_be_valid=False)


def _list_certificates(args: argparse.Namespace) -> int:
    status = 0
    for _, one, line in _load_certificates(args):
        status = status or int(one is None or _is_expired(one))
        sys.stdout.write(f"{line}\n")
    return status


def _show_certificates(args: argparse.Namespace) -> int:
    status = 0
    for name, one, line in _load_certificates(args):
        if one is None:
            sys.stdout.write(f"{line}\n")
            status = 1
            continue
        sys.stdout.write(
            f"{name}\n  fingerprint  {one.fingerprint}\n  key          RSA, {one.public_key.key_size} bits\n"
            f"  made         {one.not_before:%Y-%m-%d}, {_describe_validity(one)}\n"
        )
        status = status or int(_is_expired(one))
    return status


def _load_certificates(args: argparse.Namespace) -> Iterator[tuple[str, SealingCertificate | None, str]]:
    """Each certificate that is asked for: its name, itself if it can be read, and a line on it."""
    if args.kubeconfig:
        found = _list_cluster_keys(args)
        contents = [(f"{args.namespace}", format_objects(found, "yaml").encode())] if found else []
        nothing = f"namespace {args.namespace} holds no key of the controller; name another with --namespace"
    else:
        paths = args.paths or sorted(
            path for glob in ("*.pem", "*.crt") for path in Path(CERTIFICATE_FOLDER).glob(glob)
        )
        contents = [(str(path), read_decrypted(path)) for path in paths]
        nothing = f"no certificate in {CERTIFICATE_FOLDER}/; name a FILE"
    if not contents:
        raise UsageError(nothing)
    for name, content in contents:
        try:
            certificates = list(keyring.parse_certificates(content, name))
        except SealError as error:
            yield name, None, str(error)
            continue
        if not certificates:
            yield name, None, f"{name}: holds no certificate"
        for where, one in certificates:
            yield where, one, f"{one.fingerprint}  {one.public_key.key_size} bits  {where}  {_describe_validity(one)}"


def _is_expired(certificate: SealingCertificate) -> bool:
    return datetime.datetime.now(tz=datetime.UTC) > certificate.not_after


def _describe_validity(certificate: SealingCertificate) -> str:
    """What there is to say of a certificate's age."""
    now = datetime.datetime.now(tz=datetime.UTC)
    if now > certificate.not_after:
        return f"expired on {certificate.not_after:%Y-%m-%d}"
    words = f"valid to {certificate.not_after:%Y-%m-%d}"
    if (certificate.not_after - now).days < WARNING_DAYS:
        return f"{words}: it ends in {(certificate.not_after - now).days} days, `gatekeeper keys rotate` it"
    if (now - certificate.not_before).days > RENEWAL_DAYS:
        return f"{words}; {(now - certificate.not_before).days} days old, the controller has a newer one by default"
    return words
