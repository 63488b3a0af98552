"""Files that are encrypted, or should be."""

from __future__ import annotations

from gatekeeper.engines.encrypted import candidates
from tests.conftest import Repository
from tests.render.rendering import parse

ENC = "ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]"
SOPS = f"a: {ENC}\nsops:\n  mac: {ENC}\n  version: 3.9.0\n"


def find(repository: Repository, files: dict[str, str | bytes]) -> dict[str, bool]:
    """The candidates, and whether each is a SOPS file."""
    found = candidates.find_candidates(*parse(repository(files)))
    return {file: sops_file is not None for file, _, sops_file in found}


def test_sops_files_are_found_in_each_format(repository: Repository) -> None:
    files: dict[str, str | bytes] = {
        "a.yaml": SOPS,
        "b.json": f'{{"a": "{ENC}", "sops": {{"mac": "{ENC}"}}}}',
        "c.env": f"A={ENC}\nsops_mac={ENC}\n",
        "d.ini": f"[a]\nb = {ENC}\n[sops]\nmac = {ENC}\n",
        "plain.yaml": "a: 1\n",
        "notes.md": "notes\n",
    }
    assert find(repository, files) == {"a.yaml": True, "b.json": True, "c.env": True, "d.ini": True}


def test_a_file_whose_name_says_that_it_is_encrypted_is_a_candidate(repository: Repository) -> None:
    files: dict[str, str | bytes] = {
        "db.enc.yaml": "a: 1\n",
        "web.sops.env": "A=1\n",
        "x-encrypted.txt": "a",
        "encoder.yaml": "a: 1\n",
    }
    assert find(repository, files) == {"db.enc.yaml": False, "web.sops.env": False, "x-encrypted.txt": False}


def test_a_sealed_secret_that_cannot_be_parsed_is_a_candidate(repository: Repository) -> None:
    text = "<<<<<<< HEAD\nkind: SealedSecret\n=======\n>>>>>>> x\n"
    assert find(repository, {"s.yaml": text}) == {"s.yaml": False}


def test_the_configuration_of_sops_is_no_candidate(repository: Repository) -> None:
    assert find(repository, {".sops.yaml": SOPS, ".sops.yml": SOPS, "sub/.sops.yaml": SOPS}) == {}
