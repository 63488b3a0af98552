"""Decrypts objects that are encrypted with SOPS before they are applied; the plain text is kept in memory alone.

The MAC of SOPS covers the file in Git, which kustomize has changed since: only the tag of each value is checked.
Source: kustomize-controller `internal/decryptor/decryptor.go`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import orjson

from gatekeeper.apply.inventory import entry_of
from gatekeeper.errors import SecretFileError
from gatekeeper.flux import ownership
from gatekeeper.host import process
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.host.toolchain import Toolchain
from gatekeeper.model import Object
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sops import sops_cli
from gatekeeper.sops.sops_cli import SopsKeys

AGE_SUFFIX, PGP_SUFFIX = ".agekey", ".asc"
TIMEOUT_SECONDS = 60.0


def is_encrypted(value: Object) -> bool:
    """Whether an object is encrypted with SOPS and not annotated to stay so."""
    return isinstance(value.get("sops"), dict) and not ownership.has_mark(value, "decrypt", "Disabled")


class DecryptionKeys(NamedTuple):
    """Private keys.

    Attributes:
        age: age keys, one per line.
        pgp: armored PGP keys.
    """

    age: SecretBytes
    pgp: tuple[SecretBytes, ...] = ()


def parse_keys(data: Mapping[str, SecretBytes]) -> DecryptionKeys:
    """The keys in a decryption Secret of Flux: its entries that end with `.agekey` or `.asc`.

    Raises:
        SecretFileError: it has none.
    """
    age = [data[name].reveal().strip() for name in sorted(data) if name.endswith(AGE_SUFFIX)]
    pgp = tuple(data[name] for name in sorted(data) if name.endswith(PGP_SUFFIX))
    if not age and not pgp:
        names = ", ".join(f"`{name}`" for name in sorted(data)) or "nothing"
        raise SecretFileError(
            f"the decryption Secret has no key that ends with {AGE_SUFFIX} or {PGP_SUFFIX}, but {names}"
        )
    return DecryptionKeys(SecretBytes(b"\n".join(age)), pgp)


def decrypt_objects(objects: Sequence[Object], keys: DecryptionKeys, toolchain: Toolchain) -> list[Object]:
    """All objects, the encrypted ones decrypted.

    Args:
        toolchain: has the sops of the repository.

    Raises:
        SecretFileError: an object cannot be decrypted; the message contains no values.
    """
    with _open_keyring(keys.pgp) as keyring:
        sops_keys = SopsKeys(keys.age, keyring)
        return [_decrypt_object(value, sops_keys, toolchain) if is_encrypted(value) else value for value in objects]


@contextmanager
def _open_keyring(pgp_keys: Sequence[SecretBytes]) -> Iterator[str]:
    """A temporary GnuPG home in memory with the private keys; an empty path without any.

    Raises:
        SecretFileError: GnuPG is not installed, or a key is not a private key.
    """
    if not pgp_keys:
        yield ""
        return
    if shutil.which("gpg") is None:
        raise SecretFileError("GnuPG (`gpg`) is not installed, and the decryption Secret has PGP keys: install it")
    with closing(MemoryFiles()) as files:
        home = str(Path(files.write_file("gpg.conf", b"batch\nno-tty\n", True)).parent)
        environment = {"GNUPGHOME": home}
        try:
            for key in pgp_keys:
                command = ["gpg", "--quiet", "--import"]
                code, _, _ = process.run_command(command, TIMEOUT_SECONDS, stdin=key.reveal(), environment=environment)
                if code != 0:
                    raise SecretFileError(
                        f"a key of the decryption Secret that ends with {PGP_SUFFIX} is not a PGP private key"
                    )
            yield home
        finally:
            # The GnuPG agent would keep running, and keep the keys.
            process.run_command(["gpgconf", "--kill", "all"], TIMEOUT_SECONDS, environment=environment)


def _decrypt_object(value: Object, keys: SopsKeys, toolchain: Toolchain) -> Object:
    plain = sops_cli.decrypt_with_keys(orjson.dumps(value), str(entry_of(value)), keys, TIMEOUT_SECONDS, toolchain)
    decrypted: Object = orjson.loads(plain.reveal())
    return decrypted
