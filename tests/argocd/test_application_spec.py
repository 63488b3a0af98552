"""Application specs: defaults, policies, and fields that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.argocd import application_spec
from gatekeeper.argocd.application_spec import AutoSyncPolicy, RetryStrategy
from gatekeeper.kube.decoder import FieldError

SOURCE = {"repoURL": "https://example.com/r.git", "path": "apps"}


def app(**spec: Any) -> dict[str, Any]:
    whole = {"source": SOURCE, "destination": {"server": "https://kubernetes.default.svc", "namespace": "prod"}}
    return {"metadata": {"name": "a", "namespace": "argocd"}, "spec": {**whole, **spec}}


def test_defaults_are_those_of_argo_cd() -> None:
    found = application_spec.parse_application(app())
    assert (found.project, found.sources[0].revision, found.history_limit) == ("default", "HEAD", 10)
    assert found.auto_sync is None and found.sync_options == () and found.retry == RetryStrategy(0)


@pytest.mark.parametrize(
    ("held", "automated"),
    [
        ({}, AutoSyncPolicy(False, False, False)),
        ({"prune": True, "selfHeal": True}, AutoSyncPolicy(True, True, False)),
        ({"enabled": False, "prune": True}, None),
        ({"enabled": True}, AutoSyncPolicy(False, False, False)),
        (None, None),
    ],
)
def test_auto_sync_is_on_if_present_and_not_disabled(held: Any, automated: AutoSyncPolicy | None) -> None:
    assert application_spec.parse_application(app(syncPolicy={"automated": held})).auto_sync == automated


def test_the_retry_delay_grows_up_to_its_maximum() -> None:
    retry = application_spec.parse_application(
        app(syncPolicy={"retry": {"limit": 3, "backoff": {"duration": "5s", "maxDuration": "1m"}}})
    ).retry
    assert [retry.compute_delay(count) for count in range(5)] == [5, 10, 20, 40, 60] and retry.compute_delay(
        10**6
    ) == 60


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"source": None}, "`spec.source` is missing"),
        ({"destination": None}, "`spec.destination` is missing"),
        ({"destination": {"namespace": "x"}}, "`spec.destination.server` or `name`"),
        ({"destination": {"server": "a", "name": "b"}}, "but not both"),
        ({"source": {**SOURCE, "plugin": {"name": "x"}}}, "`spec.source.plugin` is not supported"),
        ({"source": {**SOURCE, "path": "../up"}}, "within the repository"),
        ({"source": {**SOURCE, "path": "/root"}}, "within the repository"),
        ({"source": {**SOURCE, "repoURL": "https://u:p@example.com/r"}}, "contains a password"),
        ({"source": {**SOURCE, "repoURL": "oci://example.com/r"}}, "must begin with"),
        ({"source": {**SOURCE, "helm": {"fileParameters": []}}}, "`spec.source.helm.fileParameters` is not supported"),
        ({"source": {**SOURCE, "directory": {"jsonnet": {"libs": ["x"]}}}}, "`spec.source.directory.jsonnet`"),
        ({"sourceHydrator": {"drySource": {}}}, "`spec.sourceHydrator` is not supported"),
        ({"syncPolicy": {"automated": {"prune": "yes"}}}, "must be a boolean"),
    ],
)
def test_an_invalid_or_unsupported_field_is_refused_by_name(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(FieldError) as caught:
        application_spec.parse_application(app(**spec))
    assert words in str(caught.value)
