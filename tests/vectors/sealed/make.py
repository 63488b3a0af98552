"""Creates the vectors in this folder again, with the real kubeseal and the real sops: `python -m tests.vectors.sealed.make`.

`plain.json` is what all of them hold. Private keys lie here because nothing else is ever sealed with them.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import orjson
import pyrage
import yaml

from gatekeeper.host import toolchain
from gatekeeper.host.process import run_command
from gatekeeper.sealedsecrets import keyring
from tests.servers import server

HERE = Path(__file__).parent
PLAIN = {"password": "hunter2-Zk9vQ1x7Lm3", "empty": "", "text": "grün\nund blau\n", "a.b": "with a dot"}
SCOPES = ("strict", "namespace-wide", "cluster-wide")
BITS = (2048, 4096)
DAYS = 36_500


def main() -> None:
    """Writes every file."""
    (HERE / "plain.json").write_bytes(orjson.dumps(PLAIN, option=orjson.OPT_INDENT_2))
    for bits in BITS:
        certificate, private = keyring.create_key_pair(bits, DAYS, datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
        (HERE / f"{bits}.crt").write_bytes(certificate)
        (HERE / f"{bits}.key").write_bytes(private)
        for scope in SCOPES:
            _seal(bits, scope)
    identity = pyrage.x25519.Identity.generate()
    (HERE / "age.txt").write_text(f"{identity}\n")
    (HERE / ".sops.yaml").write_text(f"creation_rules:\n  - age: {identity.to_public()}\n")
    flat = {key: value for key, value in PLAIN.items() if "." not in key and "\n" not in value}
    _encrypt("sops.yaml", f"# of the shop\n{yaml.safe_dump(PLAIN, allow_unicode=True, sort_keys=False)}")
    _encrypt("sops.json", orjson.dumps(PLAIN).decode())
    _encrypt("sops.env", "".join(f"{key}={value}\n" for key, value in flat.items()))
    _encrypt("sops.ini", "[db]\n" + "".join(f"{key} = {value}\n" for key, value in flat.items()))
    _encrypt("sops.bin", PLAIN["password"])


def _seal(bits: int, scope: str) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "db", "namespace": "prod"},
        "stringData": PLAIN,
    }
    command: list[str | Path] = [server("kubeseal"), "--cert", HERE / f"{bits}.crt", "--scope", scope, "-o", "yaml"]
    code, out, words = run_command(command, 60, stdin=orjson.dumps(secret))
    assert code == 0, words
    (HERE / f"{scope}-{bits}.yaml").write_bytes(out)


def _encrypt(name: str, plain: str) -> None:
    command: list[str | Path] = [
        toolchain.DEFAULT_TOOLCHAIN.find("sops"),
        "--disable-version-check",
        "--config",
        HERE / ".sops.yaml",
        "encrypt",
    ]
    code, out, words = run_command([*command, "--filename-override", HERE / name], 60, stdin=plain.encode())
    assert code == 0, words
    (HERE / name).write_bytes(out)


if __name__ == "__main__":
    main()
