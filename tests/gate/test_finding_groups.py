"""One finding for a Secret with all its keys, and for a cause with all its places.

Waivers, the baseline and an earlier commit count for each key and place.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

import orjson
import pytest

from gatekeeper.gate import finding_groups, verdict_codec
from gatekeeper.model import Finding, Location, ObjectRef, Verdict
from tests.conftest import Repository, command, judge

SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData:\n"
WAIVER = '# gatekeeper:waive rule=plaintext/secret expires=2999-01-01 reason="a dummy"\n'
CONFIG = "waivers: {maxDays: 999999}\nlibrary: {profile: 'off'}\n"
REF = ObjectRef("v1", "Secret", "shop", "s")


def build_finding(key: str, line: int, severity: str = "error", hint: str = "seal it") -> Finding:
    return Finding(
        "plaintext/secret",
        "error" if severity == "error" else "warning",
        f"`{key}` is readable",
        Location("a.yaml", line, 3),
        REF,
        ("stringData", key),
        hint,
    )


def test_a_secret_with_several_keys_is_one_finding(repository: Repository) -> None:
    verdict = judge(repository({"a.yaml": SECRET + "  b: correct horse\n  a.b: battery staple\n  c: hunter two\n"}))
    [finding] = [one for one in verdict.findings if one.rule == "plaintext/secret"]
    assert "`stringData.b`, `stringData.a.b`, `stringData.c`" in finding.message
    assert (finding.location.line, finding.field_path) == (5, ("stringData", "b"))
    assert finding.hint.count("rotate the secret") == 1


def test_two_secrets_in_one_file_are_two_findings(repository: Repository) -> None:
    text = SECRET + "  a: correct horse\n---\n" + SECRET.replace("name: s", "name: t") + "  a: correct horse\n"
    verdict = judge(repository({"a.yaml": text}))
    assert [one.location.line for one in verdict.findings if one.rule == "plaintext/secret"] == [5, 11]


def test_a_group_has_the_highest_severity_and_all_hints() -> None:
    [group] = finding_groups.group_findings([build_finding("a", 7, "warning"), build_finding("b", 9, hint="fetch it")])
    assert (group.severity, group.location.line, group.hint) == ("error", 7, "seal it; fetch it")


def test_a_group_keeps_its_members_and_survives_the_cache() -> None:
    findings = [build_finding(str(number), number) for number in range(1, 31)]
    [group] = finding_groups.group_findings(findings)
    assert list(finding_groups.ungroup_findings([group])) == findings
    assert "and 10 more" in group.message and group.message.count("stringData") == 20
    verdict = Verdict((group,))
    assert verdict_codec.from_bytes(verdict_codec.to_bytes(verdict)).findings == verdict.findings


def test_a_waived_key_hides_no_other_key(repository: Repository) -> None:
    text = SECRET + f"  a: correct horse\n  {WAIVER}  b: battery staple\n  c: hunter two\n"
    verdict = judge(repository({"a.yaml": text, "gatekeeper.yaml": CONFIG}))
    found = [one for one in verdict.findings if one.rule == "plaintext/secret"]
    waived, counted = sorted(found, key=lambda one: one.waiver is None)
    assert waived.field_path == ("stringData", "b")
    assert "`stringData.a`, `stringData.c`" in counted.message and "stringData.b" not in counted.message


@pytest.mark.parametrize("since", [False, True])
def test_a_known_key_hides_no_new_key_and_a_removed_key_makes_no_other_new(repository: Repository, since: bool) -> None:
    root = repository({"a.yaml": SECRET + "  a: correct horse\n  b: battery staple\n", "gatekeeper.yaml": CONFIG})
    for words in ("init -q", "add -A", "-c user.name=a -c user.email=a@example.com commit -qm a"):
        subprocess.run(["git", *words.split()], cwd=root, check=True)
    if not since:
        assert command("check", "--write-baseline", cwd=root)[0] == 0
    arguments = ["--since", "HEAD"] if since else []
    (root / "a.yaml").write_text(SECRET + "  b: battery staple\n")
    assert command("check", *arguments, cwd=root)[0] == 0
    (root / "a.yaml").write_text(SECRET + "  b: battery staple\n  c: hunter two\n")
    code, out, _ = command("check", *arguments, cwd=root)
    assert code == 1 and "`stringData.c`" in out


SOURCE_WAIVER = WAIVER.replace("plaintext/secret", "references/missing")


def build_kustomization(name: str, source: str = "shop", waiver: str = "") -> str:
    return (
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"
        f"metadata: {{name: {name}, namespace: apps}}\nspec:\n  interval: 1m\n  prune: true\n  path: ./\n{waiver}"
        f"  sourceRef: {{kind: GitRepository, name: {source}}}\n"
    )


def list_files(findings: Iterable[Finding]) -> list[list[str]]:
    """The files of each finding with a missing object."""
    missing = [one for one in findings if one.rule == "references/missing"]
    return [[place.location.file for place in one.members or (one,)] for one in missing]


def test_a_missing_object_is_one_finding_with_all_places(repository: Repository) -> None:
    files = {f"{name}.yaml": build_kustomization(name) for name in "abc"}
    verdict = judge(repository({**files, "d.yaml": build_kustomization("d", "other"), "gatekeeper.yaml": CONFIG}))
    assert list_files(verdict.findings) == [["a.yaml", "b.yaml", "c.yaml"], ["d.yaml"]]


def test_a_kind_without_schema_is_one_finding_with_all_places(repository: Repository) -> None:
    shops = {f"{name}.yaml": f"apiVersion: x.org/v1\nkind: Shop\nmetadata: {{name: {name}}}\n" for name in "ab"}
    other = "apiVersion: x.org/v2\nkind: Shop\nmetadata: {name: c}\n"
    verdict = judge(repository({**shops, "c.yaml": other, "gatekeeper.yaml": CONFIG}))
    found = [one for one in verdict.findings if one.rule == "schema/missing"]
    assert [[place.location.file for place in one.members or (one,)] for one in found] == [
        ["a.yaml", "b.yaml"],
        ["c.yaml"],
    ]
    assert verdict.exit_code == 3


def test_a_waived_place_hides_no_other_place(repository: Repository) -> None:
    files = {"a.yaml": build_kustomization("a", waiver=f"  {SOURCE_WAIVER}"), "gatekeeper.yaml": CONFIG}
    files |= {f"{name}.yaml": build_kustomization(name) for name in "bc"}
    verdict = judge(repository({**files}))
    assert list_files(verdict.active_findings) == [["b.yaml", "c.yaml"]] and verdict.exit_code == 1
    assert list_files(one for one in verdict.findings if one.waiver) == [["a.yaml"]]


@pytest.mark.parametrize("since", [False, True])
def test_a_known_place_hides_no_new_place(repository: Repository, since: bool) -> None:
    files = {f"{name}.yaml": build_kustomization(name) for name in "ab"}
    root = repository({**files, "gatekeeper.yaml": CONFIG})
    for words in ("init -q", "add -A", "-c user.name=a -c user.email=a@example.com commit -qm a"):
        subprocess.run(["git", *words.split()], cwd=root, check=True)
    if not since:
        assert command("check", "--write-baseline", cwd=root)[0] == 0
    arguments = ["--since", "HEAD"] if since else []
    assert command("check", *arguments, cwd=root)[0] == 0
    (root / "c.yaml").write_text(build_kustomization("c"))
    code, out, _ = command("check", *arguments, "--format", "json", cwd=root)
    findings = [one for one in orjson.loads(out)["findings"] if one["rule"] == "references/missing"]
    assert code == 1
    assert [(one["file"], len(one.get("places", ()))) for one in findings] == [("a.yaml", 2), ("c.yaml", 0)]
    assert [bool(one["old"] or one["waived"]) for one in findings] == [True, False]


def test_groups_of_two_verdicts_become_one_again() -> None:
    places = [build_finding("a", line)._replace(rule="references/missing") for line in range(1, 5)]
    parts = [*finding_groups.group_findings(places[2:]), *finding_groups.group_findings(places[:2])]
    [group] = finding_groups.regroup_findings(parts)
    assert (list(group.members), group.location.line) == (places, 1)
    verdict = Verdict((group,))
    assert verdict_codec.from_bytes(verdict_codec.to_bytes(verdict)).findings == verdict.findings
