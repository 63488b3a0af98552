"""Translation of the errors of AWS."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore import exceptions

from gatekeeper.stores.aws_errors import AwsClient, build_error
from gatekeeper.stores.protocol import SecretNotFoundError, StoreError


class Answers:
    """A boto3 client that returns or raises what it is given, in order."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def list_secrets(self, **arguments: Any) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("code", "message", "status", "kind", "is_transient", "text"),
    [
        ("ResourceNotFoundException", "", 400, SecretNotFoundError, False, "AWS has no such secret"),
        ("InvalidRequestException", "marked for deletion", 400, SecretNotFoundError, False, "no such secret"),
        ("InvalidRequestException", "s3cr3t", 400, StoreError, False, "AWS refuses the request"),
        ("Throttling", "", 400, StoreError, True, "throttling"),
        ("None", "", 502, StoreError, True, "internal error"),
        ("ExpiredToken", "", 403, StoreError, False, "check `auth`"),
        ("AccessDeniedException", "s3cr3t", 400, StoreError, False, "IAM policy"),
    ],
)
def test_code_decides_and_the_message_is_not_shown(
    code: str, message: str, status: int, kind: type[StoreError], is_transient: bool, text: str
) -> None:
    error = build_error("`a`", code, message, status)
    assert type(error) is kind and error.is_transient is is_transient
    assert str(error).startswith("`a`: ") and text in str(error) and "s3cr3t" not in str(error)


def test_connection_error_fails_all_later_requests_at_once() -> None:
    client = AwsClient(Answers(exceptions.EndpointConnectionError(endpoint_url="http://x"), {}))
    for _ in range(3):
        with pytest.raises(StoreError, match="AWS does not answer: EndpointConnectionError") as caught:
            client.call("the list", "list_secrets")
        assert caught.value.is_store_wide and caught.value.is_transient
    assert client.request_count == 1 and not client.renew_session()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (exceptions.NoCredentialsError(), "no AWS credentials: set `auth` in the SecretStore, or AWS_PROFILE"),
        (exceptions.ParamValidationError(report="s3cr3t"), "not a valid AWS name"),
        (exceptions.BotoCoreError(), "does not answer: BotoCoreError"),
    ],
)
def test_errors_of_the_library_are_translated(error: Exception, text: str) -> None:
    with pytest.raises(StoreError) as caught:
        AwsClient(Answers(error)).call("the list", "list_secrets")
    assert text in str(caught.value) and "s3cr3t" not in str(caught.value)


def test_list_follows_all_pages() -> None:
    client = AwsClient(Answers({"L": [{"a": 1}], "NextToken": "t"}, {"L": None, "NextToken": "u"}, {"L": [{"a": 2}]}))
    assert [item["a"] for item in client.list_items("the list", "list_secrets", "L")] == [1, 2]
    assert client.request_count == 3


def test_session_ends_when_the_credentials_expire() -> None:
    assert AwsClient(Answers()).renew_session()
    assert AwsClient(Answers(), time.monotonic() + 60).renew_session()
    assert not AwsClient(Answers(), time.monotonic() - 1).renew_session()
