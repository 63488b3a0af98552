"""`gatekeeper keys`: creates, rotates, exports and lists sealing keys and certificates."""

from __future__ import annotations

import argparse
import base64
import datetime
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gatekeeper.config import CERTIFICATE_FOLDER
from gatekeeper.errors import SecretFileError, UsageError
from gatekeeper.host import atomic_file
from gatekeeper.sealedsecrets import keyring
from gatekeeper.sealedsecrets.keyring import SealingCertificate
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sops import sops_cli
from gatekeeper.terminal.key_io import read_decrypted
from gatekeeper.terminal.object_io import format_objects
from gatekeeper.terminal.options import create_parser

EXAMPLES = """examples:
  gatekeeper keys new --certificate keys/prod.pem --private ~/safe/prod-key.yaml
  gatekeeper keys new --certificate keys/prod.pem --private prod-key.yaml --age age1qy…
  gatekeeper keys new --certificate keys/prod.pem --kubeconfig ~/.kube/config
  gatekeeper keys list                               the certificates in keys/ and their expiry
  gatekeeper keys show ~/safe/prod-key.yaml          details of one; of a private key, the public part
  gatekeeper keys rotate --certificate keys/prod.pem --private ~/safe/prod-key-2.yaml
  gatekeeper keys export --kubeconfig ~/.kube/config --private backup.yaml --age age1qy…

`new` writes a certificate, which you commit, and the private key as a Secret for the controller, which you must not
commit. With --age the Secret is encrypted as a SOPS file for these recipients. `rotate` creates a new pair when the
certificate is older than 30 days and keeps the old certificate in the same folder. The command never overwrites a
private key; only the current user can read the file.
Exit status: 0 done, 1 a certificate is expired or unreadable, 2 wrong usage, 3 the cluster does not respond.
"""
ACTIONS = ("new", "list", "show", "rotate", "export")
# The controller creates a new key every 30 days; older certificates still work for sealing.
RENEWAL_DAYS = 30
# A certificate that expires within this period is reported.
WARNING_DAYS = 30


def keys(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: options conflict, or a file already exists.
        SecretFileError: a file contains no certificate or key.
        ToolError: the cluster does not respond.
    """
    args = _build_parser().parse_args(arguments)
    if args.days < 1:
        raise UsageError("--days must be 1 or more")
    if args.age and not args.private:
        raise UsageError("--age encrypts the file of --private; add --private FILE")
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "new": _create_key,
        "list": _list_certificates,
        "show": _show_certificates,
        "rotate": _rotate_key,
        "export": _export_keys,
    }
    return actions[args.action](args)


def _build_parser() -> argparse.ArgumentParser:
    parser = create_parser(
        "keys", "Create, rotate, export and list the keys of the sealed-secrets controller.", EXAMPLES
    )
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="FILE", help=f"to list or show (default {CERTIFICATE_FOLDER}/*.pem)"
    )
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="file of the certificate, read or written")
    parser.add_argument("--private", type=Path, metavar="FILE", help="file for private keys, written with mode 0600")
    parser.add_argument(
        "--age",
        action="append",
        default=[],
        metavar="RECIPIENT",
        help="encrypt the file of --private for this age recipient",
    )
    parser.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="cluster that receives the new key, or whose keys are listed"
    )
    parser.add_argument("--context", default="", help="context of the kubeconfig (default: the current one)")
    parser.add_argument("--bits", type=int, default=4096, choices=(2048, 3072, 4096), help="default 4096")
    parser.add_argument("--days", type=int, default=3650, help="validity of a new certificate in days (default 3650)")
    parser.add_argument(
        "--older-than",
        type=int,
        default=RENEWAL_DAYS,
        metavar="DAYS",
        help="`rotate`: minimum age of the certificate (default 30)",
    )
    parser.add_argument(
        "-n", "--namespace", default="kube-system", help="namespace of the controller (default kube-system)"
    )
    return parser


def _create_key(args: argparse.Namespace) -> int:
    _require_paths(args)
    if args.certificate.exists():
        raise UsageError(f"{args.certificate}: already exists; choose another name, or run `gatekeeper keys rotate`")
    _write_key_pair(args)
    return 0


def _require_paths(args: argparse.Namespace) -> None:
    if args.certificate is None or args.paths or (args.private is None and args.kubeconfig is None):
        raise UsageError(f"keys {args.action} needs --certificate FILE, and --private FILE or --kubeconfig FILE")


def _write_key_pair(args: argparse.Namespace) -> None:
    """Creates a key pair: the private key is stored before the certificate, so that each certificate has one."""
    # If the certificate cannot be written, no private key is created.
    args.certificate.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(tz=datetime.UTC)
    certificate, private = keyring.create_key_pair(args.bits, args.days, now)
    secret = keyring.build_key_secret(certificate, private, f"sealed-secrets-key{secrets.token_hex(3)}", args.namespace)
    message = ""
    if args.private:
        _write_private_keys(args, [secret])
        message = f"{args.private}: the private key; apply it with `kubectl apply -f`, and keep it safe\n"
        if args.age:
            message = (
                f"{args.private}: the private key; apply it with `gatekeeper sops decrypt FILE | kubectl apply -f -`\n"
            )
    if args.kubeconfig:
        # Only --kubeconfig needs the Kubernetes client, which loads slowly.
        from gatekeeper.cluster import client
        from gatekeeper.cluster import secrets as cluster_secrets

        with client.connect(args.kubeconfig, args.context) as cluster:
            cluster.create(cluster_secrets.SECRETS, secret)
        message += (
            f"{args.namespace}/{secret['metadata']['name']}: created in the cluster; restart the controller to use it\n"
        )
    atomic_file.write(args.certificate, certificate)
    known = keyring.parse_certificate(certificate, str(args.certificate))
    sys.stdout.write(f"{args.certificate}: {known.fingerprint}, valid to {known.not_after:%Y-%m-%d}\n{message}")


def _write_private_keys(args: argparse.Namespace, key_secrets: list[dict[str, Any]]) -> None:
    if args.private.exists():
        raise UsageError(f"{args.private}: already exists; private keys are never overwritten: choose another name")
    content = format_objects(key_secrets, "yaml").encode()
    if args.age:
        if args.private.suffix not in (".yaml", ".yml"):
            raise UsageError(f"{args.private}: with --age this becomes a SOPS file: use the extension .yaml")
        chosen = ("--age", ",".join(args.age), "--encrypted-regex", "^data$")
        # The recipients are explicit: a `.sops.yaml` in a parent folder must not change them.
        where = sops_cli.SopsTarget(args.private.absolute(), None, chosen)
        content = sops_cli.encrypt(SecretBytes(content), where)
    atomic_file.write(args.private, content, 0o600)


def _rotate_key(args: argparse.Namespace) -> int:
    _require_paths(args)
    before = args.certificate.read_bytes()
    old = keyring.parse_certificate(before, str(args.certificate), must_be_valid=False)
    age = (datetime.datetime.now(tz=datetime.UTC) - old.not_before).days
    if age < args.older_than:
        sys.stdout.write(f"{args.certificate}: is {age} days old; no rotation needed before {args.older_than} days\n")
        return 0
    kept = args.certificate.with_name(f"{args.certificate.stem}-{old.not_before:%Y-%m-%d}{args.certificate.suffix}")
    if kept.exists() and kept.read_bytes() != before:
        raise UsageError(f"{kept}: already exists with another certificate; move it first")
    atomic_file.write(kept, before)
    _write_key_pair(args)
    sys.stdout.write(
        f"{kept}: the old certificate, kept to identify what it sealed; next run "
        f"`gatekeeper reseal --key OLD-KEY --cert {args.certificate} .`\n"
    )
    return 0


def _export_keys(args: argparse.Namespace) -> int:
    if args.kubeconfig is None or args.private is None or args.paths:
        raise UsageError("keys export needs --kubeconfig FILE and --private FILE")
    key_secrets = [_strip_cluster_fields(secret) for secret in _list_cluster_keys(args)]
    if not key_secrets:
        raise SecretFileError(
            f"namespace {args.namespace} contains no key of the controller; choose another one with --namespace"
        )
    _write_private_keys(args, key_secrets)
    pem, newest = max(_read_certificates(key_secrets), key=lambda pair: pair[1].not_before)
    sys.stdout.write(f"{args.private}: {len(key_secrets)} private keys; keep this file safe\n")
    if args.certificate:
        atomic_file.write(args.certificate, pem)
        sys.stdout.write(f"{args.certificate}: the newest certificate, {newest.fingerprint}\n")
    return 0


def _list_cluster_keys(args: argparse.Namespace) -> list[dict[str, Any]]:
    # As above.
    from gatekeeper.cluster import client
    from gatekeeper.cluster import secrets as cluster_secrets

    with client.connect(args.kubeconfig, args.context) as cluster:
        selector = f"{keyring.KEY_LABEL}=active"
        return list(cluster_secrets.list_secrets(cluster, args.namespace, selector).values())


def _strip_cluster_fields(secret: dict[str, Any]) -> dict[str, Any]:
    """A key Secret without the fields of its cluster; the creation time stays, because it shows which key is newest."""
    own = {"name", "namespace", "labels", "creationTimestamp"}
    metadata = {key: str(value) if key == "creationTimestamp" else value for key, value in secret["metadata"].items()}
    return {**secret, "metadata": {key: value for key, value in metadata.items() if key in own}}


def _read_certificates(key_secrets: list[dict[str, Any]]) -> Iterator[tuple[bytes, SealingCertificate]]:
    for secret in key_secrets:
        pem = base64.b64decode(secret["data"]["tls.crt"])
        yield pem, keyring.parse_certificate(pem, secret["metadata"]["name"], must_be_valid=False)


def _list_certificates(args: argparse.Namespace) -> int:
    status = 0
    for _, certificate, line in _load_certificates(args):
        status = status or int(certificate is None or _is_expired(certificate))
        sys.stdout.write(f"{line}\n")
    return status


def _show_certificates(args: argparse.Namespace) -> int:
    status = 0
    for name, certificate, line in _load_certificates(args):
        if certificate is None:
            sys.stdout.write(f"{line}\n")
            status = 1
            continue
        sys.stdout.write(
            f"{name}\n  fingerprint  {certificate.fingerprint}\n"
            f"  key          RSA, {certificate.public_key.key_size} bits\n"
            f"  created      {certificate.not_before:%Y-%m-%d}, {_describe_validity(certificate)}\n"
        )
        status = status or int(_is_expired(certificate))
    return status


def _load_certificates(args: argparse.Namespace) -> Iterator[tuple[str, SealingCertificate | None, str]]:
    """Each requested certificate: its name, the certificate if it can be parsed, and a line that describes it."""
    if args.kubeconfig:
        key_secrets = _list_cluster_keys(args)
        contents = [(f"{args.namespace}", format_objects(key_secrets, "yaml").encode())] if key_secrets else []
        nothing = f"namespace {args.namespace} contains no key of the controller; choose another one with --namespace"
    else:
        paths = args.paths or sorted(
            path for glob in ("*.pem", "*.crt") for path in Path(CERTIFICATE_FOLDER).glob(glob)
        )
        contents = [(str(path), read_decrypted(path)) for path in paths]
        nothing = f"no certificate in {CERTIFICATE_FOLDER}/; give a FILE"
    if not contents:
        raise UsageError(nothing)
    for name, content in contents:
        try:
            certificates = list(keyring.parse_certificates(content, name))
        except SecretFileError as error:
            yield name, None, str(error)
            continue
        if not certificates:
            yield name, None, f"{name}: contains no certificate"
        for where, certificate in certificates:
            size, validity = certificate.public_key.key_size, _describe_validity(certificate)
            yield where, certificate, f"{certificate.fingerprint}  {size} bits  {where}  {validity}"


def _is_expired(certificate: SealingCertificate) -> bool:
    return datetime.datetime.now(tz=datetime.UTC) > certificate.not_after


def _describe_validity(certificate: SealingCertificate) -> str:
    """The validity of a certificate, with a hint when it is time to rotate it."""
    now = datetime.datetime.now(tz=datetime.UTC)
    if now > certificate.not_after:
        return f"expired on {certificate.not_after:%Y-%m-%d}"
    words = f"valid to {certificate.not_after:%Y-%m-%d}"
    if (certificate.not_after - now).days < WARNING_DAYS:
        return f"{words}: it expires in {(certificate.not_after - now).days} days, run `gatekeeper keys rotate`"
    if (now - certificate.not_before).days > RENEWAL_DAYS:
        return f"{words}; {(now - certificate.not_before).days} days old, the controller has a newer one by default"
    return words
