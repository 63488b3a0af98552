"""The plaintext engine: Secrets and leaks of the files of the shard."""

from __future__ import annotations

from gatekeeper.engines.plaintext import engine
from tests.conftest import Repository
from tests.engines.contexts import build_context
from tests.engines.plaintext.test_secrets import SECRET, VALUE

FILES: dict[str, str | bytes] = {
    "a.yaml": SECRET + f"stringData: {{p: {VALUE}}}\n",
    "b.env": "GITHUB_TOKEN=ghp_" + "x7Kd92LmQ0aZs81TbVwY3nPqRe5UiOcG4hJf\n",
    "c.bin": b"\0binary",
}


def test_secrets_and_leaks_are_found_and_a_binary_file_is_a_gap(repository: Repository) -> None:
    result = engine.evaluate(build_context(repository(FILES)))
    assert {(finding.rule, finding.location.file) for finding in result.findings} == {
        ("plaintext/secret", "a.yaml"),
        ("plaintext/github-token", "b.env"),
    }
    assert [gap.file for gap in result.gaps] == ["c.bin"]


def test_only_files_of_the_shard_are_searched(repository: Repository) -> None:
    context = build_context(repository(FILES))
    result = engine.evaluate(context._replace(shard_files=context.tree.select_files(lambda file: file == "b.env")))
    assert "plaintext/github-token" in {finding.rule for finding in result.findings}
    assert result.gaps == []


def test_no_finding_repeats_a_value(repository: Repository) -> None:
    text = f"{engine.evaluate(build_context(repository(FILES)))}"
    assert VALUE not in text and "x7Kd92" not in text
