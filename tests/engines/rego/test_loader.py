"""Rego policies as files: packages, rules and versions, and each one that cannot be loaded is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.engines.rego import loader
from gatekeeper.engines.rego.model import PolicySet
from gatekeeper.errors import PolicyError


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("text", "rules", "is_v0"),
    [
        ("package a\ndeny[msg] { msg := 1 }\n", ["deny"], True),
        ("package a\nimport rego.v1\ndeny contains 1 if true\n", ["deny"], False),
        ("package a\ndeny contains 1 if { true }\n", ["deny"], False),
        ("package a\ndefault allow := false\nallow if { x }\nx := {1, 2}\n", ["allow", "x"], False),
        ('package a\nx := {\n  "deny": 1,\n}\n', ["x"], False),
        ('package a\n# deny contains 1\nwarn_x[y] {\n  y := "} deny {"\n}\n', ["warn_x"], True),
        ("package a\nf(x) = y {\n y := `\ndeny { }`\n}\n", ["f"], True),
        ("package a\nallow { true } else { false }\nimport data.b\n", ["allow"], True),
    ],
)
def test_the_outline_of_a_module_has_its_rules_and_its_version(text: str, rules: list[str], is_v0: bool) -> None:
    module = loader.parse_module(text, "a.rego")
    assert ([rule for rule in module.rules if rule != "else"], module.is_v0, module.package) == (rules, is_v0, "a")


def test_a_module_without_a_package_is_an_error() -> None:
    with pytest.raises(PolicyError, match=r"p\.rego:1: no `package` line"):
        loader.parse_module("deny { true }", "p.rego")


def test_metadata_is_the_first_block_and_broken_metadata_is_none() -> None:
    text = "# METADATA\n# title: one\n# custom:\n#   severity: error\npackage a\n# METADATA\n# title: two\n"
    assert loader.parse_module(text, "a").metadata == {"title": "one", "custom": {"severity": "error"}}
    assert loader.parse_module("# METADATA\n# title: [\npackage a\n", "a").metadata == {}
    assert loader.parse_module("package a\n", "a").metadata == {}


def test_a_folder_without_policies_and_a_missing_one_are_errors(tmp_path: Path) -> None:
    write(tmp_path, p__readme_md="text", k__c_yaml="kind: ConstraintTemplate\n")
    (tmp_path / "k" / "c_yaml").rename(tmp_path / "k" / "c.yaml")
    with pytest.raises(PolicyError, match="p: no policy in it"):
        loader.load_policies(tmp_path, ["p"])
    for folders, data in ((["none"], []), ([], ["none.json"])):
        with pytest.raises(PolicyError, match="no such file or folder"):
            loader.load_policies(tmp_path, folders, data)
    assert loader.load_policies(tmp_path, ["k"]).modules == ()


def test_data_files_are_merged_and_a_conflict_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1.yaml").write_text("a: {x: 1}\nb: 1\n")
    (tmp_path / "d" / "2.json").write_text('{"a": {"y": 2}, "b": 1}')
    assert loader.load_policies(tmp_path, [], ["d"]).data == {"a": {"x": 1, "y": 2}, "b": 1}
    (tmp_path / "d" / "3.yaml").write_text("a: {x: 3}\n")
    with pytest.raises(PolicyError, match=r"d/3\.yaml: `x` has different values"):
        loader.load_policies(tmp_path, [], ["d"])
    (tmp_path / "d" / "3.yaml").write_text("- 1\n")
    with pytest.raises(PolicyError, match="must be a mapping"):
        loader.load_policies(tmp_path, [], ["d"])


def test_sets_are_merged_with_their_data_and_a_conflict_is_an_error() -> None:
    one, two = (PolicySet((loader.parse_module(f"package {name}\n", name),), {name: 1}) for name in "ab")
    merged = loader.merge_policy_sets([one, two])
    assert [module.package for module in merged.modules] == ["a", "b"] and merged.data == {"a": 1, "b": 1}
    with pytest.raises(PolicyError, match="`a` has different values"):
        loader.merge_policy_sets([one, two._replace(data={"a": 2})])
    assert one.data == {"a": 1}, "the sets stay as they are"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x := time.now_ns()", True),
        ("http.send({})", True),
        ("rand.intn(1, 2)", True),
        ("mytime.now_nsx", False),
        ("time.parse_ns", False),
    ],
)
def test_a_policy_that_reads_clock_chance_or_network_is_known(text: str, expected: bool) -> None:
    assert loader.is_nondeterministic(text) is expected
