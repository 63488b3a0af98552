"""The real sops: values survive a round trip, failures have a message, and no plaintext is written to disk."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import yaml

from gatekeeper.host import toolchain
from gatekeeper.host.process import run_command
from gatekeeper.sops import sops_cli
from tests.conftest import needs
from tests.sops.conftest import Shop

pytestmark = needs("sops")
VALUE = "hunter2-Zk9vQ1x7Lm3"
FILES: dict[str, bytes] = {
    "a.yaml": f"# note\nb: [{VALUE}, 1, true]\na:\n  - c: {VALUE}\n---\nsecond: {VALUE}\n".encode(),
    "a.json": orjson.dumps({"a": VALUE, "b": {"c": 1.5}}),
    "a.env": f"# note\nA={VALUE}\nB=two words\n".encode(),
    "a.ini": f"[db]\npassword = {VALUE}\n".encode(),
    "a.bin": b"\x00\xff" + VALUE.encode(),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_comes_back(shop: Shop, name: str) -> None:
    path = shop.encrypted(name, FILES[name])
    assert VALUE.encode() not in path.read_bytes()
    code, out, err = shop.sops("encrypt", name)
    assert (code, out, err) == (0, f"unchanged  {name}\n", "")
    real: list[str | Path] = [toolchain.DEFAULT_TOOLCHAIN.find("sops"), "--disable-version-check", "decrypt", path]
    own = {"SOPS_AGE_KEY_FILE": str(shop.key.file)}
    code, plain, _ = run_command(real, 30, environment=own)
    # What sops itself prints of its file is what we print.
    done = subprocess.run(
        [sys.executable, "-m", "gatekeeper", "sops", "decrypt", name],
        cwd=shop.root,
        env={**os.environ, **own},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (code, done.returncode) == (0, 0) and done.stdout == plain and VALUE.encode() in plain


def test_many_files_at_once_and_one_that_fails_does_not_stop_the_rest(shop: Shop) -> None:
    names = [f"apps/{number}/secret.yaml" for number in range(6)]
    for name in names:
        shop.write(name, f"password: {VALUE}\n")
    shop.write("apps/broken.yaml", f"password: [{VALUE}\n")
    code, out, err = shop.sops("encrypt", *names, "apps/broken.yaml")
    assert code == 1 and out.count("encrypted ") == 6 and "FAILED" in out and VALUE not in out + err
    assert "broken.yaml: sops cannot parse it as yaml" in out
    assert (shop.root / "apps/broken.yaml").read_text() == f"password: [{VALUE}\n"
    code, out, err = shop.sops("rotate", "apps/0", "apps/1")
    assert (code, out.count("rotated "), err) == (0, 2, "")
    code, out, err = shop.sops("decrypt", "apps/0", "apps/1")
    assert (code, err) == (0, "") and [one["password"] for one in yaml.safe_load_all(out)] == [VALUE] * 2


def test_new_recipients_take_effect_on_all_files_below(shop: Shop) -> None:
    path = shop.encrypted("apps/secret.yaml", f"password: {VALUE}\n")
    assert shop.sops("decrypt", path, key=shop.other.file)[0] == 1
    shop.rules(f"age: '{shop.key.recipient},{shop.other.recipient}'")
    code, out, err = shop.sops("updatekeys", ".")
    assert (code, out, err) == (0, "updated    apps/secret.yaml\n", "")
    assert shop.sops("decrypt", path, key=shop.other.file)[1] == f"password: {VALUE}\n"
    code, out, _ = shop.sops("updatekeys", ".")
    assert (code, out) == (0, "unchanged  apps/secret.yaml\n")


def test_nearest_creation_rules_apply_as_in_the_gate(shop: Shop) -> None:
    shop.write("clusters/prod/.sops.yaml", f"creation_rules: [{{path_regex: ^db/, age: {shop.other.recipient}}}]\n")
    path = shop.encrypted("clusters/prod/db/secret.yaml", f"password: {VALUE}\n")
    assert shop.other.recipient in path.read_text() and shop.key.recipient not in path.read_text()


def test_one_value_is_set_and_the_others_keep_their_ciphertext(shop: Shop) -> None:
    path = shop.encrypted("secret.yaml", f"stringData:\n  a.b: {VALUE}\n  other: {VALUE}\n")
    before = yaml.safe_load(path.read_text())
    source = shop.write("../value", "new\nvalue")
    code, out, err = shop.sops("set", "secret.yaml", 'stringData["a.b"]', "--from-file", source)
    assert (code, err) == (0, ""), out
    after = yaml.safe_load(path.read_text())
    assert after["stringData"]["other"] == before["stringData"]["other"]
    opened = yaml.safe_load(shop.sops("decrypt", "secret.yaml")[1])
    assert opened == {"stringData": {"a.b": "new\nvalue", "other": VALUE}}
    assert shop.sops("unset", "secret.yaml", "stringData.other")[0] == 0
    assert yaml.safe_load(shop.sops("decrypt", "secret.yaml")[1]) == {"stringData": {"a.b": "new\nvalue"}}
    source.write_text('{"n": 1}')
    assert shop.sops("set", "secret.yaml", "more", "--json", "--from-file", source)[0] == 0
    assert yaml.safe_load(shop.sops("decrypt", "secret.yaml")[1])["more"] == {"n": 1}
    source.write_text("[1, 2]")
    code, _, err = shop.sops("set", "secret.yaml", "list", "--json", "--from-file", source)
    assert (code, "but not a list" in err) == (1, True)


@pytest.mark.skipif(not sops_cli.MEMORY_DIR.exists(), reason="no file system in memory")
def test_editor_file_is_in_memory_and_removed_afterwards(shop: Shop) -> None:
    path = shop.encrypted("secret.yaml", f"a: {VALUE}\nb: {VALUE}\n")
    before = yaml.safe_load(path.read_text())
    seen = shop.root.parent / "seen"
    editor = shop.write("../editor.sh", f'#!/bin/sh\necho "$1" > {seen}\nsed -i "s/^a: .*/a: new/" "$1"\n')
    editor.chmod(0o700)
    own = {"EDITOR": str(editor), "SOPS_EDITOR": str(editor), "SOPS_AGE_KEY_FILE": str(shop.key.file)}
    done = subprocess.run(
        [sys.executable, "-m", "gatekeeper", "sops", "edit", "secret.yaml"],
        cwd=shop.root,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "edited     secret.yaml\n"), done.stderr
    file = Path(seen.read_text().strip())
    assert file.is_relative_to(sops_cli.MEMORY_DIR) and not file.exists() and not file.parent.parent.exists()
    after = yaml.safe_load(path.read_text())
    assert after["b"] == before["b"] and yaml.safe_load(shop.sops("decrypt", path)[1]) == {"a": "new", "b": VALUE}


def test_an_editor_that_fails_changes_nothing_and_leaves_nothing(shop: Shop) -> None:
    path = shop.encrypted("secret.yaml", f"a: {VALUE}\n")
    before, known = path.read_bytes(), set(sops_cli.MEMORY_DIR.iterdir())
    own = {"EDITOR": "false", "SOPS_EDITOR": "false", "SOPS_AGE_KEY_FILE": str(shop.key.file)}
    done = subprocess.run(
        [sys.executable, "-m", "gatekeeper", "sops", "edit", "secret.yaml"],
        cwd=shop.root,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert path.read_bytes() == before and set(sops_cli.MEMORY_DIR.iterdir()) == known


@pytest.mark.skipif(not sops_cli.MEMORY_DIR.exists(), reason="no file system in memory")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_no_plaintext_remains_after_termination(shop: Shop, number: signal.Signals) -> None:
    path = shop.encrypted("secret.yaml", f"a: {VALUE}\n")
    before, known = path.read_bytes(), set(sops_cli.MEMORY_DIR.iterdir())
    seen = shop.root.parent / "seen"
    os.mkfifo(seen)
    editor = shop.write("../editor.sh", f'#!/bin/sh\necho "$$ $1" > {seen}\nexec sleep 60\n')
    editor.chmod(0o700)
    own = {"EDITOR": str(editor), "SOPS_EDITOR": str(editor), "SOPS_AGE_KEY_FILE": str(shop.key.file)}
    said = shop.root.parent / "said"
    with said.open("wb") as handle:
        process = subprocess.Popen(
            [sys.executable, "-m", "gatekeeper", "sops", "edit", "secret.yaml"],
            cwd=shop.root,
            env={**os.environ, **own},
            stdout=subprocess.DEVNULL,
            stderr=handle,
        )
    sleeping, _, file = seen.read_text().strip().partition(" ")
    try:
        assert VALUE in Path(file).read_text()
        process.send_signal(number)
        assert process.wait(30) == 130
    finally:
        os.kill(int(sleeping), signal.SIGKILL)
    assert VALUE not in said.read_text() and "Traceback" not in said.read_text()
    assert not Path(file).exists() and set(sops_cli.MEMORY_DIR.iterdir()) == known and path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "a.yaml",
            f"a: [{VALUE}\n",
            "sops cannot parse it as yaml: correct it, or give it the file name suffix of its format (line 1)",
        ),
        ("a.json", f'{{"a": {VALUE}}}', "sops cannot parse it as json"),
        ("a.env", f"no pair {VALUE}\n", "every line must be KEY=value"),
        ("a.yaml", "a: 18446744073709551615\n", "a number above 9223372036854775807"),
        ("a.yaml", "", "contains nothing to encrypt"),
    ],
)
def test_file_that_cannot_be_encrypted_is_reported_without_its_content(
    shop: Shop, name: str, content: str, words: str
) -> None:
    path = shop.write(name, content)
    code, out, err = shop.sops("encrypt", name)
    assert code == 1 and words in out and VALUE not in out + err, out + err
    assert path.read_text() == content


def test_value_that_cannot_be_decrypted_is_reported(shop: Shop) -> None:
    path = shop.encrypted("secret.yaml", f"a: {VALUE}\nb: {VALUE}\n")
    whole = path.read_text()
    code, _, err = shop.sops("decrypt", "secret.yaml", key=shop.other.file)
    assert code == 1 and f"no available key decrypts it; it is encrypted for age {shop.key.recipient}" in err
    lines = whole.splitlines(keepends=True)
    path.write_text("".join([lines[1].replace("b:", "a:"), lines[0].replace("a:", "b:"), *lines[2:]]))
    assert "a value cannot be decrypted: it was changed, moved" in shop.sops("decrypt", "secret.yaml")[2]
    path.write_text("".join(line for line in lines if not line.startswith("b:")))
    assert "its MAC does not match" in shop.sops("decrypt", "secret.yaml")[2]
    assert shop.sops("decrypt", "secret.yaml", "--", "--ignore-mac")[:2] == (0, f"a: {VALUE}\n")
    path.write_text("".join(line for line in lines if "mac:" not in line))
    assert "its MAC does not match" in shop.sops("decrypt", "secret.yaml")[2]
    shop.write("plain.yaml", f"a: {VALUE}\n")
    code, _, err = shop.sops("decrypt", "plain.yaml")
    assert (code, "not encrypted with sops" in err) == (2, True)


def test_unusable_rules_are_reported(shop: Shop) -> None:
    shop.write("a.yaml", f"a: {VALUE}\n")
    for rules, words in (
        ("path_regex: ^b$\n    age: x", "no rule in its `.sops.yaml` matches it"),
        ("path_regex: '['\n    age: x", "a `path_regex` in its `.sops.yaml` is not a valid regular expression"),
        ("encrypted_regex: a\n    encrypted_suffix: b\n    age: x", "has two selectors"),
        ("encrypted_regex: a", "no recipient for it"),
        ("age: age1nonsense", "an age recipient is misspelled"),
    ):
        shop.rules(rules)
        code, out, _ = shop.sops("encrypt", "a.yaml")
        assert code == 1 and words in out, out
    (shop.root / ".sops.yaml").unlink()
    assert "no `.sops.yaml` found in its folder or above" in shop.sops("encrypt", "a.yaml")[1]
    assert shop.sops("encrypt", "a.yaml", "--", "--age", shop.key.recipient)[0] == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--kms", "arn:aws:kms:us-east-1:111122223333:key/abc"),
        ("--hc-vault-transit", "http://127.0.0.1:9/v1/sops/keys/first"),
        ("--pgp", "D7229043384BCC60326C6FB9D8720D957C3D3074"),
    ],
)
def test_kms_recipients_are_passed_to_sops_and_called(shop: Shop, options: tuple[str, str]) -> None:
    """The services themselves are not here; that they are asked, and what is said then, can be seen."""
    shop.write("a.yaml", f"a: {VALUE}\n")
    nowhere = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_MAX_ATTEMPTS": "1",
        "VAULT_TOKEN": "t",
        "VAULT_MAX_RETRIES": "0",
        "GNUPGHOME": str(shop.root.parent),
        "SOPS_AGE_KEY_FILE": str(shop.key.file),
    }
    done = subprocess.run(
        [sys.executable, "-m", "gatekeeper", "sops", "encrypt", "a.yaml", "--", *options],
        cwd=shop.root,
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1 and "its data key cannot be encrypted for one of its recipients" in done.stdout
    assert (shop.root / "a.yaml").read_text() == f"a: {VALUE}\n"


def test_without_sops_it_says_how_to_get_it(shop: Shop) -> None:
    shop.write("a.yaml", "a: b\n")
    own = {**os.environ, "XDG_CACHE_HOME": str(shop.root), "PATH": str(shop.root / "bin")}
    fake = shop.write("bin/sops", "#!/bin/sh\necho sops 3.7.0\n")
    for is_old in (False, True):
        fake.chmod(stat.S_IRWXU if is_old else 0o600)
        done = subprocess.run(
            [sys.executable, "-m", "gatekeeper", "sops", "encrypt", "a.yaml"],
            cwd=shop.root,
            env=own,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 3 and "gatekeeper tools install sops" in done.stderr
        assert ("has another version" in done.stderr) == is_old


@pytest.mark.skipif(shutil.which("gpg") is None, reason="no GnuPG on this machine")
def test_a_pgp_key_opens_what_is_encrypted_for_it(shop: Shop, tmp_path: Path) -> None:
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    own = {**os.environ, "GNUPGHOME": str(home)}

    def gpg(*arguments: str) -> str:
        done = subprocess.run(
            ["gpg", "--batch", "--quiet", *arguments], env=own, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    try:
        gpg("--passphrase", "", "--quick-gen-key", "Shop <shop@example.com>", "rsa2048", "encrypt", "never")
        listed = gpg("--with-colons", "--list-keys")
        fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
        shop.rules(f"pgp: {fingerprint}")
        path = shop.write("secret.yaml", f"a: {VALUE}\n")

        def ours(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "gatekeeper", "sops", *arguments],
                cwd=shop.root,
                env={**own, **more},
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )

        assert ours("encrypt", "secret.yaml").returncode == 0 and fingerprint in path.read_text()
        assert ours("decrypt", "secret.yaml").stdout == f"a: {VALUE}\n"
        assert not [one for one in shop.run("check", "--format", "github", ".")[1].splitlines() if "sops/" in one]
        empty = tmp_path / "empty"
        empty.mkdir(mode=0o700)
        done = ours("decrypt", "secret.yaml", GNUPGHOME=str(empty))
        assert done.returncode == 1 and f"it is encrypted for pgp {fingerprint}" in done.stderr
        done = ours("decrypt", "secret.yaml", SOPS_GPG_EXEC="no-such-gpg")
        assert done.returncode == 1 and "Traceback" not in done.stderr
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=own, check=False, timeout=30)
        subprocess.run(
            ["gpgconf", "--kill", "all"], env={**own, "GNUPGHOME": str(tmp_path / "empty")}, check=False, timeout=30
        )
