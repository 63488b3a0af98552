"""GitRepositories are parsed in one form; unsupported fields are rejected by name."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.kube.decoder import FieldError
from gatekeeper.repositories import git_repository_spec
from gatekeeper.repositories.git_repository_spec import GitReference, GitRepository


def source(url: str = "https://example.com/r", **spec: Any) -> GitRepository:
    value = {
        "apiVersion": f"source.toolkit.fluxcd.io/{spec.pop('version', 'v1')}",
        "kind": "GitRepository",
        "metadata": {"name": "r", "namespace": "flux-system"},
        "spec": {"interval": "1m", "url": url, **spec},
    }
    return git_repository_spec.parse_git_repository(value)


@pytest.mark.parametrize("version", git_repository_spec.VERSIONS)
def test_all_versions_have_the_same_form(version: str) -> None:
    parsed = source(ref={"branch": "main"}, secretRef={"name": "s"}, timeout="30s", version=version)
    assert parsed == source(ref={"branch": "main"}, secretRef={"name": "s"}, timeout="30s")
    assert (parsed.ref, parsed.secret_name, parsed.timeout, parsed.interval) == (GitReference("main"), "s", 30.0, 60.0)
    assert source().ref == GitReference("master")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"url": "git@github.com:a/b"}, "must begin with"),
        ({"url": "ext::sh -c id"}, "must begin with"),
        ({"url": "--upload-pack=id"}, "must begin with"),
        ({"url": "https://me:secret@example.com/r"}, "contains a password"),
        ({"ref": {"branch": "--upload-pack=id"}}, "not a valid Git reference name"),
        ({"serviceAccountName": "x"}, "serviceAccountName` is not supported"),
        ({"include": [{"repository": {"name": "b"}, "toPath": "../up"}]}, "must be a relative path inside"),
        ({"include": [{"toPath": "x"}]}, "repository` is missing"),
        ({"provider": "azure"}, "provider` is"),
        ({"verify": {"mode": "Tag"}}, "secretRef` is missing"),
        ({"ref": {"odd": "x"}}, "odd` is not supported"),
        ({"accessFrom": {}}, "accessFrom"),
    ],
)
def test_invalid_or_unsupported_field_is_rejected_by_name(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(FieldError, match=words):
        source(**spec)
