"""`check` while `gatekeeper-kyverno` is missing or broken: one message, never accepted, and the rest is judged."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from gatekeeper.engines.admission.kyverno import program as module
from gatekeeper.engines.admission.kyverno import suites
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.upstream import worker
from gatekeeper.upstream.client import UpstreamClient
from tests.conftest import Repository, command, judge, needs, rules
from tests.engines.admission.kyverno.test_evaluator import POD, POLICY
from tests.engines.admission.kyverno.test_suites import SUITE
from tests.upstream.broken_programs import FAULTS, OTHER_VERSION, break_program, build_program, greet_and

PROGRAM = "gatekeeper-kyverno"
pytestmark = needs(PROGRAM, "gatekeeper-upstream")
FORM = "gatekeeper-kyverno answered in a form that Gatekeeper does not know; run `gatekeeper tools install"
MESSAGES = {
    "killed": "gatekeeper-kyverno ended with status -9",
    "garbage": "gatekeeper-kyverno answered something that is no answer",
    "another form": FORM,
    "no result": FORM,
    "too few results": FORM,
    "out of memory": "gatekeeper-kyverno needed more than 1024 MB of memory",
    "refusal": "gatekeeper-kyverno: it is broken",
}
STARTS = {
    "missing": (None, "is not installed; run `gatekeeper tools install gatekeeper-kyverno`"),
    "other version": (OTHER_VERSION, "it has version 1, and Gatekeeper has 2; run `gatekeeper tools install"),
    "ends at its start": ("sys.exit(7)", "ended with status 7; run `gatekeeper tools install gatekeeper-kyverno`"),
}
DESCRIBED = {"rules": ["pinned"], "mutating": None, "notes": None, "refusals": None}
DESCRIPTION = {"policies": [DESCRIBED], "faults": None}
PASSED = {"policy": 0, "rule": "pinned", "status": "pass"}
# What the program answers to `describe` and to the other calls.
ANSWERS: dict[str, tuple[object, object]] = {
    "no policies": ({"policies": None, "faults": None}, [[]]),
    "too many policies": ({"policies": [DESCRIBED] * 2, "faults": None}, [[]]),
    "a fault of no exception": ({**DESCRIPTION, "faults": ["hunter2"]}, [[]]),
    "a policy without rules": ({"policies": [{}], "faults": None}, [[]]),
    "rules that are no names": ({"policies": [{**DESCRIBED, "rules": [1]}], "faults": None}, [[]]),
    "no faults": ({"policies": [DESCRIBED]}, [[]]),
    "results of too many objects": (DESCRIPTION, [[PASSED]] * 9),
    "results without a status": (DESCRIPTION, [[{"policy": 0, "rule": "pinned"}]]),
    "an unknown status": (DESCRIPTION, [[{**PASSED, "status": "hunter2"}]]),
    "an unknown policy": (DESCRIPTION, [[{**PASSED, "policy": 7}]]),
    "a message that is no text": (DESCRIPTION, [[{**PASSED, "status": "fail", "message": ["hunter2"]}]]),
}
CONFIG = "library: {profile: 'off'}\n"
FILES: dict[str, str | bytes] = {
    "gatekeeper.yaml": CONFIG,
    "p.yaml": POLICY,
    "o.yaml": POD.replace("IMAGE", "a:latest"),
    "wrong.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\ndta: {}\n",
}


def check_broken(root: Path, environment: dict[str, str]) -> str:
    """The output of `check`, which must find what the schemas find, and nothing else must be lost."""
    code, out, err = command("check", root, env=environment)
    assert code == 3, out + err
    assert "wrong.yaml:4:1: error: unknown field `dta`" in out
    assert "Traceback" not in err and "internal error" not in err and "hunter2" not in out + err
    return out


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("config", [CONFIG, f"{CONFIG}policies: {{mutate: apply}}\n"], ids=["", "mutating"])
def test_a_program_that_fails_in_a_call(repository: Repository, tmp_path: Path, fault: str, config: str) -> None:
    environment = break_program(tmp_path / "cache", PROGRAM, greet_and(FAULTS[fault]))
    assert MESSAGES[fault] in check_broken(repository({**FILES, "gatekeeper.yaml": config}), environment)


@pytest.mark.parametrize("fault", ANSWERS)
def test_answers_that_do_not_fit_the_call(repository: Repository, tmp_path: Path, fault: str) -> None:
    description, results = (orjson.dumps(answer).decode() for answer in ANSWERS[fault])
    code = f"""
while True:
    call = read()
    answer = {description!r} if call["call"] == "describe" else {results!r}
    write({{"id": call["id"], "result": json.loads(answer)}})
"""
    environment = break_program(tmp_path / "cache", PROGRAM, greet_and(code))
    assert FORM in check_broken(repository(FILES), environment)


@pytest.mark.parametrize("fault", STARTS)
def test_a_program_that_cannot_be_used(repository: Repository, tmp_path: Path, fault: str) -> None:
    code, message = STARTS[fault]
    out = check_broken(repository(FILES), break_program(tmp_path / "cache", PROGRAM, code))
    # One cause, one message.
    assert out.count(message) == 1


def test_a_verdict_without_the_program_is_not_kept(repository: Repository, tmp_path: Path) -> None:
    """Neither one of a program that something else has ended, nor one of a program that was replaced since."""
    root = repository({**FILES, "wrong.yaml": ""})
    subprocess.run(["git", "init", "-q", root], check=True)
    accepting = f"""
while True:
    call = read()
    answer = {orjson.dumps(DESCRIPTION).decode()!r} if call["call"] == "describe" else "[[], []]"
    result = json.loads(answer)
    write({{"id": call["id"], "result": result if call["call"] == "describe" else [[] for _ in call["payload"]["objects"]]}})
"""
    cache = {"GATEKEEPER_CACHE": str(tmp_path / "verdicts")}
    for folder, code, status in (("a", FAULTS["killed"], 3), ("b", accepting, 0), ("c", FAULTS["killed"], 3)):
        environment = break_program(tmp_path / folder, PROGRAM, greet_and(code)) | cache
        assert command("check", root, env=environment)[0] == status, folder
    real: dict[str, str] = {**environment, "XDG_CACHE_HOME": str(DEFAULT_TOOLCHAIN.find(PROGRAM).parents[3])}
    assert command("check", root, env=real)[0] == 1


def test_a_program_that_hangs_costs_little_time(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many policies there are."""
    monkeypatch.setattr(worker, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(worker, "SILENCE_SECONDS", 0.3)
    starts = tmp_path / "starts"
    build_program(
        tmp_path / "bin" / "program", f"open({str(starts)!r}, 'a').write('x')\n" + greet_and("time.sleep(600)")
    )
    client = UpstreamClient(lambda: tmp_path / "bin" / "program", "1", "", PROGRAM)
    monkeypatch.setattr(module, "open_program", lambda: client)
    policies = "---\n".join(POLICY.replace("name: images", f"name: images{number}") for number in range(20))
    verdict = judge(repository({**FILES, "p.yaml": policies}))
    assert (verdict.exit_code, "schema/unknown-field" in rules(verdict)) == (3, True)
    assert "did not answer for 0.3 seconds" in " ".join(gap.reason for gap in verdict.coverage.gaps)
    assert len(starts.read_text()) == 2
    client.close()


@pytest.mark.parametrize("answer", [None, "hunter2", {}, {"cases": [{}], "fault": ""}, {"cases": 5, "fault": ""}])
def test_a_suite_whose_results_have_another_form(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    text = orjson.dumps(answer).decode()
    code = greet_and(f"while True: write({{'id': read()['id'], 'result': json.loads({text!r})}})")
    build_program(tmp_path / "bin" / "program", code)
    client = UpstreamClient(lambda: tmp_path / "bin" / "program", "1", "", PROGRAM)
    monkeypatch.setattr(suites, "open_suite_program", lambda: client)
    root = repository({**FILES, "kyverno-test.yaml": SUITE.replace("RESULT", "fail")})
    [outcome] = suites.run_suites(root, suites.find_suites(root, ["."]))
    assert not outcome.passed and FORM in outcome.error
    client.close()
