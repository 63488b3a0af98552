"""The part of `make bench` on secrets: against kubeseal, bare cryptography, and sops run by xargs."""

from __future__ import annotations

import base64
import datetime
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyrage
import yaml
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gatekeeper.host import toolchain
from gatekeeper.sealedsecrets import crypto, keyring, sealedsecret, wire_format
from gatekeeper.sealedsecrets.keyring import SealingCertificate, SealingKey
from tests.servers import server

ROUNDS = 5
VALUES = 1000
LOOPS = 20
RING = 36
FILES = 5000
SOPS_FILES = 200


def lines(gatekeeper: Path) -> list[str]:
    """What there is to say of it, a line each."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        pem, private = keyring.create_key_pair(4096, 30, datetime.datetime.now(tz=datetime.UTC))
        (folder / "prod.pem").write_bytes(pem)
        certificate, key = keyring.parse_certificate(pem, "prod.pem"), keyring.load_keys([("prod.key", private)])[0]
        return [
            _seal(gatekeeper, folder, certificate),
            _open(certificate, key),
            _judge(gatekeeper, folder / "many", certificate, pem),
            _sops(gatekeeper, folder / "sops"),
        ]


def best(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """The least wall seconds of some rounds."""
    times = []
    # As in the program itself: nothing that it makes has to be collected before it ends.
    gc.collect()
    gc.disable()
    for _ in range(ROUNDS):
        before()
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    gc.enable()
    return min(times)


def run(*command: str | Path, cwd: Path | None = None, stdin: bytes | None = None, ok: tuple[int, ...] = (0,)) -> bytes:
    """Runs a program to its end."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, input=stdin, capture_output=True, check=False)
    assert done.returncode in ok, done.stderr[-1000:]
    return done.stdout


def _secret(name: str, count: int) -> dict[str, Any]:
    held = {f"key{number}": base64.b64encode(os.urandom(40)).decode() for number in range(count)}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "prod"}, "data": held}


def _seal(gatekeeper: Path, folder: Path, certificate: SealingCertificate) -> str:
    secrets = [_secret(f"s{number}", 1) for number in range(VALUES)]
    (folder / "all.json").write_bytes(orjson.dumps({"apiVersion": "v1", "kind": "List", "items": secrets}))
    ours = best(lambda: run(gatekeeper, "seal", "--cert", folder / "prod.pem", "-f", folder / "all.json"))
    kubeseal, first = server("kubeseal"), orjson.dumps(secrets[0])

    def loop() -> None:
        for _ in range(LOOPS):
            run(kubeseal, "--cert", folder / "prod.pem", stdin=first)

    theirs = best(loop) * VALUES / LOOPS

    def bare() -> None:
        padding = crypto._build_padding(b"prod/s0")
        for _ in range(VALUES):
            session = os.urandom(32)
            certificate.public_key.encrypt(session, padding)
            AESGCM(session).encrypt(bytes(12), session, None)

    inside = best(lambda: [sealedsecret.seal_secret(one, certificate, "", "", False) for one in secrets])
    return (
        f"Sealing {VALUES:,} values: {theirs / ours:.0f} times as fast as a loop over kubeseal, and "
        f"{inside / best(bare):.2f} times the time of the RSA and AES operations alone."
    )


def _open(certificate: SealingCertificate, key: SealingKey) -> str:
    others = [
        keyring.load_keys([("k", keyring.create_key_pair(4096, 30, datetime.datetime.now(tz=datetime.UTC))[1])])[0]
        for _ in range(RING - 1)
    ]
    found = sealedsecret.seal_secret(_secret("s", 20), certificate, "", "", False)
    bare = {**found, "metadata": {**found["metadata"], "annotations": {}}}
    locked = wire_format.split_sealed_value(found["spec"]["encryptedData"]["key0"])[0]
    one = best(lambda: [key.private_key.decrypt(locked, crypto._build_padding(b"prod/s")) for _ in range(20)]) / 20
    noted = best(lambda: sealedsecret.unseal_secret(found, [*others, key])) / 20
    searched = best(lambda: sealedsecret.unseal_secret(bare, [*others, key])) - 20 * one
    return (
        f"Opening with {RING} keys: {noted / one:.2f} RSA operations per value that Gatekeeper sealed; for values that kubeseal "
        f"sealed, finding the key takes at most {searched / one:.0f} more, once."
    )


def _judge(gatekeeper: Path, folder: Path, certificate: SealingCertificate, pem: bytes) -> str:
    (folder / "keys").mkdir(parents=True)
    (folder / "keys" / "prod.pem").write_bytes(pem)
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    rule = f"creation_rules: [{{path_regex: sops, encrypted_regex: ^(data|stringData)$, age: {recipient}}}]\n"
    (folder / ".sops.yaml").write_text(rule)
    plain = yaml.safe_dump(_secret("NAME", 3)).encode()
    command: list[str | Path] = [
        toolchain.DEFAULT_TOOLCHAIN.find("sops"),
        "--disable-version-check",
        "--config",
        folder / ".sops.yaml",
        "encrypt",
    ]
    encrypted = run(*command, "--filename-override", folder / "sops.yaml", stdin=plain)
    for number in range(FILES // 2):
        home = folder / f"app{number % 50}"
        home.mkdir(exist_ok=True)
        (home / f"sops{number}.yaml").write_bytes(encrypted.replace(b"NAME", b"n%d" % number))
        one = sealedsecret.seal_secret(_secret(f"s{number}", 3), certificate, "", "", False)
        (home / f"sealed{number}.json").write_bytes(orjson.dumps(one, option=orjson.OPT_INDENT_2))
    wall = best(lambda: run(gatekeeper, "check", "--no-cache", cwd=folder))
    pass_ = best(lambda: run(sys.executable, "-c", "pass"))
    return f"Checking {FILES:,} encrypted files without a key: {wall:.1f} s, {wall / pass_:.0f} times `python -c pass`."


def _sops(gatekeeper: Path, folder: Path) -> str:
    folder.mkdir()
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    (folder / ".sops.yaml").write_text(f"creation_rules: [{{age: {recipient}}}]\n")
    names = [f"{number}.yaml" for number in range(SOPS_FILES)]

    def write() -> None:
        for name in names:
            (folder / name).write_bytes(yaml.safe_dump(_secret("s", 3)).encode())

    listed = "\n".join(names).encode()
    xargs = (
        "xargs",
        f"-P{os.cpu_count()}",
        "-n1",
        toolchain.DEFAULT_TOOLCHAIN.find("sops"),
        "--disable-version-check",
        "encrypt",
        "-i",
    )
    theirs = best(lambda: run(*xargs, cwd=folder, stdin=listed), write)
    ours = best(lambda: run(gatekeeper, "sops", "encrypt", *names, cwd=folder), write)
    return (
        f"Encrypting {SOPS_FILES} files with SOPS: {ours / theirs:.2f} of the time of `sops` run by xargs on all cores."
    )
