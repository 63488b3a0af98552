"""Plaintext files in the Git history are reported with their commit, and removed from the index on request."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.conftest import command, needs
from tests.sealedsecrets.test_kubeseal_compatibility import SECRET, pair
from tests.sops.conftest import Shop, shop
from tests.workspace.test_file_selection import run_git

__all__ = ["shop"]
VALUE = "hunter2-Zk9vQ1x7Lm3"


@pytest.fixture
def certificate(shop: Shop) -> Path:
    run_git(shop.root, "init", "-q", "-b", "main")
    shop.write("secret.json", orjson.dumps(SECRET))
    return pair(shop.root.parent / "sealing")[0]


def sealed(shop: Shop, certificate: Path, *more: str) -> tuple[int, str]:
    code, _, err = command(
        "seal", "--cert", certificate, "-f", "secret.json", "-w", "sealed.yaml", *more, cwd=shop.root
    )
    return code, err


def staged(shop: Shop) -> list[str]:
    return run_git(shop.root, "ls-files").split()


def test_a_file_that_git_never_saw_needs_no_warning(shop: Shop, certificate: Path) -> None:
    assert sealed(shop, certificate) == (0, "")


def test_the_commit_that_has_the_plain_text_is_named(shop: Shop, certificate: Path) -> None:
    run_git(shop.root, "add", "secret.json")
    run_git(shop.root, "commit", "-q", "-m", "oops")
    first = run_git(shop.root, "rev-parse", "HEAD").strip()
    run_git(shop.root, "rm", "-q", "--cached", "secret.json")
    run_git(shop.root, "commit", "-q", "-m", "gone")
    code, err = sealed(shop, certificate)
    assert code == 0 and f"first in commit {first[:12]} of 2" in err and "index" not in err and "hunter2" not in err


def test_the_plain_file_leaves_the_index_and_the_sealed_one_enters_it(shop: Shop, certificate: Path) -> None:
    run_git(shop.root, "add", "secret.json")
    code, err = sealed(shop, certificate)
    assert code == 0 and "is unencrypted in the Git index; --replace removes it" in err
    assert staged(shop) == ["secret.json"]
    code, err = sealed(shop, certificate, "--replace")
    assert code == 0 and "no longer in the Git index" in err and "warning" not in err
    assert staged(shop) == ["sealed.yaml"] and (shop.root / "secret.json").exists()
    assert command("seal", "--cert", certificate, "--replace", "-f", shop.root / "secret.json")[0] == 2


@needs("sops")
def test_a_file_that_sops_encrypts_in_place_is_looked_for_too(shop: Shop, certificate: Path) -> None:
    shop.write("a.yaml", f"a: {VALUE}\n")
    run_git(shop.root, "add", "a.yaml")
    run_git(shop.root, "commit", "-q", "-m", "oops")
    first = run_git(shop.root, "rev-parse", "HEAD").strip()
    code, _, err = shop.sops("encrypt", "a.yaml")
    assert code == 0 and first[:12] in err and "--replace removes it" in err and VALUE not in err
    code, _, err = shop.sops("encrypt", "a.yaml", "--replace")
    assert code == 0 and first[:12] in err and "index" not in err
    assert "ENC[" in run_git(shop.root, "show", ":a.yaml")
