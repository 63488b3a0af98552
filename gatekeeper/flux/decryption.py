"""Objects that are encrypted with SOPS, opened on their way into the cluster, and nowhere else.

Source: kustomize-controller `internal/decryptor/decryptor.go`. A MAC is not looked at: it is of the file as it stands
in Git, and kustomize has changed that since; each value is vouched for by its own tag.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import orjson

from gatekeeper.apply.inventory import entry_of
from gatekeeper.apply.order import Object
from gatekeeper.errors import SealError
from gatekeeper.flux import ownership
from gatekeeper.host import process
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.host.toolchain import Toolchain
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sops import sops_cli

AGE_SUFFIX, PGP_SUFFIX = ".agekey", ".asc"
TIMEOUT_SECONDS = 60.0


def is_encrypted(value: Object) -> bool:
    """Whether an object is encrypted, and is not to stay so."""
    return isinstance(value.get("sops"), dict) and not ownership.has_mark(value, "decrypt", "Disabled")


class DecryptionKeys(NamedTuple):
    """What is opened with: keys of age, a line each, and private keys of PGP."""

    age: SecretBytes
    pgp: tuple[SecretBytes, ...] = ()


def parse_keys(data: Mapping[str, SecretBytes]) -> DecryptionKeys:
    """The keys of a Secret that Flux decrypts with: all that end with `.agekey`, and with `.asc`.

    Raises:
        SealError: there is none.
    """
    found = [data[name].reveal().strip() for name in sorted(data) if name.endswith(AGE_SUFFIX)]
    pgp = tuple(data[name] for name in sorted(data) if name.endswith(PGP_SUFFIX))
    if not found and not pgp:
        held = ", ".join(f"`{name}`" for name in sorted(data)) or "nothing"
        raise SealError(
            f"the Secret to decrypt with has no key that ends with {AGE_SUFFIX} or {PGP_SUFFIX}, but {held}"
        )
    return DecryptionKeys(SecretBytes(b"\n".join(found)), pgp)


def decrypt_objects(objects: Sequence[Object], keys: DecryptionKeys, toolchain: Toolchain) -> list[Object]:
    """All objects, the encrypted ones decrypted with the sops of a toolchain.

    Raises:
        SealError: one cannot be opened; nothing of what it holds is in the message.
    """
    with _open_keyring(keys.pgp) as keyring:
        return [
            _decrypt_object(value, keys.age, keyring, toolchain) if is_encrypted(value) else value for value in objects
        ]


@contextmanager
def _open_keyring(pgp_keys: Sequence[SecretBytes]) -> Iterator[str]:
    """A folder of GnuPG's with some private keys, in memory, for as long as it is needed; empty where there are none.

    Raises:
        SealError: GnuPG is not there, or something is no key.
    """
    if not pgp_keys:
        yield ""
        return
    if shutil.which("gpg") is None:
        raise SealError("GnuPG (`gpg`) is not installed, and the Secret to decrypt with has keys of PGP")
    with closing(MemoryFiles()) as handed:
        home = str(Path(handed.write_file("gpg.conf", b"batch\nno-tty\n", True)).parent)
        surroundings = {"GNUPGHOME": home}
        try:
            for key in pgp_keys:
                command = ["gpg", "--quiet", "--import"]
                code, _, _ = process.run_command(command, TIMEOUT_SECONDS, stdin=key.reveal(), environment=surroundings)
                if code != 0:
                    raise SealError(
                        f"a key that ends with {PGP_SUFFIX} of the Secret to decrypt with is no private key of PGP"
                    )
            yield home
        finally:
            # Its agent would go on, and hold the keys.
            process.run_command(["gpgconf", "--kill", "all"], TIMEOUT_SECONDS, environment=surroundings)


def _decrypt_object(value: Object, age_keys: SecretBytes, keyring: str, toolchain: Toolchain) -> Object:
    keys = sops_cli.SopsKeys(age_keys, keyring)
    plain = sops_cli.decrypt_with_keys(orjson.dumps(value), str(entry_of(value)), keys, TIMEOUT_SECONDS, toolchain)
    found: Object = orjson.loads(plain.reveal())
    return found
