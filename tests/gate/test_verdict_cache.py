"""Cached verdicts: the same input is checked once, and nothing in the cache folder can change a verdict."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.gate import verdict_cache, verdict_codec
from gatekeeper.gate.request import BaseComparison, CheckRequest
from gatekeeper.host import cache
from gatekeeper.model import Coverage, Verdict
from gatekeeper.workspace import config_loader
from tests.conftest import Repository, command, needs
from tests.gate.test_pipeline import DEPLOYMENT

FILES: dict[str, str | bytes] = {
    "gatekeeper.yaml": "",
    "web.yaml": DEPLOYMENT,
    "db.yaml": DEPLOYMENT.replace("web", "db"),
}
Run = Callable[..., tuple[int, str]]


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", "-C", root, *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def root(repository: Repository) -> Path:
    root = repository(FILES)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "x")
    return root


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def run(root: Path, kept: Path, tmp_path: Path) -> Run:
    def go(*arguments: str | Path, **environment: str) -> tuple[int, str]:
        env = {**os.environ, "GATEKEEPER_CACHE": str(kept), "XDG_CONFIG_HOME": str(tmp_path / "config"), **environment}
        code, out, err = command("check", "--format", "json", *arguments, cwd=root, env=env)
        assert not err
        return code, out

    return go


def entries(kept: Path) -> list[Path]:
    return [path for path in kept.rglob("*") if path.is_file()]


def test_second_run_has_an_identical_report(run: Run, kept: Path) -> None:
    cold = run()
    made = {path: path.stat().st_mtime_ns for path in entries(kept)}
    # The verdict, the index of the files, the library and the schema of the kind.
    assert cold[0] == 1 and "images/latest-tag" in cold[1] and len(made) == 4
    assert run() == cold == run("--no-cache")
    assert {path: path.stat().st_mtime_ns for path in entries(kept)} == made, "nothing was judged anew"


def test_no_cache_keeps_nothing(run: Run, kept: Path) -> None:
    run("--no-cache")
    assert entries(kept) == []


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "swap"])
def test_damaged_cache_is_ignored(run: Run, kept: Path, damage: str) -> None:
    cold = run()
    paths = entries(kept)
    held = [path.read_bytes() for path in paths]
    for path, content in zip(paths, held, strict=True):
        if damage == "cut":
            path.write_bytes(content[:-1])
        elif damage == "flip":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        elif damage == "empty":
            path.write_bytes(b"")
    if damage == "swap":
        paths[0].write_bytes(held[1])
        paths[1].write_bytes(held[0])
    assert run() == cold


def test_cache_entry_of_another_user_is_ignored(run: Run, kept: Path, tmp_path: Path) -> None:
    cold = run()
    # Somebody who can write the folder, but has not the user's key, puts an acceptance under every name there is.
    other = cache.Cache(kept, b"x" * 32, b"")
    accepted = verdict_codec.to_bytes(Verdict(coverage=Coverage(3, 2, 2), engine=("regorus", "1")))
    for path in entries(kept):
        other.write_entry(path.name, accepted)
    assert run() == cold


def test_a_key_that_others_can_read_is_not_used(run: Run, kept: Path, tmp_path: Path) -> None:
    cold = run()
    shutil.rmtree(kept)
    (tmp_path / "config" / "gatekeeper" / "cache.key").chmod(0o644)
    assert run() == cold
    assert entries(kept) == []


def test_machines_can_share_a_cache_by_a_common_key(run: Run, kept: Path, tmp_path: Path) -> None:
    cold = run(GATEKEEPER_CACHE_KEY="k" * 32)
    assert not (tmp_path / "config").exists() and len(entries(kept)) == 4
    assert run(GATEKEEPER_CACHE_KEY="k" * 32) == cold
    assert run(GATEKEEPER_CACHE_KEY="l" * 32) == cold
    assert len(entries(kept)) == 8


def test_read_only_home_does_not_fail_the_check(run: Run, kept: Path, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file, where a folder should be")
    assert run()[0] == 1
    kept.write_text("a file, where a folder should be")
    shutil.rmtree(tmp_path / "config", ignore_errors=True)
    (tmp_path / "config").unlink()
    assert run()[0] == 1


def test_two_runs_at_once_both_end_well(root: Path, kept: Path, tmp_path: Path) -> None:
    env = {**os.environ, "GATEKEEPER_CACHE": str(kept), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    line = [sys.executable, "-m", "gatekeeper", "check", "--format", "json", str(root)]
    runs = [subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    done = [process.communicate(timeout=60) for process in runs]
    assert {(out, err) for out, err in done} == {(done[0][0], b"")}
    assert [process.returncode for process in runs] == [1] * 4


def change_a_file(root: Path) -> None:
    (root / "web.yaml").write_text(DEPLOYMENT.replace(":latest", ":1.27"))


def change_a_file_and_hide_it(root: Path) -> None:
    git(root, "update-index", "--assume-unchanged", "web.yaml")
    change_a_file(root)


def change_and_stage(root: Path) -> None:
    change_a_file(root)
    git(root, "add", "-A")


def add_a_file(root: Path) -> None:
    (root / "new.yaml").write_text(DEPLOYMENT.replace("web", "new"))


def delete_a_file(root: Path) -> None:
    (root / "db.yaml").unlink()


def change_the_config(root: Path) -> None:
    (root / "gatekeeper.yaml").write_text("library: {profile: 'off'}\n")


@pytest.mark.parametrize(
    "change",
    [change_a_file, change_a_file_and_hide_it, change_and_stage, add_a_file, delete_a_file, change_the_config],
    ids=lambda change: change.__name__,
)
def test_every_change_is_seen(root: Path, run: Run, change: Callable[[Path], None]) -> None:
    before = run()
    change(root)
    after = run()
    assert after != before and after == run("--no-cache")


def test_a_policy_outside_of_the_repository_is_part_of_the_input(run: Run, tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    policy.mkdir()
    (policy / "a.rego").write_text('package main\nimport rego.v1\ndeny contains "one" if input.kind\n')
    assert '"one"' in run("--policy", policy)[1]
    (policy / "a.rego").write_text('package main\nimport rego.v1\ndeny contains "two" if input.kind\n')
    assert '"two"' in run("--policy", policy)[1]


def test_policy_that_uses_the_clock_is_not_cached(root: Path, run: Run, kept: Path) -> None:
    (root / "policy").mkdir()
    (root / "policy" / "a.rego").write_text(
        'package main\nimport rego.v1\ndeny contains sprintf("now %v", [time.now_ns()]) if input.kind\n'
    )
    (root / "gatekeeper.yaml").write_text("library: {profile: 'off'}\npolicies: {paths: [policy]}\n")
    assert run() != run()
    assert len(entries(kept)) == 1, "the schema of the kind alone"


@needs("gatekeeper-upstream")
def test_an_ignored_file_that_kustomize_reads_is_part_of_the_input(root: Path, run: Run) -> None:
    (root / ".gitignore").write_text("values.env\n")
    (root / "values.env").write_text("a=1\n")
    (root / "kustomization.yaml").write_text(
        "configMapGenerator: [{name: values, envs: [values.env]}]\nresources: [web.yaml]\n"
    )
    before = run()
    (root / "values.env").unlink()
    assert run() == run("--no-cache") != before


def test_index_and_work_tree_have_different_cache_keys(root: Path, run: Run) -> None:
    change_and_stage(root)
    (root / "web.yaml").write_text(DEPLOYMENT)
    assert "web.yaml" not in run("--staged")[1].partition('"findings"')[2]
    assert run("--staged") == run("--staged", "--no-cache")
    assert '"web.yaml"' in run()[1]


def test_results_for_a_resource_are_reused_by_the_next_run(root: Path, run: Run, kept: Path) -> None:
    run()
    add_a_file(root)
    warm = run()
    shutil.rmtree(kept)
    assert run() == warm


def test_the_key_is_the_users_alone_and_never_shown(run: Run, tmp_path: Path) -> None:
    run()
    path = tmp_path / "config" / "gatekeeper" / "cache.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert repr(path.read_bytes())[2:-1] not in repr(cache.Cache(tmp_path, path.read_bytes(), b"").__repr__())


def build_request(root: Path, store: Path, **fields: Any) -> CheckRequest:
    settings = config_loader.load(root, None)
    request = CheckRequest(root, [root], settings, lambda *_: None, verdict_cache=cache.Cache(store, b"k" * 32, b"1"))
    return request._replace(**fields)


def find_keys(request: CheckRequest) -> tuple[str, str]:
    entry = verdict_cache.find_entry(request)
    assert entry is not None
    return entry.verdict_key, entry.index_key


def test_each_part_of_a_request_has_a_separate_cache_entry(root: Path, kept: Path) -> None:
    request = build_request(root, kept)
    variants = [
        request,
        request._replace(paths=[root / "web.yaml"]),
        request._replace(changed_files=frozenset()),
        request._replace(changed_files=frozenset({"web.yaml"})),
        request._replace(shard="1/2"),
        request._replace(base_commit="c0ffee"),
        request._replace(base_comparison=BaseComparison(lambda _: request.settings)),
        request._replace(settings=request.settings._replace(kubernetes="1.30.0")),
    ]
    assert len({find_keys(variant)[0] for variant in variants}) == len(variants)
    assert find_keys(request) == find_keys(build_request(root, kept))


def test_a_part_of_a_repository_has_no_incremental_index(root: Path, kept: Path) -> None:
    request = build_request(root, kept)
    assert find_keys(request)[1]
    assert find_keys(request._replace(paths=[root / "web.yaml"]))[1] == ""
    assert find_keys(request._replace(shard="1/2"))[1] == ""


def test_the_root_as_a_relative_path_is_the_whole_repository(
    root: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    request = build_request(root, kept)
    assert find_keys(request._replace(paths=[Path()])) == find_keys(request)


def test_a_run_with_private_keys_and_a_run_without_a_cache_have_no_entry(root: Path, kept: Path) -> None:
    assert verdict_cache.find_entry(build_request(root, kept, private_keys=())) is None
    assert verdict_cache.find_entry(build_request(root, kept, verdict_cache=None)) is None


def test_a_verdict_that_can_change_within_the_day_is_not_stored(root: Path, kept: Path) -> None:
    entry = verdict_cache.find_entry(build_request(root, kept))
    assert entry is not None
    entry.write_verdict(Verdict(revision="x", is_cacheable=False))
    assert entry.read_verdict() is None
    entry.write_verdict(Verdict(revision="x", is_cacheable=True))
    assert entry.read_verdict() == Verdict(revision="x")


def test_an_item_cannot_move_from_one_list_of_a_key_to_the_next(kept: Path) -> None:
    store = cache.Cache(kept, b"k" * 32, b"1")
    key = verdict_cache.CacheKey("verdict", "", "2026-01-01")
    keys = [
        key._replace(paths=("a", "b"), contents=(b"c",)),
        key._replace(paths=("a",), contents=(b"b", b"c")),
        key._replace(paths=("a",), changed_files=frozenset({"b"}), contents=(b"c",)),
        key._replace(paths=("all",)),
        key._replace(changed_files=frozenset()),
    ]
    assert len({one.derive(store) for one in keys}) == len(keys)


def test_the_verdict_on_a_base_commit_depends_on_the_files_named_next_to_it(
    root: Path, kept: Path, tmp_path: Path
) -> None:
    extra = tmp_path / "extra.rego"
    extra.write_text("package a\n")
    request = build_request(root, kept, base_commit="c0ffee")
    store = cache.Cache(kept, b"k" * 32, b"1")
    comparison = BaseComparison(lambda _: request.settings, [extra])

    def derive(of: CheckRequest = request) -> str:
        return verdict_cache.derive_commit_key(store, of, comparison)

    before = derive()
    assert before == derive(request._replace(paths=[root / "web.yaml"]))
    assert before != derive(request._replace(base_commit="c0ffef"))
    extra.write_text("package b\n")
    assert before != derive()
