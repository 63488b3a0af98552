"""With the keys at hand, what is sealed is opened: what was changed is found, and a key that lacks is no acceptance."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from gatekeeper.host import toolchain
from tests.conftest import command, needs
from tests.sealedsecrets.test_kubeseal_compatibility import SECRET, pair
from tests.sops.conftest import Shop, shop

__all__ = ["shop"]
pytestmark = needs("sops")
VALUE = "hunter2-Zk9vQ1x7Lm3"


def opened(shop: Shop, *keys: Path, own: Path | None = None) -> tuple[int, Any]:
    arguments = [word for key in keys for word in ("--key", key)]
    code, out, err = shop.run("check", "--open", *arguments, "--format", "json", key=own)
    assert out and VALUE not in out + err and "hunter2" not in out + err, err
    return code, orjson.loads(out)


def told(verdict: Any) -> list[tuple[str, str]]:
    return [(one["rule"], one["file"]) for one in verdict["findings"]]


@pytest.fixture
def keys(shop: Shop) -> tuple[Path, Path]:
    made = pair(shop.root.parent / "sealing")
    shop.write("../secret.json", orjson.dumps(SECRET))
    code, _, err = command(
        "seal", "--cert", made[0], "-f", shop.root.parent / "secret.json", "-w", shop.root / "sealed.yaml"
    )
    assert (code, err) == (0, "")
    return made


def test_intact_files_are_accepted(shop: Shop, keys: tuple[Path, Path]) -> None:
    for name in ("a.yaml", "sub/b.env"):
        shop.encrypted(name, f"A={VALUE}\n" if name.endswith("env") else f"a: {VALUE}\n")
    code, verdict = opened(shop, keys[1])
    assert (code, verdict["verdict"], told(verdict)) == (0, "accepted", [])


def test_removed_value_is_found_only_by_the_mac(shop: Shop) -> None:
    path = shop.encrypted("a.yaml", f"a: {VALUE}\nb: x\n")
    path.write_text(re.sub(r"^b: .*\n", "", path.read_text(), flags=re.MULTILINE))
    assert shop.run("check")[0] == 0
    code, verdict = opened(shop)
    assert (code, told(verdict)) == (1, [("sops/not-opened", "a.yaml")])
    assert "its MAC does not match" in verdict["findings"][0]["message"]


def test_a_seal_that_was_changed_or_moved_is_found_at_its_line(shop: Shop, keys: tuple[Path, Path]) -> None:
    path = shop.root / "sealed.yaml"
    whole = path.read_text()
    line = next(line for line in whole.splitlines() if line.startswith("    password: "))
    path.write_text(whole.replace(line, line[:-6] + ("A" if line[-6] != "A" else "B") + line[-5:]))
    code, verdict = opened(shop, keys[1])
    [finding] = verdict["findings"]
    assert (code, finding["rule"], finding["line"]) == (1, "sealed/not-opened", whole.splitlines().index(line) + 1)
    path.write_text(whole.replace("name: db", "name: other"))
    code, verdict = opened(shop, keys[1])
    assert code == 1 and {rule for rule, _ in told(verdict)} == {"sealed/not-opened"}


def test_without_its_key_nothing_is_accepted(shop: Shop, keys: tuple[Path, Path]) -> None:
    shop.encrypted("a.yaml", f"a: {VALUE}\n")
    code, verdict = opened(shop, own=shop.other.file)
    reasons = [(one["file"], one["reason"]) for one in verdict["coverage"]["skipped"]]
    assert (code, verdict["verdict"]) == (3, "incomplete")
    assert any(file == "a.yaml" and "no available key decrypts it" in reason for file, reason in reasons)
    assert any(file == "sealed.yaml" and "could not be decrypted" in reason for file, reason in reasons)
    other = pair(shop.root.parent / "other")
    assert opened(shop, other[1])[0] == 3
    assert shop.run("check", "--key", keys[1])[0] == 2


def test_without_sops_nothing_is_accepted(shop: Shop) -> None:
    shop.encrypted("a.yaml", f"a: {VALUE}\n")
    assert toolchain.DEFAULT_TOOLCHAIN.find("sops")
    empty = {**os.environ, "XDG_CACHE_HOME": str(shop.root.parent / "empty"), "PATH": "/usr/bin:/bin"}
    code, _, err = command("check", "--open", cwd=shop.root, env=empty)
    assert (code, "gatekeeper tools install sops" in err) == (3, True)
