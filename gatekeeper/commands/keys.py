"""`gatekeeper keys`: the keys of sealed-secrets: new ones, old ones, and what certificates a repository holds."""

from __future__ import annotations

import argparse
import datetime
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gatekeeper.config import KEYS
from gatekeeper.errors import SealError, UsageError
from gatekeeper.host import atomic_file
from gatekeeper.sealedsecrets import keyring
from gatekeeper.sealedsecrets.keyring import Certificate
from gatekeeper.secret_value import Hidden
from gatekeeper.sops import sops_cli
from gatekeeper.terminal.object_io import opened, written

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
    given = _parser().parse_args(arguments)
    if given.days < 1:
        raise UsageError("--days must be 1 or more")
    if given.age and not given.private:
        raise UsageError("--age encrypts the file of --private; give that too")
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "new": _new, "list": _list, "show": _show, "rotate": _rotate, "export": _export,
    }  # fmt: skip
    return actions[given.action](given)


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="gatekeeper keys",
        description="Make, renew, export and list the keys of the sealed-secrets controller.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("action", choices=ACTIONS)
    options.add_argument("paths", nargs="*", type=Path, metavar="FILE", help=f"to list or show (default {KEYS}/*.pem)")
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


def _new(given: argparse.Namespace) -> int:
    _need_places(given)
    if given.certificate.exists():
        raise UsageError(f"{given.certificate}: exists; choose another name, or `gatekeeper keys rotate` it")
    _make(given)
    return 0


def _need_places(given: argparse.Namespace) -> None:
    if given.certificate is None or given.paths or (given.private is None and given.kubeconfig is None):
        raise UsageError(f"keys {given.action} needs --certificate FILE, and --private FILE or --kubeconfig FILE")


def _make(given: argparse.Namespace) -> None:
    """A new key: its private part is safe before its certificate is there to seal with."""
    # Where the certificate cannot be written, no key shall be left without it.
    given.certificate.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(tz=datetime.UTC)
    certificate, private = keyring.new(given.bits, given.days, now)
    secret = keyring.key_secret(certificate, private, f"sealed-secrets-key{secrets.token_hex(3)}", given.namespace)
    said = ""
    if given.private:
        _write_private(given, [secret])
        said = f"{given.private}: the private key; `kubectl apply -f` it, and keep it safe\n"
        if given.age:
            said = f"{given.private}: the private key; `gatekeeper sops decrypt` it for `kubectl apply -f -`\n"
    if given.kubeconfig:
        from gatekeeper.cluster import client, sealing_keys

        with client.opened(given.kubeconfig, given.context) as cluster:
            sealing_keys.create(cluster, secret)
        said += f"{given.namespace}/{secret['metadata']['name']}: in the cluster; restart the controller to use it\n"
    atomic_file.write(given.certificate, certificate)
    known = keyring.certificate(certificate, str(given.certificate))
    sys.stdout.write(f"{given.certificate}: {known.fingerprint}, valid to {known.ends:%Y-%m-%d}\n{said}")


def _write_private(given: argparse.Namespace, found: list[dict[str, Any]]) -> None:
    if given.private.exists():
        raise UsageError(f"{given.private}: exists, and a key is never written over; choose another name")
    content = written(found, "yaml").encode()
    if given.age:
        if given.private.suffix not in (".yaml", ".yml"):
            raise UsageError(f"{given.private}: is written as SOPS with --age; give it the ending .yaml")
        chosen = ("--age", ",".join(given.age), "--encrypted-regex", "^data$")
        # Recipients are named here: no `.sops.yaml` that happens to lie above has a say.
        where = sops_cli.Place(given.private.absolute(), None)
        content = sops_cli.encrypt(Hidden(content), where, chosen, sops_cli.SECONDS)
    atomic_file.write(given.private, content, 0o600)


def _rotate(given: argparse.Namespace) -> int:
    _need_places(given)
    before = given.certificate.read_bytes()
    old = keyring.certificate(before, str(given.certificate), must_be_valid=False)
    age = (datetime.datetime.now(tz=datetime.UTC) - old.starts).days
    if age < given.older_than:
        sys.stdout.write(f"{given.certificate}: is {age} days old, and stays; it is renewed after {given.older_than}\n")
        return 0
    kept = given.certificate.with_name(f"{given.certificate.stem}-{old.starts:%Y-%m-%d}{given.certificate.suffix}")
    if kept.exists() and kept.read_bytes() != before:
        raise UsageError(f"{kept}: exists, and is another certificate; move it away first")
    atomic_file.write(kept, before)
    _make(given)
    sys.stdout.write(
        f"{kept}: the old certificate, so that what is sealed with it is known; now "
        f"`gatekeeper reseal --key OLD-KEY --cert {given.certificate} .`\n"
    )
    return 0


def _export(given: argparse.Namespace) -> int:
    if given.kubeconfig is None or given.private is None or given.paths:
        raise UsageError("keys export needs --kubeconfig FILE and --private FILE")
    found = [_portable(one) for one in _in_cluster(given)]
    if not found:
        raise SealError(f"namespace {given.namespace} holds no key of the controller; name another with --namespace")
    _write_private(given, found)
    pem, newest = max(_certificates(found), key=lambda pair: pair[1].starts)
    sys.stdout.write(f"{given.private}: {len(found)} private keys; keep them safe\n")
    if given.certificate:
        atomic_file.write(given.certificate, pem)
        sys.stdout.write(f"{given.certificate}: the newest certificate, {newest.fingerprint}\n")
    return 0


def _in_cluster(given: argparse.Namespace) -> list[dict[str, Any]]:
    from gatekeeper.cluster import client, sealing_keys

    with client.opened(given.kubeconfig, given.context) as cluster:
        return sealing_keys.listed(cluster, given.namespace)


def _portable(secret: dict[str, Any]) -> dict[str, Any]:
    """A key Secret without what only its cluster knows; when it was made tells which one is newest."""
    own = {"name", "namespace", "labels", "creationTimestamp"}
    metadata = {key: str(value) if key == "creationTimestamp" else value for key, value in secret["metadata"].items()}
    return {**secret, "metadata": {key: value for key, value in metadata.items() if key in own}}


def _certificates(found: list[dict[str, Any]]) -> Iterator[tuple[bytes, Certificate]]:
    import base64

    for secret in found:
        pem = base64.b64decode(secret["data"]["tls.crt"])
        yield pem, keyring.certificate(pem, secret["metadata"]["name"], must_be_valid=False)


def _list(given: argparse.Namespace) -> int:
    status = 0
    for _, one, line in _known(given):
        status = status or int(one is None or _is_over(one))
        sys.stdout.write(f"{line}\n")
    return status


def _show(given: argparse.Namespace) -> int:
    status = 0
    for name, one, line in _known(given):
        if one is None:
            sys.stdout.write(f"{line}\n")
            status = 1
            continue
        sys.stdout.write(
            f"{name}\n  fingerprint  {one.fingerprint}\n  key          RSA, {one.key.key_size} bits\n"
            f"  made         {one.starts:%Y-%m-%d}, {_state(one)}\n"
        )
        status = status or int(_is_over(one))
    return status


def _known(given: argparse.Namespace) -> Iterator[tuple[str, Certificate | None, str]]:
    """Each certificate that is asked for: its name, itself if it can be read, and a line on it."""
    if given.kubeconfig:
        found = _in_cluster(given)
        contents = [(f"{given.namespace}", written(found, "yaml").encode())] if found else []
        nothing = f"namespace {given.namespace} holds no key of the controller; name another with --namespace"
    else:
        paths = given.paths or sorted(path for glob in ("*.pem", "*.crt") for path in Path(KEYS).glob(glob))
        contents = [(str(path), opened(path)) for path in paths]
        nothing = f"no certificate in {KEYS}/; name a FILE"
    if not contents:
        raise UsageError(nothing)
    for name, content in contents:
        try:
            certificates = list(keyring.certificates(content, name))
        except SealError as error:
            yield name, None, str(error)
            continue
        if not certificates:
            yield name, None, f"{name}: holds no certificate"
        for where, one in certificates:
            yield where, one, f"{one.fingerprint}  {one.key.key_size} bits  {where}  {_state(one)}"


def _is_over(one: Certificate) -> bool:
    return datetime.datetime.now(tz=datetime.UTC) > one.ends


def _state(one: Certificate) -> str:
    """What there is to say of a certificate's age."""
    now = datetime.datetime.now(tz=datetime.UTC)
    if now > one.ends:
        return f"expired on {one.ends:%Y-%m-%d}"
    words = f"valid to {one.ends:%Y-%m-%d}"
    if (one.ends - now).days < WARNING_DAYS:
        return f"{words}: it ends in {(one.ends - now).days} days, `gatekeeper keys rotate` it"
    if (now - one.starts).days > RENEWAL_DAYS:
        return f"{words}; {(now - one.starts).days} days old, the controller has a newer one by default"
    return words
