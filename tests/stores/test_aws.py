"""AWS, as moto serves it: batches, versions, searches, roles, throttling, and answers that hold only a part."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import orjson
import pytest
from moto.server import ThreadedMotoServer

from gatekeeper.kube.decoder import FieldError
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores import aws_auth, registry
from gatekeeper.stores.aws import SecretsManagerStore
from gatekeeper.stores.aws_errors import AwsClient
from gatekeeper.stores.protocol import FetchOutcome, SecretNotFoundError, SecretQuery, SecretRef, Store, StoreError
from tests.conftest import Repository, command
from tests.servers import faulty_proxy
from tests.servers.faulty_proxy import Faults
from tests.stores.static_credentials import Held

VALUE = "hunter2-Zk9vQ1x7Lm3"
REGION = "eu-west-1"
KEYS = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "a-secret"}


@contextmanager
def moto() -> Iterator[str]:
    """An AWS of the test's own: its URL."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with moto() as found:
        yield found


@pytest.fixture(autouse=True)
def surroundings(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")


@pytest.fixture(scope="module", autouse=True)
def filled(url: str) -> None:
    manager = boto3.client("secretsmanager", region_name=REGION, endpoint_url=url, **KEYS)
    for number in range(45):
        manager.create_secret(
            Name=f"app/{number:02}", SecretString=orjson.dumps({"password": f"{VALUE}-{number}"}).decode()
        )
    manager.create_secret(Name="binary", SecretBinary=b"\x00\xff", Tags=[{"Key": "team", "Value": "shop"}])
    manager.create_secret(
        Name="other", SecretString="x", Tags=[{"Key": "team", "Value": "web"}, {"Key": "kind", "Value": "shop"}]
    )
    manager.put_secret_value(SecretId="app/00", SecretString="newer")
    manager.create_secret(Name="gone", SecretString="x")
    manager.delete_secret(SecretId="gone", RecoveryWindowInDays=7)
    parameters = boto3.client("ssm", region_name=REGION, endpoint_url=url, **KEYS)
    for number in range(25):
        parameters.put_parameter(Name=f"/app/{number:02}", Value=f"{VALUE}-{number}", Type="SecureString")
    parameters.put_parameter(Name="/app/00", Value="newer", Type="SecureString", Overwrite=True)
    parameters.put_parameter(Name="/web/a", Value="tagged", Type="String", Tags=[{"Key": "team", "Value": "shop"}])


HELD = Held({"id": "AKIAEXAMPLE", "key": "a-secret"})


def opened(service: str = "SecretsManager", **more: Any) -> Store:
    provider = {"service": service, "region": REGION, **more}
    return registry.open_store({"spec": {"provider": {"aws": provider}}}, HELD)


def shown(outcome: FetchOutcome) -> bytes:
    assert isinstance(outcome, SecretBytes), outcome
    return outcome.reveal()


def test_secrets_are_read_twenty_at_a_time() -> None:
    store = opened()
    wishes = [SecretRef(f"app/{number:02}") for number in range(1, 45)]
    found = store.fetch(wishes)
    assert [orjson.loads(shown(one))["password"] for one in found] == [f"{VALUE}-{number}" for number in range(1, 45)]
    assert store.request_count == 3
    store.close()


def test_versions_stages_binaries_and_metadata() -> None:
    store = opened()
    manager = boto3.client("secretsmanager", region_name=REGION)
    first = next(
        iter(
            name
            for name, stages in manager.describe_secret(SecretId="app/00")["VersionIdsToStages"].items()
            if "AWSPREVIOUS" in stages
        )
    )
    found = store.fetch(
        [
            SecretRef("app/00"),
            SecretRef("app/00", "AWSPREVIOUS"),
            SecretRef("app/00", f"uuid/{first}"),
            SecretRef("binary"),
            SecretRef("binary", is_metadata=True),
        ]
    )
    assert shown(found[0]) == b"newer" and shown(found[1]) == shown(found[2]) == orjson.dumps(
        {"password": f"{VALUE}-0"}
    )
    assert shown(found[3]) == b"\x00\xff" and orjson.loads(shown(found[4])) == {"team": "shop"}


def test_absent_secret_is_missing_and_the_others_are_read() -> None:
    found = opened().fetch(
        [
            SecretRef("app/01"),
            SecretRef("none"),
            SecretRef("gone"),
            SecretRef("app/01", "uuid/00000000-0000-0000-0000-000000000000"),
        ]
    )
    assert shown(found[0]) and all(isinstance(one, SecretNotFoundError) for one in found[1:3]), found


def test_secrets_are_found_by_name_path_and_tags() -> None:
    store = opened()
    assert list(store.find(SecretQuery("app/", "0[1-3]$", {}))) == ["app/01", "app/02", "app/03"]
    # AWS itself takes a key of one tag and the value of another for a match.
    assert list(store.find(SecretQuery("", "", {"team": "shop"}))) == ["binary"]


def test_parameters_are_read_ten_at_a_time_and_found_by_path_and_tag() -> None:
    store = opened("ParameterStore", prefix="/app/")
    found = store.fetch([SecretRef(f"{number:02}") for number in range(1, 25)])
    assert [shown(one).decode() for one in found] == [
        f"{VALUE}-{number}" for number in range(1, 25)
    ] and store.request_count == 3
    found = store.fetch([SecretRef("00"), SecretRef("00", "1"), SecretRef("none"), SecretRef("01", is_metadata=True)])
    assert [shown(one) for one in found[:2]] == [b"newer", f"{VALUE}-0".encode()]
    assert isinstance(found[2], SecretNotFoundError) and shown(found[3]) == b"{}"
    assert len(store.find(SecretQuery("/app", "/1", {}))) == 10
    assert list(store.find(SecretQuery("", "", {"team": "shop"}))) == ["/web/a"]


def test_keys_from_secrets_and_roles_one_after_the_other(url: str) -> None:
    del url
    auth = {
        "secretRef": {
            "accessKeyIDSecretRef": {"name": "id", "key": "a"},
            "secretAccessKeySecretRef": {"name": "key", "key": "a"},
        }
    }
    roles: dict[str, Any] = {
        "role": "arn:aws:iam::123456789012:role/last",
        "additionalRoles": ["arn:aws:iam::123456789012:role/first"],
        "externalID": "shop",
        "sessionTags": [{"key": "team", "value": "shop"}],
    }
    store = opened(auth=auth, **roles)
    # What a role of moto's own account owns is its own; that it answers shows that the role was taken.
    assert shown(store.fetch([SecretRef("binary")])[0]) == b"\x00\xff"
    with pytest.raises(StoreError, match="which is missing"):
        opened(auth={"secretRef": {"accessKeyIDSecretRef": {"name": "none", "key": "a"}}})


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ({"auth": {"jwt": {}}}, "`spec.provider.aws.auth.jwt.serviceAccountRef` is missing"),
        ({"service": "CertificateManager"}, "`spec.provider.aws.service` is"),
        ({"region": ""}, "`spec.provider.aws.region` is missing"),
        ({"nothing": 1}, "`spec.provider.aws.nothing` is not supported"),
        ({"auth": {"secretRef": {}}}, "accessKeyIDSecretRef` is missing"),
    ],
)
def test_unsupported_feature_is_refused_by_name(provider: dict[str, Any], words: str) -> None:
    with pytest.raises(FieldError) as caught:
        registry.open_store(
            {"spec": {"provider": {"aws": {"service": "SecretsManager", "region": REGION, **provider}}}},
            HELD,
        )
    assert words in str(caught.value)


class Faulty:
    """What AWS does on a bad day, which moto never has: errors by the list, then the real thing."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def _next(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def batch_get_secret_value(self, **arguments: Any) -> Any:
        return self._next()

    def get_secret_value(self, **arguments: Any) -> Any:
        return self._next()


def fault(code: str, message: str = VALUE) -> Exception:
    from botocore.exceptions import ClientError

    error: Exception = ClientError({"Error": {"Code": code, "Message": message}}, "GetSecretValue")
    return error


@pytest.mark.parametrize(
    ("code", "may_pass", "words"),
    [
        ("ThrottlingException", True, "throttling"),
        ("AccessDeniedException", False, "allow it in the IAM policy"),
        ("ExpiredTokenException", False, "rejects the credentials"),
        ("DecryptionFailure", False, "refuses the request (DecryptionFailure)"),
    ],
)
def test_error_is_reported_without_the_message_of_aws(code: str, may_pass: bool, words: str) -> None:
    found = SecretsManagerStore(AwsClient(Faulty(fault(code)))).fetch([SecretRef("a"), SecretRef("b")])
    assert all(isinstance(one, StoreError) and one.is_transient == may_pass and words in str(one) for one in found)
    assert not any(VALUE in str(one) for one in found)


def test_partial_batch_response_does_not_answer_the_other_references() -> None:
    part = {
        "SecretValues": [{"Name": "a", "SecretString": "x"}],
        "Errors": [{"SecretId": "b", "ErrorCode": "AccessDeniedException", "Message": VALUE}],
    }
    found = SecretsManagerStore(AwsClient(Faulty(part, {"SecretString": "late"}))).fetch(
        [SecretRef("a"), SecretRef("b"), SecretRef("c")]
    )
    assert shown(found[0]) == b"x" and "allow it in the IAM policy" in str(found[1]) and shown(found[2]) == b"late"
    assert not isinstance(found[1], SecretNotFoundError) and VALUE not in str(found[1])


def test_unreachable_aws_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(aws_auth, "MAX_ATTEMPTS", 1)
    [outcome] = opened().fetch([SecretRef("a")])
    assert isinstance(outcome, StoreError) and outcome.is_transient and "does not answer" in str(outcome)


def test_a_repository_is_read_with_as_few_requests_as_can_be(repository: Repository, url: str) -> None:
    store = f"apiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: {{name: aws}}\nspec: {{provider: {{aws: {{service: SecretsManager, region: {REGION}}}}}}}\n"
    one = (
        "---\napiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{name: s{n}, namespace: prod}}\nspec:\n"
        "  secretStoreRef: {{name: aws, kind: ClusterSecretStore}}\n  data: [{{secretKey: p, remoteRef: {{key: app/{k:02}, property: password}}}}]\n"
    )
    root = repository({"all.yaml": store + "".join(one.format(n=number, k=1 + number % 40) for number in range(120))})
    code, out, err = command("sync", "--dry-run", root)
    assert (
        (code, err) == (0, "") and "ClusterSecretStore aws: 2 requests for 120 references" in out and VALUE not in out
    )
    code, out, _ = command("sync", "--plan", "--budget", "0.01", root)
    # Two requests an hour, thirty days long.
    assert code == 0 and "about 1,440 requests per month, $0.01" in out
    code, out, _ = command("sync", "--plan", "--budget", "0.001", root)
    assert code == 1 and "per month exceeds the budget of $0.00" in out


@pytest.fixture
def door(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    with faulty_proxy.door(url) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.url)
        monkeypatch.setattr(aws_auth, "MAX_ATTEMPTS", 2)
        yield found


def test_throttled_aws_request_is_retried_a_limited_number_of_times(door: Faults) -> None:
    store = opened()
    door.body = b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'
    door.next = [400]
    assert shown(store.fetch([SecretRef("app/01")])[0]) and door.seen == 2
    door.next, door.seen = [400] * 9, 0
    [outcome] = store.fetch([SecretRef("app/02")])
    assert isinstance(outcome, StoreError) and outcome.is_transient and "throttling" in str(outcome)
    assert door.seen <= 4
    store.close()


def test_incomplete_or_faulty_aws_response_has_no_value(door: Faults) -> None:
    for fault in ("cut", "no JSON", 503, 500):
        store = opened()
        door.next = [fault] * 9
        [outcome] = store.fetch([SecretRef("app/01", "AWSCURRENT")])
        assert isinstance(outcome, StoreError) and not isinstance(outcome, SecretNotFoundError), fault
        assert outcome.is_transient and VALUE not in str(outcome)
        door.next = []
        store.close()
        assert shown(opened().fetch([SecretRef("app/01", "AWSCURRENT")])[0])


def test_aws_timeout_is_not_repeated_for_each_secret(door: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_auth, "TIMEOUT_SECONDS", 0.3)
    store = opened()
    door.next = ["slow"] * 200
    outcomes = store.fetch([SecretRef(f"app/{number:02}", "AWSCURRENT") for number in range(40)])
    assert all(isinstance(one, StoreError) and one.is_transient for one in outcomes) and door.seen <= 8
    store.close()
