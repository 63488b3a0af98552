"""Keys: new ones as the controller has them, certificates in the repository, and what the gate says of both."""

from __future__ import annotations

import stat
from pathlib import Path

import orjson
import pytest

from tests.conftest import Repository, command, judge, verdict_of
from tests.sealing.test_kubeseal import SECRET, VALUES, kubeseal, opened, pair


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


def test_a_private_key_is_for_nobody_else_and_never_written_over(made: tuple[Path, Path], tmp_path: Path) -> None:
    assert stat.S_IMODE(made[1].stat().st_mode) == 0o600
    before = made[1].read_bytes()
    code, _, err = command("keys", "new", "--certificate", tmp_path / "other.pem", "--private", made[1])
    assert (code, "never written over" in err) == (2, True)
    assert made[1].read_bytes() == before and not (tmp_path / "other.pem").exists()


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
    assert (finding.rule, finding.place.file) == ("sealed/unknown-certificate", "db.yaml")
    assert finding.place.line == 1 + str(files["db.yaml"]).splitlines().index(
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
