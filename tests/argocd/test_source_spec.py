"""Sources of Applications: defaults, refused fields, and comparison of URLs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.argocd import source_spec
from gatekeeper.kube.decoder import FieldError, FieldReader

GIT = {"repoURL": "https://example.com/r.git", "path": "apps"}
CHART = {"repoURL": "https://example.com/charts", "chart": "shop"}


def parse(**spec: Any) -> tuple[source_spec.ApplicationSource, ...]:
    return source_spec.parse_sources(FieldReader(spec, ("spec",)))


def test_defaults_of_a_git_source_and_of_a_chart() -> None:
    [git], [chart] = parse(source=GIT), parse(source=CHART)
    assert (git.revision, git.path, git.chart, git.field_path) == ("HEAD", "apps", "", ("spec", "source"))
    assert (chart.revision, chart.path, chart.chart) == ("*", "", "shop")


def test_several_sources_replace_the_single_one() -> None:
    values = {"repoURL": "git@example.com:org/values.git", "ref": "values", "targetRevision": "v1"}
    first, second = parse(source={"repoURL": "https://ignored.example.com/r"}, sources=[CHART, values])
    assert (first.chart, first.field_path) == ("shop", ("spec", "sources", 0))
    assert (second.url, second.ref, second.revision) == ("ssh://git@example.com/org/values.git", "values", "v1")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "`spec.source` is missing"),
        ({"sources": [{"repoURL": "https://example.com/r", "ref": "x"}]}, "needs a `path` or a `chart`"),
        ({"source": {**CHART, "path": "x"}}, "`spec.source.chart` needs a Helm repository with an https:// URL"),
        ({"source": {**CHART, "repoURL": "ssh://git@example.com/r"}}, "OCI registries are not supported yet"),
        ({"source": {**CHART, "chart": "a/b"}}, "`spec.source.chart` is not a chart name"),
        ({"sources": [GIT, {**GIT, "path": "a/../../b"}]}, "`spec.sources[1].path` must be a folder within"),
        ({"source": {**GIT, "kustomize": {"buildOptions": "x"}}}, "`spec.source.kustomize.buildOptions` is not"),
        ({"source": {**GIT, "directory": {"recurse": "yes"}}}, "`spec.source.directory.recurse` must be a boolean"),
        ({"source": {**GIT, "directory": {"jsonnet": {"tlas": [1]}}}}, "`spec.source.directory.jsonnet` is not"),
    ],
)
def test_an_invalid_source_is_refused_with_its_field(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldError) as caught:
        parse(**spec)
    assert message in str(caught.value)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(FieldError, match="contains a password") as caught:
        parse(source={**GIT, "repoURL": "https://user:hunter2@example.com/r"})
    assert "hunter2" not in str(caught.value)


def test_urls_of_one_repository_are_the_same_by_ssh_and_https() -> None:
    url = "git@github.com:org/repo.git"
    assert source_spec.to_fetch_url(url) == "ssh://git@github.com/org/repo.git"
    assert source_spec.normalize_url(url) == source_spec.normalize_url("ssh://git@GitHub.com/org/repo/")
    assert source_spec.is_same_repository(url, "https://github.com/org/repo")
    assert not source_spec.is_same_repository(url, "https://github.com/org/repo2")


@given(st.text(max_size=40))
def test_normalizing_a_url_twice_changes_nothing_more(url: str) -> None:
    once = source_spec.normalize_url(url + "/r")
    assert source_spec.normalize_url(once) == once
