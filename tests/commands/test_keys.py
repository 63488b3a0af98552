"""Keys: new ones as the controller has them, certificates in the repository, and the findings of the gate about both."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import orjson
import pytest

from tests.conftest import Repository, command, judge, needs, verdict_of
from tests.sealedsecrets.test_kubeseal_compatibility import SECRET, VALUES, kubeseal, opened, pair
from tests.sops.conftest import age


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    certificate, private = tmp_path / "prod.pem", tmp_path / "prod-key.yaml"
    code, out, err = command("keys", "new", "--bits", "2048", "--certificate", certificate, "--private", private)
    assert (code, err) == (0, "") and "valid to" in out and "BEGIN" not in out
    return certificate, private


def test_a_new_key_seals_and_opens_with_the_real_kubeseal(made: tuple[Path, Path], tmp_path: Path) -> None:
    sealed = kubeseal("--cert", made[0], "-o", "json", stdin=orjson.dumps(SECRET))
    path = tmp_path / "sealed.json"
    path.write_text(sealed)
    code, out, _ = command("unseal", "--key", made[1], "-f", path)
    assert code == 0 and opened(out) == VALUES
    out = kubeseal("--recovery-unseal", "--recovery-private-key", made[1], stdin=sealed.encode())
    assert opened(out) == VALUES


def test_private_key_is_readable_only_by_its_user_and_never_overwritten(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    assert stat.S_IMODE(made[1].stat().st_mode) == 0o600
    before = made[1].read_bytes()
    code, _, err = command("keys", "new", "--certificate", tmp_path / "other.pem", "--private", made[1])
    assert (code, "never overwritten" in err) == (2, True)
    assert made[1].read_bytes() == before and not (tmp_path / "other.pem").exists()


def test_the_folder_of_the_certificate_is_made_so_that_no_key_is_left_without_one(tmp_path: Path) -> None:
    certificate, private = tmp_path / "new" / "keys" / "prod.pem", tmp_path / "key.yaml"
    new = ("keys", "new", "--bits", "2048", "--private", private, "--certificate")
    assert command(*new, certificate)[0] == 0 and certificate.exists()
    (tmp_path / "file").write_text("")
    private.unlink()
    assert command(*new, tmp_path / "file" / "prod.pem")[0] == 3 and not private.exists()


def test_certificates_are_listed_with_their_ends(made: tuple[Path, Path], tmp_path: Path) -> None:
    old, _ = pair(tmp_path / "old", days=-5)
    code, out, _ = command("keys", "list", made[0], old)
    assert code == 1
    lines = out.splitlines()
    assert "2048 bits" in lines[0] and "valid to" in lines[0] and "expired on" in lines[1]
    assert command("keys", "list", cwd=tmp_path)[0] == 2


def sealed_with(certificate: Path, folder: Path) -> str:
    path = folder / "secret.json"
    path.write_bytes(orjson.dumps({**SECRET, "metadata": {"name": "db", "namespace": "prod"}}))
    return command("seal", "--cert", certificate, "-o", "yaml", "-f", path)[1]


def test_the_gate_knows_the_certificates_of_the_repository(
    repository: Repository, made: tuple[Path, Path], tmp_path: Path
) -> None:
    other, _ = pair(tmp_path / "other")
    files: dict[str, str | bytes] = {"db.yaml": sealed_with(made[0], tmp_path), "keys/prod.pem": made[0].read_bytes()}
    rules = {one.rule for one in judge(repository(files)).findings}
    assert not {rule for rule in rules if rule.startswith("sealed/")}
    files["keys/prod.pem"] = other.read_bytes()
    [finding] = [one for one in judge(repository(files)).findings if one.rule.startswith("sealed/")]
    assert (finding.rule, finding.location.file) == ("sealed/unknown-certificate", "db.yaml")
    assert finding.location.line == 1 + str(files["db.yaml"]).splitlines().index(
        next(line for line in str(files["db.yaml"]).splitlines() if "sealed-with" in line)
    )


def test_a_private_key_in_the_repository_is_refused(repository: Repository, made: tuple[Path, Path]) -> None:
    code, verdict = verdict_of(repository({"keys/prod.yaml": made[1].read_bytes(), "keys/key.pem": pair_key(made)}))
    assert code == 1
    assert {one["file"] for one in verdict["findings"] if one["severity"] == "error"} >= {
        "keys/prod.yaml",
        "keys/key.pem",
    }


def pair_key(made: tuple[Path, Path]) -> bytes:
    return pair(made[0].parent / "more")[1].read_bytes()


def test_certificate_is_shown_with_a_warning_about_its_expiry(made: tuple[Path, Path], tmp_path: Path) -> None:
    code, out, _ = command("keys", "show", made[0], made[1])
    assert code == 0 and out.count("fingerprint") == 2 and "PRIVATE" not in out
    shown = [line for line in out.splitlines() if "fingerprint" in line]
    assert shown[0] == shown[1]
    soon, _ = pair(tmp_path / "soon", days=10)
    assert "it expires in 9 days" in command("keys", "list", soon)[1]
    (tmp_path / "none.pem").write_text("hello")
    code, out, _ = command("keys", "list", tmp_path / "none.pem")
    assert (code, "contains no certificate" in out) == (1, True)


def test_a_certificate_that_is_old_is_renewed_and_the_old_one_kept(made: tuple[Path, Path], tmp_path: Path) -> None:
    before = made[0].read_bytes()
    more = ("--bits", "2048", "--certificate", made[0])
    code, out, _ = command("keys", "rotate", *more, "--private", tmp_path / "new.yaml")
    assert code == 0 and "is 0 days old; no rotation needed" in out and not (tmp_path / "new.yaml").exists()
    code, out, _ = command("keys", "rotate", *more, "--private", tmp_path / "new.yaml", "--older-than", "0")
    assert code == 0 and "gatekeeper reseal" in out
    [kept] = tmp_path.glob("prod-2*.pem")
    assert kept.read_bytes() == before != made[0].read_bytes()
    sealed = kubeseal("--cert", made[0], "-o", "json", stdin=orjson.dumps(SECRET))
    (tmp_path / "sealed.json").write_text(sealed)
    assert opened(command("unseal", "--key", tmp_path / "new.yaml", "-f", tmp_path / "sealed.json")[1]) == VALUES


@needs("sops")
def test_a_private_key_can_be_written_for_a_recipient_of_age_only(tmp_path: Path) -> None:
    mine = age(tmp_path, "age.txt")
    certificate, private = tmp_path / "prod.pem", tmp_path / "prod-key.yaml"
    new = ("keys", "new", "--bits", "2048", "--certificate", certificate, "--age", mine.recipient)
    assert command(*new, "--private", tmp_path / "key.txt")[0] == 2
    code, _, err = command(*new, "--private", private)
    assert (code, err) == (0, "") and stat.S_IMODE(private.stat().st_mode) == 0o600
    text = private.read_text()
    assert "tls.key: ENC[" in text and mine.recipient in text and "sealed-secrets-key" in text
    sealed = tmp_path / "sealed.json"
    sealed.write_text(kubeseal("--cert", certificate, "-o", "json", stdin=orjson.dumps(SECRET)))
    unseal = ("unseal", "--key", private, "-f", sealed)
    assert opened(command(*unseal, env={**os.environ, "SOPS_AGE_KEY_FILE": str(mine.file)})[1]) == VALUES
    code, _, err = command(*unseal, env={**os.environ, "SOPS_AGE_KEY_FILE": os.devnull})
    assert code == 1 and f"it is encrypted for age {mine.recipient}" in err


def test_unreachable_cluster_is_reported(tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    export = ("keys", "export", "--private", tmp_path / "backup.yaml", "--kubeconfig", config)
    assert command(*export)[0] == 2
    config.write_text("hello")
    code, _, err = command(*export)
    assert (code, "not a kubeconfig" in err) == (2, True)
    text = "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}]\ncurrent-context: a\n"
    config.write_text(text + "contexts: [{name: a, context: {cluster: a}}]\n")
    assert command(*export)[0] == 2
    config.write_text(
        text + "users: [{name: u, user: {token: t}}]\ncontexts: [{name: a, context: {cluster: a, user: u}}]\n"
    )
    code, _, err = command(*export)
    assert (code, "does not answer" in err) == (3, True), err
    assert not (tmp_path / "backup.yaml").exists()
