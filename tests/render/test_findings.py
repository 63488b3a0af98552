"""Files that cannot be rendered: broken manifests are findings and fatal gaps, other files are gaps."""

from __future__ import annotations

import pytest

from gatekeeper.model import Finding, Gap, Location
from gatekeeper.render import findings
from tests.conftest import Repository, judge, needs, rules
from tests.engines.resources import parse_resources
from tests.render.rendering import parse, render


def check(repository: Repository, content: str | bytes, file: str = "a.yaml") -> tuple[list[Finding], list[Gap]]:
    _, parsed = parse(repository({file: content}))
    return findings.check_files(one for one in parsed if one.file == file)


@pytest.mark.parametrize(
    ("content", "rule", "location"),
    [
        ("a: b: c\n", "yaml/syntax", 1),
        ("a: 1\nb: [\n", "yaml/syntax", 3),
        (b"a: \xff\n", "yaml/encoding", None),
        ("a: b\n".encode("utf-32"), "yaml/encoding", None),
        ("a: ü\n".encode("utf-16-le"), "yaml/encoding", None),
    ],
)
def test_a_file_that_cannot_be_parsed_is_an_error_and_a_fatal_gap(
    repository: Repository, content: str | bytes, rule: str, location: int | None
) -> None:
    [finding], [gap] = check(repository, content)
    assert (finding.rule, finding.severity, finding.location.line) == (rule, "error", location)
    assert finding.message.startswith("cannot be read: ") and gap == Gap("a.yaml", finding.message, is_fatal=True)


def test_a_duplicate_key_is_located_with_the_line_of_the_first(repository: Repository) -> None:
    [finding], gaps = check(repository, "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: '1'\n  a: '2'\n")
    assert (finding.rule, finding.location) == ("yaml/duplicate-key", Location("a.yaml", 5, 3))
    assert "line 4" in finding.message and gaps == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a: 1\n", "no Kubernetes resource"),
        ("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n", "configures a program, not a cluster"),
        ("kind: Config\napiVersion: v1\nusers: []\n", "configures a program, not a cluster"),
        ("age-encryption.org/v1\n", "encrypted by age"),
    ],
)
def test_a_file_without_resources_is_a_gap_that_is_not_fatal(repository: Repository, content: str, reason: str) -> None:
    assert check(repository, content) == ([], [Gap("a.yaml", reason)])


def test_a_resource_next_to_other_documents_is_no_gap(repository: Repository) -> None:
    assert check(repository, "a: 1\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n") == ([], [])


def test_a_resource_without_an_api_version_is_found_at_its_kind(repository: Repository) -> None:
    _, parsed = parse(repository({"a.yaml": "metadata: {name: a}\nkind: Service\n---\nkind: note\n---\nkind: 7\n"}))
    [finding] = [found for one in parsed for found in findings.find_missing_api_versions(one)]
    assert (finding.rule, finding.location) == ("schema/required", Location("a.yaml", 2, 7))
    assert finding.message.startswith("Service without `apiVersion`")


@pytest.mark.parametrize(("text", "count"), [("${TAG}", 1), ("${#TAG}", 1), ("$TAG", 0), ("$${", 0), ("${{ x }}", 0)])
def test_a_variable_that_nothing_sets_is_a_gap(text: str, count: int) -> None:
    resources = parse_resources(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{a: '{text}'}}\n")
    gaps = list(findings.find_unset_variables(resources))
    assert [gap.is_fatal for gap in gaps] == [False] * count


POD = """\
x-safe: &safe {privileged: true}
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec:
  containers:
  - name: web
    image: web:1.0.0
    securityContext:
      privileged: false
      <<: *safe
"""


def test_a_merge_key_that_readers_take_differently_is_an_error_with_both_lines(repository: Repository) -> None:
    verdict = judge(repository({"pod.yaml": POD}))
    [finding] = [finding for finding in verdict.findings if finding.rule == "yaml/merge-order"]
    assert (finding.location.line, finding.location.column) == (11, 7)
    assert "line 10" in finding.message and "kubectl" in finding.message


def test_a_merge_key_in_a_file_that_is_no_resource_is_no_finding(repository: Repository) -> None:
    verdict = judge(repository({"ci.yaml": "x: &x {a: 1}\njob: {a: 2, <<: *x}\n"}))
    assert rules(verdict) == set()


def test_a_merge_key_at_the_start_of_its_mapping_is_no_finding(repository: Repository) -> None:
    pod = POD.replace("      privileged: false\n      <<: *safe\n", "      <<: *safe\n      privileged: false\n")
    verdict = judge(repository({"pod.yaml": pod}))
    assert "yaml/merge-order" not in rules(verdict)


MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, namespace: a}\ndata: {a: é}\n"


def test_a_manifest_in_utf16_is_read(repository: Repository) -> None:
    secret = MAP.replace("ConfigMap", "Secret").replace("data: {a: é}", "stringData: {a: 9fKq2vLx7RtWzé}")
    files: dict[str, str | bytes] = {
        "gatekeeper.yaml": "library: {profile: default}\n",
        "a.yaml": MAP.replace("NAME", "a").encode("utf-16"),
        "b.json": '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "namespace": "Ü"}}'.encode(
            "utf-16"
        ),
        "c.yaml": "\ufeff".encode("utf-16-be") + secret.replace("NAME", "c").encode("utf-16-be"),
    }
    verdict = judge(repository(files))
    errors = [finding for finding in verdict.findings if finding.severity == "error"]
    assert verdict.coverage.resource_count == 3
    assert [(one.rule, one.location.file, one.location.line) for one in errors] == [
        ("schema/apiserver", "b.json", 1),
        ("plaintext/secret", "c.yaml", 4),
    ]


def test_several_documents_in_utf16_are_an_error(repository: Repository) -> None:
    several = "---\n".join(MAP.replace("NAME", name) for name in "ab")
    [finding], gaps = check(repository, several.encode("utf-16"))
    assert (finding.rule, finding.location) == ("yaml/encoding", Location("a.yaml", 6, 1)) and gaps == []
    for content in (several.encode(), (MAP + "---\n").encode("utf-16"), ("---\n" + MAP).encode("utf-16")):
        assert check(repository, content) == ([], [])


@needs("gatekeeper-upstream")
def test_kustomize_reads_one_document_of_a_file_in_utf16(repository: Repository) -> None:
    several = "---\n".join(MAP.replace("NAME", name) for name in "ab")
    files: dict[str, str | bytes] = {"kustomization.yaml": "resources: [a.yaml]\n".encode("utf-16")}
    root = repository({**files, "a.yaml": several.encode("utf-16")})
    assert [str(one.ref) for one in render(root).resources] == ["ConfigMap a/a"]
    assert "yaml/encoding" in rules(judge(root))
