"""Values are changed in place: comments, order and quotes stay, and what did not change keeps its ciphertext."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from tests.conftest import command
from tests.sealedsecrets.test_kubeseal_compatibility import SECRET, VALUES, kubeseal, opened, pair

Keys = tuple[Path, Path]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return pair(tmp_path / "keys")


@pytest.fixture
def file(tmp_path: Path, keys: Keys) -> Path:
    """A sealed file with comments by a user."""
    secret = tmp_path / "secret.json"
    secret.write_bytes(orjson.dumps(SECRET))
    text = command("seal", "--cert", keys[0], "-o", "yaml", "-f", secret)[1]
    path = tmp_path / "sealed.yaml"
    path.write_text("# of the shop\n" + text.replace("  encryptedData:\n", "  # in this order\n  encryptedData:\n"))
    return path


def secret_of(folder: Path, values: dict[str, str], **metadata: Any) -> Path:
    path = folder / "more.json"
    path.write_bytes(orjson.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}))
    return path


def merged(file: Path, keys: Keys, values: dict[str, str], *arguments: str | Path) -> tuple[int, str]:
    source = secret_of(file.parent, values)
    code, _, err = command("seal", "--cert", keys[0], "-f", source, "--merge-into", file, *arguments)
    return code, err


def differing(before: str, after: str) -> list[str]:
    return [line.split(":")[0].strip() for line in after.splitlines() if line not in before.splitlines()]


def test_one_changed_value_changes_one_line(file: Path, keys: Keys) -> None:
    before = file.read_text()
    assert merged(file, keys, {"password": "new"}) == (0, "")
    after = file.read_text()
    assert differing(before, after) == ["password"] and len(after.splitlines()) == len(before.splitlines())
    out = kubeseal("--recovery-unseal", "--recovery-private-key", keys[1], stdin=after.encode())
    assert opened(out) == {**VALUES, "password": b"new"}


def test_a_new_value_is_put_behind_the_others(file: Path, keys: Keys) -> None:
    before = file.read_text()
    assert merged(file, keys, {"more": "x"}) == (0, "")
    assert differing(before, file.read_text()) == ["more"]
    assert opened(command("unseal", "--key", keys[1], "-f", file)[1]) == {**VALUES, "more": b"x"}


def test_unchanged_values_stay_if_the_private_key_is_given(file: Path, keys: Keys) -> None:
    before = file.read_text()
    assert merged(file, keys, {"password": "hunter2", "text": "grün\n"}, "--key", keys[1]) == (0, "")
    assert file.read_text() == before
    assert merged(file, keys, {"password": "hunter2", "text": "rot\n"}, "--key", keys[1]) == (0, "")
    assert differing(before, file.read_text()) == ["text"]


def test_a_file_of_the_real_kubeseal_in_json_can_be_changed_too(tmp_path: Path, keys: Keys) -> None:
    path = tmp_path / "sealed.json"
    path.write_text(kubeseal("--cert", keys[0], "-o", "json", stdin=orjson.dumps(SECRET)))
    before = orjson.loads(path.read_bytes())
    assert merged(path, keys, {"password": "new"}) == (0, "")
    after = orjson.loads(path.read_bytes())
    assert {k for k, v in after["spec"]["encryptedData"].items() if before["spec"]["encryptedData"][k] != v} == {
        "password"
    }


def test_unrelated_secrets_are_not_merged(file: Path, keys: Keys, tmp_path: Path) -> None:
    before = file.read_text()
    source = secret_of(tmp_path, {"a": "b"}, name="other")
    code, _, err = command("seal", "--cert", keys[0], "-f", source, "--merge-into", file)
    assert (code, "name differs from that of" in err) == (1, True)
    other, _ = pair(tmp_path / "other")
    code, _, err = command("seal", "--cert", other, "-f", secret_of(tmp_path, {"a": "b"}), "--merge-into", file)
    assert (code, "is sealed with another certificate" in err) == (1, True)
    assert file.read_text() == before


def test_a_file_is_sealed_for_another_certificate_and_nothing_else_in_it_changes(
    file: Path, keys: Keys, tmp_path: Path
) -> None:
    other = pair(tmp_path / "other", 3072)
    before = file.read_text()
    code, out, _ = command("reseal", "--key", keys[1], "--cert", other[0], "--dry-run", tmp_path)
    assert code == 1 and "would be" in out and file.read_text() == before
    code, out, err = command("reseal", "--key", keys[1], "--cert", other[0], tmp_path)
    assert (code, err) == (0, "") and f"resealed  {file}" in out
    after = file.read_text()
    assert set(differing(before, after)) == {*VALUES, "gatekeeper-gitops.io/sealed-with"}
    out = kubeseal("--recovery-unseal", "--recovery-private-key", other[1], stdin=after.encode())
    assert opened(out) == VALUES
    code, out, _ = command("reseal", "--key", keys[1], "--key", other[1], "--cert", other[0], tmp_path)
    assert code == 0 and f"unchanged {file}" in out and file.read_text() == after


def test_file_that_cannot_be_decrypted_is_kept_and_reported(file: Path, keys: Keys, tmp_path: Path) -> None:
    other = pair(tmp_path / "other")
    before = file.read_text()
    code, out, _ = command("reseal", "--key", other[1], "--cert", other[0], file)
    assert code == 1 and "FAILED" in out and "no key decrypts it" in out
    assert file.read_text() == before


def test_the_template_stays_with_what_only_the_controller_fills(file: Path, keys: Keys, tmp_path: Path) -> None:
    held = yaml.safe_load(file.read_text())
    held["spec"]["template"]["data"] = {"url": "{{ .password }}"}
    file.write_text(yaml.safe_dump(held, width=1_000_000))
    other = pair(tmp_path / "other")
    assert command("reseal", "--key", keys[1], "--cert", other[0], file)[0] == 0
    assert yaml.safe_load(file.read_text())["spec"]["template"] == held["spec"]["template"]


def test_several_clusters_are_resealed_in_one_call_each_for_its_own_certificate(keys: Keys, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_bytes(orjson.dumps(SECRET))
    targets = {
        "prod": pair(tmp_path / "new-prod"),
        "prod/eu": pair(tmp_path / "new-eu"),
        "test": pair(tmp_path / "new-test"),
    }
    root = tmp_path / "clusters"
    for name in targets:
        (root / name).mkdir(parents=True)
        command("seal", "--cert", keys[0], "-f", secret, "-w", root / name / "sealed.yaml")
    chosen = [word for name, (cert, _) in targets.items() for word in ("--cert", f"{root / name}={cert}")]
    code, out, err = command("reseal", "--key", keys[1], *chosen, root)
    assert (code, err) == (0, "") and out.count("resealed") == 3 and "3 files were sealed for" in out
    for name, (_, key) in targets.items():
        assert opened(command("unseal", "--key", key, "-f", root / name / "sealed.yaml")[1]) == VALUES
    (root / "other").mkdir()
    command("seal", "--cert", keys[0], "-f", secret, "-w", root / "other" / "sealed.yaml")
    code, out, _ = command("reseal", "--key", keys[1], *chosen, root / "other")
    assert (code, "no --cert covers this folder" in out) == (1, True)
    code, _, err = command("reseal", "--key", keys[1], "--cert", f"{root / 'gone'}={keys[0]}", root)
    assert (code, "is not a folder" in err) == (2, True)
