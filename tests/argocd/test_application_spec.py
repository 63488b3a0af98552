"""What Applications ask for, and what of it is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.argocd import application_spec
from gatekeeper.argocd.application_spec import Automated, Retry
from gatekeeper.kube.decoder import FieldError

SOURCE = {"repoURL": "https://example.com/r.git", "path": "apps"}


def app(**spec: Any) -> dict[str, Any]:
    whole = {"source": SOURCE, "destination": {"server": "https://kubernetes.default.svc", "namespace": "prod"}}
    return {"metadata": {"name": "a", "namespace": "argocd"}, "spec": {**whole, **spec}}


def test_what_is_not_said_is_as_argo_cd_has_it() -> None:
    found = application_spec.read(app())
    assert (found.project, found.sources[0].revision, found.history) == ("default", "HEAD", 10)
    assert found.automated is None and found.options == () and found.retry == Retry(0)


@pytest.mark.parametrize(
    ("held", "automated"),
    [
        ({}, Automated(False, False, False)), ({"prune": True, "selfHeal": True}, Automated(True, True, False)),
        ({"enabled": False, "prune": True}, None), ({"enabled": True}, Automated(False, False, False)), (None, None),
    ],
)  # fmt: skip
def test_automation_is_on_where_it_is_there_and_not_off(held: Any, automated: Automated | None) -> None:
    assert application_spec.read(app(syncPolicy={"automated": held})).automated == automated


def test_a_retry_waits_longer_each_time_and_not_longer_than_it_says() -> None:
    retry = application_spec.read(
        app(syncPolicy={"retry": {"limit": 3, "backoff": {"duration": "5s", "maxDuration": "1m"}}})
    ).retry
    assert [retry.after(count) for count in range(5)] == [5, 10, 20, 40, 60] and retry.after(10**6) == 60


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"source": None}, "`spec.source` is missing"), ({"destination": None}, "`spec.destination` is missing"),
        ({"destination": {"namespace": "x"}}, "`spec.destination.server` or `name`"),
        ({"destination": {"server": "a", "name": "b"}}, "and not both"),
        ({"source": {**SOURCE, "plugin": {"name": "x"}}}, "`spec.source.plugin` is not supported"),
        ({"source": {**SOURCE, "path": "../up"}}, "within the repository"),
        ({"source": {**SOURCE, "path": "/root"}}, "within the repository"),
        ({"source": {**SOURCE, "repoURL": "https://u:p@example.com/r"}}, "holds a password"),
        ({"source": {**SOURCE, "repoURL": "oci://example.com/r"}}, "must begin with"),
        ({"source": {**SOURCE, "helm": {"fileParameters": []}}}, "`spec.source.helm.fileParameters` is not supported"),
        ({"source": {**SOURCE, "directory": {"jsonnet": {"libs": ["x"]}}}}, "`spec.source.directory.jsonnet`"),
        ({"sourceHydrator": {"drySource": {}}}, "`spec.sourceHydrator` is not supported"),
        ({"syncPolicy": {"automated": {"prune": "yes"}}}, "must be true or false"),
    ],
)  # fmt: skip
def test_what_is_wrong_or_not_supported_is_refused_by_name(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(FieldError) as caught:
        application_spec.read(app(**spec))
    assert words in str(caught.value)


def test_an_address_is_the_same_by_whatever_way_it_is_reached() -> None:
    one = "git@github.com:org/repo.git"
    assert application_spec.address(one) == "ssh://git@github.com/org/repo.git"
    assert application_spec.normal(one) == application_spec.normal("ssh://git@GitHub.com/org/repo/")
    assert application_spec.same(one, "https://github.com/org/repo") and not application_spec.same(
        one, "https://github.com/org/repo2"
    )
