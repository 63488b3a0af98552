"""The whole way: a repository in, a verdict out, as a user sees it; and every kind of bad input."""

from __future__ import annotations

from gatekeeper.report.formats import REPORT_FORMATS
from tests.conftest import SHARED, Repository, command, judge, needs, shared, verdict_of

GOOD = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: b, labels: {read: by-its-label}}
data: {key: value}
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx:latest
"""


@needs("gatekeeper-upstream")
def test_a_good_repository_is_accepted(repository: Repository) -> None:
    root = repository({"a.yaml": GOOD})
    code, verdict = verdict_of(root)
    assert (code, verdict["verdict"]) == (0, "accepted")
    assert verdict["coverage"] == {
        "files": 2,
        "resources": 1,
        "checked": 1,
        "skipped": [{"file": "gatekeeper.yaml", "reason": "no Kubernetes resource", "fatal": False}],
    }


def test_a_finding_names_rule_place_resource_and_remedy(repository: Repository) -> None:
    root = repository({"a.yaml": GOOD.replace("\ndata:", "\ndta:")})
    code, verdict = verdict_of(root)
    [finding] = verdict["findings"]
    assert code == 1
    assert {key: finding[key] for key in ("rule", "file", "line", "column", "field", "hint")} == {
        "rule": "schema/unknown-field",
        "file": "a.yaml",
        "line": 4,
        "column": 1,
        "field": "dta",
        "hint": "did you mean `data`?",
    }
    assert finding["resource"] == {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "b", "name": "a"}


def test_the_same_input_gives_the_same_bytes_whatever_the_number_of_workers(repository: Repository) -> None:
    root = repository(
        {"gatekeeper.yaml": "", **{f"{n}.yaml": DEPLOYMENT.replace("web", f"web-{n}") for n in range(60)}}
    )
    outputs = {command("check", "--format", "json", "--jobs", jobs, root)[1] for jobs in ("1", "2", "7")}
    assert len(outputs) == 1


@shared("article")
@needs("gatekeeper-upstream")
def test_examples_of_the_article_are_checked_unchanged() -> None:
    verdict = judge(SHARED / "article")
    said = {(finding.rule, finding.location.file, finding.location.line) for finding in verdict.findings}
    assert {
        ("schema/required", "base/deployment.yaml", 6),
        ("images/latest-tag", "base/deployment.yaml", 12),
        ("sealed/not-base64", "secrets/sealed.yaml", 9),
        ("sealed/not-base64", "secrets/sealed.yaml", 10),
    } <= said


def test_no_secret_value_is_in_any_output(repository: Repository) -> None:
    secret = "hunter2-Zk9vQ1x7Lm3"
    env = f"env: [{{name: DB_PASSWORD, value: {secret}}}]"
    root = repository(
        {
            "a.yaml": f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData: {{password: {secret}}}\n",
            "b.yaml": f"apiVersion: v1\nkind: Secret\nmetadata: {{name: b}}\ndata: {secret}\n",
            "c.yaml": DEPLOYMENT.replace("image: nginx:latest", f"image: nginx:1\n        {env}"),
            "d.yaml": f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: d}}\ndata: {{password: {secret}}}\n",
            "kustomization.yaml": f"secretGenerator:\n- name: e\n  literals: [password={secret}]\n",
            "gatekeeper.yaml": "library: {profile: strict}\n",
        }
    )
    for form in REPORT_FORMATS:
        code, out, err = command("check", "--format", form, root)
        assert code in (1, 3)
        assert secret not in out + err
    code, out, err = command("render", root)
    assert secret in out, "a ConfigMap and an environment are printed as they are"
    assert out.count(secret) == 2
