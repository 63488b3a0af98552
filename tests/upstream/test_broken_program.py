"""`check` while `gatekeeper-upstream` is missing or broken: one message, never accepted, and the rest is judged."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.upstream import worker
from gatekeeper.upstream.client import UpstreamClient, get_program_version
from tests.conftest import Repository, command, judge, needs, rules
from tests.gate.test_pipeline import GOOD
from tests.upstream.broken_programs import FAULTS, OTHER_VERSION, break_program, build_program, greet_and

PROGRAM = "gatekeeper-upstream"
pytestmark = needs(PROGRAM)
# The schema finds the first fault, only the API server's validation the second.
WRONG_FIELD, WRONG_NAME = GOOD.replace("\ndata:", "\ndta:"), GOOD.replace("name: a", "name: A_B")
MESSAGES = {
    "killed": "gatekeeper-upstream ended with status -9",
    "garbage": "gatekeeper-upstream answered something that is no answer",
    "another form": "gatekeeper-upstream answered in a form that Gatekeeper does not know; run `gatekeeper tools install",
    "no result": "gatekeeper-upstream answered in a form that Gatekeeper does not know",
    "too few results": "gatekeeper-upstream answered in a form that Gatekeeper does not know",
    "out of memory": "gatekeeper-upstream needed more than 1024 MB of memory",
    "refusal": "gatekeeper-upstream: it is broken",
}
STARTS = {
    "missing": (None, "is not installed; run `gatekeeper tools install gatekeeper-upstream`"),
    "other version": (OTHER_VERSION, "it has version 1, and Gatekeeper has 2; run `gatekeeper tools install"),
    "ends at its start": ("sys.exit(7)", "ended with status 7; run `gatekeeper tools install gatekeeper-upstream`"),
}


def check_broken(root: Path, environment: dict[str, str], *arguments: str) -> str:
    """The output of `check`, which must find what the schemas find, and nothing else must be lost."""
    code, out, err = command("check", *arguments, root, env=environment)
    assert code == 3, out + err
    assert "wrong.yaml:4:1: error: unknown field `dta`" in out
    assert "Traceback" not in err and "internal error" not in err and "hunter2" not in out + err
    return out


@pytest.mark.parametrize("fault", FAULTS)
def test_a_program_that_fails_in_a_call(repository: Repository, tmp_path: Path, fault: str) -> None:
    files: dict[str, str | bytes] = {"wrong.yaml": WRONG_FIELD, "name.yaml": WRONG_NAME}
    files["k/kustomization.yaml"] = "resources: [../name.yaml]\n"
    environment = break_program(tmp_path / "cache", PROGRAM, greet_and(FAULTS[fault]))
    out = check_broken(repository(files), environment)
    assert MESSAGES[fault] in out
    assert "wrong.yaml: ConfigMap b/a cannot be validated as the API server would: " in out
    assert "k/kustomization.yaml: kustomize could not build it" in out
    # It would fail for the same reason nowhere else.
    assert "run `gatekeeper doctor`" in out and "kustomize build" not in out


@pytest.mark.parametrize("fault", STARTS)
def test_a_program_that_cannot_be_used(repository: Repository, tmp_path: Path, fault: str) -> None:
    code, message = STARTS[fault]
    root = repository({"wrong.yaml": WRONG_FIELD, "name.yaml": WRONG_NAME})
    out = check_broken(root, break_program(tmp_path / "cache", PROGRAM, code))
    assert message in out
    # One cause, one message.
    assert out.count(message) == 1


def test_a_file_that_is_no_program(repository: Repository, tmp_path: Path) -> None:
    environment = break_program(tmp_path / "cache", PROGRAM, "")
    folder = DEFAULT_TOOLCHAIN.find(PROGRAM).parent.name
    (tmp_path / "cache" / "gatekeeper" / "tools" / folder / PROGRAM).write_text("no program\n")
    out = check_broken(repository({"wrong.yaml": WRONG_FIELD}), environment)
    assert "gatekeeper-upstream cannot be started: Exec format error" in out


@pytest.mark.parametrize("code", [None, greet_and(FAULTS["killed"])])
def test_a_commit_is_not_accepted_while_the_program_is_broken(
    repository: Repository, tmp_path: Path, code: str | None
) -> None:
    """Also where nothing else is wrong."""
    root = repository({"name.yaml": WRONG_NAME})
    subprocess.run(["git", "init", "-q", root], check=True)
    subprocess.run(["git", "-C", root, "add", "."], check=True)
    environment = break_program(tmp_path / "cache", PROGRAM, code)
    assert command("check", "--staged", cwd=root, env=environment)[0] == 3
    assert command("check", "--staged", cwd=root)[0] == 1


def test_a_verdict_without_the_program_is_not_kept(repository: Repository, tmp_path: Path) -> None:
    """A program that something else has ended works in the next run."""
    root = repository({"a.yaml": GOOD})
    subprocess.run(["git", "init", "-q", root], check=True)
    real, flag = str(DEFAULT_TOOLCHAIN.find(PROGRAM)), tmp_path / "works"
    code = f"if os.path.exists({str(flag)!r}): os.execv({real!r}, [{real!r}, *sys.argv[1:]])\n"
    environment = break_program(tmp_path / "cache", PROGRAM, code + greet_and(FAULTS["killed"]))
    environment["GATEKEEPER_CACHE"] = str(tmp_path / "verdicts")
    assert command("check", root, env=environment)[0] == 3
    flag.touch()
    assert command("check", root, env=environment)[0] == 0


def test_a_program_that_hangs_costs_little_time(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many objects and kustomizations there are, and however much time each of them may take."""
    monkeypatch.setattr(worker, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(worker, "SILENCE_SECONDS", 0.3)
    starts = tmp_path / "starts"
    code = f"open({str(starts)!r}, 'a').write('x')\n" + greet_and("time.sleep(600)")
    program = tmp_path / "bin" / "program"
    build_program(program, code)
    client = UpstreamClient(lambda: program, get_program_version())
    for opener in ("engines.schema.engine.prepare_client", "render.builder.open_client"):
        monkeypatch.setattr(f"gatekeeper.{opener}", lambda _: client)
    files: dict[str, str | bytes] = {f"{n}/kustomization.yaml": "resources: [a.yaml]\n" for n in range(20)}
    files |= {f"{n}/a.yaml": GOOD.replace("name: a", f"name: a{n}") for n in range(20)}
    verdict = judge(repository({**files, "wrong.yaml": WRONG_FIELD}))
    assert (verdict.exit_code, "schema/unknown-field" in rules(verdict)) == (3, True)
    reasons = " ".join(gap.reason for gap in verdict.coverage.gaps)
    assert "gatekeeper-upstream failed 2 times in a row, the last time because" in reasons
    assert "did not answer for 0.3 seconds" in reasons
    assert len(starts.read_text()) == 2
    client.close()
