"""SOPS files and the rules of `.sops.yaml`: recipients, files without a rule, files that were never encrypted."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.engines.encrypted import sops_rules
from gatekeeper.workspace.tree import Tree
from tests.conftest import Repository, needs
from tests.engines.encrypted.test_sops_files import VALUE, one, told
from tests.sops.conftest import Shop, age, shop

__all__ = ["shop"]
pytestmark = needs("sops")


def test_recipients_that_the_rule_does_not_name_are_found(shop: Shop, tmp_path: Path) -> None:
    third = age(tmp_path / "keys", "third.txt")
    shop.rules(f"age: '{shop.key.recipient},{shop.other.recipient}'")
    path = shop.encrypted("a.yaml", f"a: {VALUE}\n")
    assert told(shop) == []
    shop.rules(f"age: [{shop.key.recipient}, {third.recipient}]")
    stale, lacks = sorted(told(shop), key=lambda found: "still" not in found.message)
    assert (stale.rule, lacks.rule) == ("sops/recipients", "sops/recipients")
    assert "is still encrypted for age " in stale.message and "is not encrypted for age " in lacks.message
    entry = path.read_text().splitlines()[(stale.location.line or 0) - 1 :]
    assert shop.other.recipient in next(line for line in entry if "recipient" in line)
    assert "gatekeeper sops updatekeys a.yaml" in stale.hint
    assert shop.sops("updatekeys", "a.yaml")[0] == 0
    assert told(shop) == []


def test_key_groups_and_their_threshold_are_compared(shop: Shop, tmp_path: Path) -> None:
    names = [shop.key.recipient, shop.other.recipient, age(tmp_path, "third.txt").recipient]
    groups = f"key_groups: [{', '.join(f'{{age: [{name}]}}' for name in names)}]\n    shamir_threshold: "
    shop.rules(groups + "2")
    shop.encrypted("a.yaml", f"a: {VALUE}\n")
    assert told(shop) == []
    shop.rules(groups + "3")
    assert "needs 2 of 3 key groups; .sops.yaml, rule 1, requires 3 of 3" in one(shop, "sops/recipients").message


def test_rules_that_are_faulty_are_found_in_their_lines(shop: Shop) -> None:
    path = shop.encrypted("a.yaml", f"a: {VALUE}\n")
    shop.rules(
        f"path_regex: '['\n    age: {shop.key.recipient}",
        f"unencrypted-regex: x\n    age: {shop.key.recipient}",
        f"encrypted_regex: x\n    encrypted_suffix: _y\n    age: {shop.key.recipient}",
        "path_regex: nothing",
    )
    found = [(one.location.line, one.severity, one.rule) for one in told(shop) if one.location.file == ".sops.yaml"]
    assert found == [
        (2, "error", "sops/config"),
        (4, "warning", "sops/config"),
        (6, "error", "sops/config"),
        (9, "warning", "sops/config"),
    ]
    (shop.root / ".sops.yaml").rename(shop.root / ".sops.yml")
    finding = one(shop, "sops/config-name")
    assert finding.location.file == ".sops.yml" and path.exists()
    shop.write(".sops.yaml", "creation_rules: [\n")
    assert "is not valid YAML" in next(one for one in told(shop) if one.rule == "sops/config").message


def test_file_without_a_creation_rule_is_found(shop: Shop) -> None:
    shop.encrypted("a.yaml", f"a: {VALUE}\n")
    shop.rules(f"path_regex: ^secrets/\n    age: {shop.key.recipient}")
    assert one(shop, "sops/no-rule").severity == "warning"


def test_a_file_that_should_be_encrypted_and_is_not_is_found(shop: Shop) -> None:
    shop.rules(f"path_regex: .*\n    age: {shop.key.recipient}")
    shop.write("db.enc.yaml", "greeting: hello\n")
    shop.write("plain.yaml", "greeting: hello\n")
    shop.write("web.sops.env", "A=b\n")
    found = told(shop)
    assert [(one.rule, one.location.file) for one in found] == [
        ("sops/not-encrypted", "db.enc.yaml"),
        ("sops/not-encrypted", "web.sops.env"),
    ]


def test_the_rules_of_the_nearest_folder_count(repository: Repository, tmp_path: Path) -> None:
    key, other = age(tmp_path, "a.txt"), age(tmp_path, "b.txt")
    root = repository({".sops.yaml": f"creation_rules: [{{age: {key.recipient}}}]\n"})
    shop = Shop(root, key, other)
    shop.write("prod/.sops.yaml", f"creation_rules: [{{path_regex: '^db', age: {other.recipient}}}]\n")
    shop.encrypted("prod/db.yaml", "a: b\n")
    assert told(shop) == []


@pytest.mark.parametrize(
    ("name", "is_encrypted"),
    [
        ("db.enc.yaml", True),
        ("sops-db.yaml", True),
        ("DB.ENCRYPTED.env", True),
        (".enc", True),
        ("encoder.yaml", False),
        ("sopsfile.yaml", False),
        ("unencrypted.yaml", False),
    ],
)
def test_a_name_says_that_its_content_is_encrypted(name: str, is_encrypted: bool) -> None:
    assert bool(sops_rules.ENCRYPTED_NAME.search(name)) is is_encrypted


def test_each_config_is_read_once_and_the_nearest_one_counts(repository: Repository) -> None:
    root = repository(
        {".sops.yaml": "creation_rules: [{age: age1a}]\n", "a/.sops.yaml": "creation_rules: [{age: age1b}]\n"}
    )
    find = sops_rules.build_rule_lookup(Tree(root, []))
    files = {file: find(file) for file in ("x.yaml", "a/x.yaml", "a/b/c/x.yaml", "other/x.yaml")}
    assert {file: rules and rules.file for file, rules in files.items()} == {
        "x.yaml": ".sops.yaml",
        "a/x.yaml": "a/.sops.yaml",
        "a/b/c/x.yaml": "a/.sops.yaml",
        "other/x.yaml": ".sops.yaml",
    }
    assert find("a/y.yaml") is files["a/x.yaml"]


def test_an_empty_file_and_one_without_rules_need_no_encryption(repository: Repository) -> None:
    root = repository({".sops.yaml": "creation_rules: [{path_regex: '.*', age: age1a}]\n"})
    rules = sops_rules.build_rule_lookup(Tree(root, []))("a.enc.yaml")
    assert list(sops_rules.check_not_encrypted("a.enc.yaml", b" \n", rules)) == []
    assert list(sops_rules.check_not_encrypted("a.enc.yaml", b"a: 1\n", None)) == []
    assert list(sops_rules.check_not_encrypted("a.yaml", b"a: 1\n", rules)) == []
    [finding] = sops_rules.check_not_encrypted("a.enc.yaml", b"a: 1\n", rules)
    assert finding.rule == "sops/not-encrypted" and "rotate" in finding.hint
