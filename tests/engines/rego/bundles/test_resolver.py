"""Policy bundles: only the pinned content is evaluated, and signatures are verified."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gatekeeper.config import CONFIG_FILE
from gatekeeper.engines.rego.bundles import resolver
from gatekeeper.engines.rego.bundles.bundle_files import Bundle
from gatekeeper.errors import ToolError
from gatekeeper.host import toolchain
from gatekeeper.host.cache import user_cache_dir
from gatekeeper.host.process import run_command
from gatekeeper.model import Verdict
from tests.conftest import Repository, command, judge, needs
from tests.workspace.test_file_selection import run_git

RULE = 'package team\nimport rego.v1\ndeny contains sprintf("of %s", [data.team.name]) if input.kind == "Service"\n'
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n"
DATA = '{"team": {"name": "shop"}}'


def opa() -> Path:
    """Found before the tests give the cache another place."""
    try:
        return Path(toolchain.DEFAULT_TOOLCHAIN.find("opa"))
    except ToolError:
        return Path("opa")


OPA = opa()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # The programs are those of this user, whether or not another test has started them.
    tools = user_cache_dir() / "tools"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    user_cache_dir().mkdir(parents=True)
    (user_cache_dir() / "tools").symlink_to(tools)
    return tmp_path / "cache"


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """A team's own folder of policies."""
    folder = tmp_path / "team"
    folder.mkdir()
    (folder / "team.rego").write_text(RULE.replace("data.team.name", '"shop"'))
    return folder


def judged(repository: Repository, source: str | Path, digest: str, more: str = "") -> Verdict:
    config = f"library: {{profile: 'off'}}\npolicies: {{bundles: [{{source: '{source}', digest: '{digest}'{more}}}]}}\n"
    return judge(repository({CONFIG_FILE: config, "a.yaml": SERVICE}))


def pulled(root: Path, source: str | Path) -> str:
    return resolver.pull(root, Bundle(str(source), "", ""))


def refused(verdict: Verdict) -> str:
    assert verdict.decision == "incomplete"
    [gap] = [gap for gap in verdict.coverage.gaps if gap.is_fatal]
    return gap.reason


def test_a_folder_checks_as_long_as_it_is_what_was_pinned(repository: Repository, team: Path) -> None:
    digest = pulled(team, team)
    assert [one.message for one in judged(repository, team, digest).findings] == ["of shop"]
    (team / "team.rego").write_text(RULE.replace("data.team.name", '"shop"').replace("Service", "Pod"))
    assert "which differs from its pin" in refused(judged(repository, team, digest))
    (team / "more.yaml").write_text("")
    assert pulled(team, team) != digest


def test_a_revision_of_git_checks_whatever_came_later(repository: Repository, team: Path, tmp_path: Path) -> None:
    run_git(team, "init", "-q")
    run_git(team, "add", ".")
    run_git(team, "commit", "-qm", "one")
    run_git(team, "tag", "v1")
    source = f"git+{team}@v1"
    digest = pulled(tmp_path, source)
    (team / "team.rego").write_text("package team\n")
    run_git(team, "commit", "-qam", "two")
    assert [one.message for one in judged(repository, source, digest).findings] == ["of shop"]
    run_git(team, "tag", "-f", "v1")
    # What was fetched and verified before is still what was pinned.
    assert [one.message for one in judged(repository, source, digest).findings] == ["of shop"]


def test_cached_entry_is_verified(repository: Repository, team: Path, tmp_path: Path, home: Path) -> None:
    run_git(team, "init", "-q")
    run_git(team, "add", ".")
    run_git(team, "commit", "-qm", "one")
    source = f"git+{team}@HEAD"
    digest = pulled(tmp_path, source)
    [kept] = (home / "gatekeeper" / "bundles").glob("*/team.rego")
    kept.write_text("package team\n")
    assert [one.message for one in judged(repository, source, digest).findings] == ["of shop"]


def test_remote_source_is_fetched_only_on_demand(repository: Repository, team: Path, tmp_path: Path) -> None:
    run_git(team, "init", "-q", "-b", "main")
    run_git(team, "add", ".")
    run_git(team, "commit", "-qm", "one")
    source = f"git+file://{team}@main"
    zero = f"sha256:{'0' * 64}"
    assert "`check` fetches nothing; run `gatekeeper policy pull` first" in refused(judged(repository, source, zero))
    digest = pulled(tmp_path, source)
    assert [one.message for one in judged(repository, source, digest).findings] == ["of shop"]


def test_pull_prints_what_to_pin_and_reports_a_change(repository: Repository, team: Path) -> None:
    config = f"policies: {{bundles: [{{source: '{team}', digest: 'sha256:{'0' * 64}'}}]}}\n"
    root = repository({CONFIG_FILE: config})
    digest = pulled(root, team)
    line = f"{digest}  {team}  (differs from the digest in gatekeeper.yaml)\n"
    assert command("policy", "pull", cwd=root)[:2] == (1, line)
    assert command("policy", "pull", team, cwd=root)[:2] == (0, f"{digest}  {team}\n")


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A bundle that the real OPA built and signed, the public key, and one of somebody else."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "team.rego").write_text(RULE)
    (folder / "data.json").write_text(DATA)
    keys = {}
    for name in ("ours", "theirs"):
        keys[name] = tmp_path / f"{name}.pem"
        for words in (
            ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(keys[name])],
            ["pkey", "-in", str(keys[name]), "-pubout", "-out", f"{keys[name]}.pub"],
        ):
            subprocess.run(["openssl", *words], check=True, capture_output=True)
    target = tmp_path / "bundle.tar.gz"
    command = ["build", "--bundle", folder, "--signing-key", keys["ours"], "--output", target]
    code, _, words_ = run_command([OPA, *map(str, command)], 60)
    assert code == 0, words_
    return target, Path(f"{keys['ours']}.pub"), Path(f"{keys['theirs']}.pub")


@needs("opa")
def test_a_bundle_that_opa_signed_checks_with_its_data(repository: Repository, signed: tuple[Path, Path, Path]) -> None:
    bundle, ours, theirs = signed
    digest = pulled(bundle.parent, bundle)
    assert [one.message for one in judged(repository, bundle, digest, f", key: '{ours}'").findings] == ["of shop"]
    assert [one.message for one in judged(repository, bundle, digest).findings] == ["of shop"]
    assert "signed by another key" in refused(judged(repository, bundle, digest, f", key: '{theirs}'"))


@needs("opa")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("edit", "was changed after it was signed"),
        ("add", "more.rego is not signed"),
        ("drop", "source/team.rego is missing"),
        ("unsign", "not signed, but the config names a key"),
    ],
)
def test_changed_bundle_is_refused(
    repository: Repository, signed: tuple[Path, Path, Path], tmp_path: Path, change: str, told: str
) -> None:
    bundle, ours, _ = signed
    folder = tmp_path / "unpacked"
    folder.mkdir()
    subprocess.run(["tar", "xzf", bundle, "-C", folder], check=True)
    [rule] = folder.rglob("team.rego")
    if change == "edit":
        rule.write_text(rule.read_text().replace("Service", "Pod"))
    elif change == "add":
        rule.with_name("more.rego").write_text("package more\n")
    elif change == "drop":
        rule.unlink()
    else:
        (folder / ".signatures.json").unlink()
    subprocess.run(["tar", "czf", bundle, "-C", folder, "."], check=True)
    digest = pulled(bundle.parent, bundle)
    assert told in refused(judged(repository, bundle, digest, f", key: '{ours}'"))


@pytest.mark.parametrize(
    ("source", "digest", "more", "told"),
    [
        ("x", "", "", "needs a digest"),
        ("gone", f"sha256:{'0' * 64}", "", "no such folder"),
        ("gone.tar.gz", f"sha256:{'0' * 64}", "", "cannot be read"),
        ("x", f"sha256:{'0' * 64}", ", key: a", "remove the `key`"),
        ("git+x", f"sha256:{'0' * 64}", "", "must look like"),
        ("git+.@--upload-pack=x", f"sha256:{'0' * 64}", "", "Git cannot read this revision"),
    ],
)
def test_a_malformed_entry_is_reported(repository: Repository, source: str, digest: str, more: str, told: str) -> None:
    assert told in refused(judged(repository, source, digest, more))


def test_a_file_that_is_not_a_bundle_is_reported(repository: Repository, tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(b"no archive")
    assert "not a valid bundle archive" in refused(judged(repository, path, pulled(tmp_path, path)))
