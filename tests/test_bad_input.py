"""Every kind of bad input: one clear message, the right exit code, no traceback, and the other files are checked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gatekeeper.engines.schema.catalog import SchemaCatalog
from gatekeeper.errors import UsageError
from tests.conftest import Repository, command, judge, needs, rules
from tests.gate.test_pipeline import GOOD

# A text of a million characters, 4096 times.
ALIASES = f"apiVersion: v1\na: &a {'x' * 1_000_000}\nl: [{', '.join(['*a'] * 4096)}]\n"
BAD: list[tuple[str, dict[str, str | bytes], int, str]] = [
    ("broken YAML", {"a.yaml": "a: [1\n"}, 3, "cannot be read"),
    ("not UTF-8", {"a.yaml": b"a: \xff\xfe\n"}, 3, "not UTF-8 at byte 3"),
    ("deep nesting", {"a.yaml": "[" * 10_000}, 3, "nested more than"),
    ("aliases that expand to 4 GB", {"a.yaml": ALIASES}, 3, "a.yaml:1:1: error: cannot be read: aliases expand to"),
    ("deep nesting that ends", {"a.yaml": "a: " + "[" * 100_000 + "]" * 100_000}, 3, "nested more than"),
    ("deep nesting by items", {"a.yaml": "- " * 100_000 + "a\n"}, 3, "nested more than"),
    ("a NUL byte", {"a.yaml": b'a: "\x00"\n'}, 3, "control characters are not allowed"),
    (
        "a policy that does not compile",
        {
            "gatekeeper.yaml": "policies: {paths: [p]}\n",
            "p/a.rego": "package a\n\ndeny contains if {\n",
            "a.yaml": GOOD,
        },
        3,
        "p/a.rego: does not compile",
    ),
    (
        "a policy folder without policies",
        {"gatekeeper.yaml": "policies: {paths: [p]}\n", "p/x.txt": ""},
        3,
        "p: no policy in it (.rego, .schema.json, YAML)",
    ),
    ("a policy folder that is not there", {"gatekeeper.yaml": "policies: {paths: [p]}\n"}, 3, "no such file"),
    (
        "data that is no JSON",
        {
            "gatekeeper.yaml": "policies: {paths: [p], data: [d]}\n",
            "p/a.rego": "package a\n",
            "d/x.json": "{",
        },
        3,
        "d/x.json:2:1: not valid YAML or JSON",
    ),
    ("an unknown setting", {"gatekeeper.yaml": "enginee: opa\n"}, 2, "unknown setting `enginee`"),
    ("a setting of the wrong type", {"gatekeeper.yaml": "policies: {paths: x}\n"}, 2, "must be a list of strings"),
    ("an unknown Kubernetes version", {"gatekeeper.yaml": "kubernetes: '1.2'\n"}, 2, "can be 1.25 to"),
    ("a kind without a schema", {"a.yaml": "apiVersion: x.io/v1\nkind: X\n"}, 3, "no schema for X"),
    (
        "a kustomization that builds on a URL",
        {
            "kustomization.yaml": "resources: ['https://example.com/x?ref=v1']\n",
        },
        3,
        "does not fetch",
    ),
    (
        "a kustomization that leaves the repository",
        {
            "kustomization.yaml": "resources: [../../etc/passwd]\n",
        },
        3,
        "outside the repository",
    ),
    (
        "a CRD folder without CRDs",
        {
            "gatekeeper.yaml": "schemas: {crds: [c]}\n",
            "c/x.yaml": "a: 1\n",
        },
        2,
        "schemas.crds",
    ),
]


@pytest.mark.parametrize(("files", "status", "words"), [pytest.param(*case[1:], id=case[0]) for case in BAD])
def test_bad_input_gets_one_clear_message(
    repository: Repository, files: dict[str, str | bytes], status: int, words: str
) -> None:
    code, out, err = command("check", repository(files))
    assert code == status, out + err
    assert words in out + err
    assert "Traceback" not in out + err


def test_one_bad_file_does_not_stop_the_check_of_the_rest(repository: Repository) -> None:
    verdict = judge(repository({"a.yaml": "a: [1\n", "b.yaml": GOOD.replace("\ndata:", "\ndta:")}))
    assert rules(verdict) == {"yaml/syntax", "schema/unknown-field"}
    assert verdict.exit_code == 3


def test_missing_path() -> None:
    code, _, err = command("check", "/nowhere/at/all")
    assert code == 2
    assert "no such file or folder" in err


def test_a_file_that_is_too_large_is_a_gap(repository: Repository) -> None:
    root = repository({"a.yaml": GOOD})
    with (root / "big.yaml").open("wb") as handle:
        handle.truncate(50 << 20)
    verdict = judge(root)
    assert verdict.exit_code == 3
    assert any(gap.file == "big.yaml" and "larger than" in gap.reason for gap in verdict.coverage.gaps)


def test_links_that_loop_or_leave_the_repository_are_gaps(repository: Repository, tmp_path: Path) -> None:
    root = repository({"a.yaml": GOOD})
    (tmp_path / "secret.yaml").write_text(GOOD)
    (root / "loop").symlink_to("loop")
    (root / "out.yaml").symlink_to(tmp_path / "secret.yaml")
    (root / "in.yaml").symlink_to("a.yaml")
    reasons = {gap.file: (gap.reason, gap.is_fatal) for gap in judge(root).coverage.gaps}
    assert "a symbolic link to nothing or to itself" in reasons["loop"][0] and reasons["loop"][1]
    assert "out of the repository" in reasons["out.yaml"][0] and reasons["out.yaml"][1]
    assert "checked as a.yaml" in reasons["in.yaml"][0] and not reasons["in.yaml"][1]


@needs("gatekeeper-upstream")
def test_a_repository_behind_a_link_is_checked_like_the_repository(repository: Repository, tmp_path: Path) -> None:
    root = repository({"a.yaml": GOOD, "kustomization.yaml": "resources: [a.yaml]\n"})
    (tmp_path / "link").symlink_to(root)
    assert judge(tmp_path / "link") == judge(root)


def test_endless_policy_is_stopped_and_reported(repository: Repository) -> None:
    slow = """package slow
import rego.v1
deny contains "x" if {
	some a in numbers.range(1, 3000)
	some b in numbers.range(1, 3000)
	some c in numbers.range(1, 3000)
	a * b * c == -1
}
"""
    config = "library: {profile: 'off'}\npolicies: {paths: [p], timeout: 0.2}\n"
    root = repository({"a.yaml": GOOD, "p/slow.rego": slow, "gatekeeper.yaml": config})
    began = time.monotonic()
    verdict = judge(root)
    assert time.monotonic() - began < 30
    assert verdict.exit_code == 3
    assert any("policies.timeout" in gap.reason for gap in verdict.coverage.gaps)


def test_a_missing_renderer_is_reported_and_never_accepted(repository: Repository, tmp_path: Path) -> None:
    root = repository({"kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": GOOD})
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PATH": ""}
    code, out, _ = command("check", root, env=environment)
    assert code == 3
    assert "gatekeeper tools install gatekeeper-upstream" in out


CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: xs.x.io}}
spec:
  group: x.io
  names: {{kind: X, plural: xs}}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {schema}}}
"""


def test_a_schema_that_cannot_be_used_is_reported_and_the_rest_is_checked(repository: Repository) -> None:
    crd = CRD.format(schema="{type: object, properties: {spec: {type: string, pattern: '('}}}")
    wrong = GOOD.replace("\ndata:", "\ndta:")
    root = repository(
        {"crd.yaml": crd, "x.yaml": "apiVersion: x.io/v1\nkind: X\nmetadata: {name: x}\n", "a.yaml": wrong}
    )
    verdict = judge(root)
    assert verdict.exit_code == 3
    assert any("the schema of X (x.io/v1) cannot be used" in gap.reason for gap in verdict.coverage.gaps)
    assert "schema/unknown-field" in rules(verdict)


def test_dangling_reference_is_reported() -> None:
    catalog = SchemaCatalog("1.34")
    catalog._definitions = {"x": {"$ref": "#/$defs/gone"}}
    catalog._kinds = {("x.io/v1", "X"): "x"}
    with pytest.raises(UsageError, match=r"the schema of X \(x.io/v1\) refers to `gone`, which does not exist"):
        catalog.find_invalid(("x.io/v1", "X"), [b"{}"], 1)


def test_invalid_leak_rules_are_reported_and_library_rules_are_used(repository: Repository) -> None:
    key = "-----BEGIN " + "RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA" * 8 + "\n"
    config = "library: {profile: 'off'}\nleaks: {rules: [own.toml]}\n"
    root = repository({"gatekeeper.yaml": config, "own.toml": "[[rules]]\nid='x'\nregex='('\n", "k.txt": key})
    verdict = judge(root)
    assert verdict.exit_code == 3
    assert any("own.toml: rule `x`: a pattern is not valid RE2 syntax" in gap.reason for gap in verdict.coverage.gaps)
    assert rules(verdict) == {"plaintext/private-key"}


@pytest.mark.parametrize("name", ["link.yaml", "linked/x.yaml"])
def test_kustomize_is_not_led_out_of_the_repository_by_a_link(
    repository: Repository, tmp_path: Path, name: str
) -> None:
    root = repository({"app/kustomization.yaml": f"resources: [{name}]\n"})
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "x.yaml").write_text(GOOD)
    (root / "app" / "link.yaml").symlink_to(tmp_path / "away" / "x.yaml")
    (root / "app" / "linked").symlink_to(tmp_path / "away")
    verdict = judge(root)
    assert "render/outside" in rules(verdict)
    assert verdict.coverage.resource_count == 0


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
@pytest.mark.parametrize("name", ["secret.yaml", "folder"])
def test_forbidden_secret_is_reported(repository: Repository, name: str) -> None:
    root = repository({"a.yaml": GOOD, "secret.yaml": GOOD, "folder/x.yaml": GOOD})
    (root / name).chmod(0)
    # Root reads everything, unless it gives these two rights away.
    humble = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", sys.executable, "-m", "gatekeeper"]
    done = subprocess.run([*humble, "check", root], capture_output=True, text=True, timeout=60, check=False)
    (root / name).chmod(0o755)
    assert done.returncode == 3, done.stderr
    assert f"{name}: " in done.stdout and "cannot be read" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_reported(repository: Repository, tmp_path: Path) -> None:
    root = repository({"a.yaml": GOOD})
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gatekeeper", "check", root],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (3, "gatekeeper: No space left on device\n")


def test_a_report_that_cannot_be_written_is_reported(repository: Repository, tmp_path: Path) -> None:
    report = tmp_path / "not" / "there" / "v.json"
    code, _, err = command("check", "--format", f"json={report}", repository({"a.yaml": GOOD}))
    assert (code, "No such file or directory" in err, "Traceback" in err) == (3, True, False)


def test_folders_that_link_in_a_circle_end(repository: Repository) -> None:
    root = repository({"a/b/x.yaml": GOOD})
    (root / "a" / "b" / "up").symlink_to(root / "a")
    verdict = judge(root)
    assert verdict.coverage.resource_count == 1


def test_kustomization_cycle_is_reported(repository: Repository) -> None:
    root = repository({"a/kustomization.yaml": "resources: [../b]\n", "b/kustomization.yaml": "resources: [../a]\n"})
    verdict = judge(root)
    assert verdict.exit_code == 3
