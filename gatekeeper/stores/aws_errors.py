"""Asking AWS, through boto3: requests are counted, and errors told in our words, with what to do.

Source: AWS API references, common errors.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from gatekeeper.stores.protocol import SecretNotFoundError, StoreError

# What passes: AWS is asked too often, or has a fault of its own.
TRANSIENT_CODES = (
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "InternalServiceError",
    "InternalServerError",
    "ServiceUnavailable",
    "InternalFailure",
)
HTTP_TOO_MANY_REQUESTS, HTTP_SERVER_ERROR = 429, 500
NOT_FOUND_CODES = ("ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound")
AUTHENTICATION_CODES = (
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "ExpiredToken",
    "ExpiredTokenException",
    "SignatureDoesNotMatch",
)


class AwsClient:
    """A client of boto3 whose requests are counted, and whose errors are told in our words.

    Args:
        until: when its credentials end, by `time.monotonic`; None where they do not.
    """

    def __init__(self, client: Any, expires_at: float | None = None) -> None:
        self._client = client
        self._expires_at = expires_at
        # Why it cannot be reached, so that the rest is not asked for in vain, each until its time is up.
        self._connection_error: StoreError | None = None
        self.request_count = 0

    def call(self, description: str, operation: str, **arguments: Any) -> dict[str, Any]:
        """One request.

        Raises:
            Missing, StoreError: AWS refuses, or does not answer.
        """
        from botocore import exceptions

        if self._connection_error is not None:
            raise self._connection_error
        self.request_count += 1
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**arguments)
        except exceptions.ClientError as error:
            held = error.response.get("Error", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            raise build_error(description, str(held.get("Code")), str(held.get("Message")), status) from None
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError):
            raise StoreError(
                f"{description}: nobody says who asks: name `auth` in the store, or set AWS_PROFILE"
            ) from None
        except exceptions.ParamValidationError:
            raise StoreError(f"{description}: AWS takes no such name or role; look at the store and the key") from None
        except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
            self._connection_error = StoreError(
                f"AWS does not answer: {type(error).__name__}", is_transient=True, is_store_wide=True
            )
            raise self._connection_error from None
        except exceptions.BotoCoreError as error:
            raise StoreError(f"{description}: AWS does not answer: {type(error).__name__}", is_transient=True) from None
        return answer

    def list_items(self, description: str, operation: str, field: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """The items of all pages of a list."""
        token: dict[str, Any] = {}
        while True:
            answer = self.call(description, operation, **arguments, **token)
            yield from answer.get(field) or ()
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    def renew_session(self) -> bool:
        """Whether its credentials are good for a while."""
        self._connection_error = None
        return self._expires_at is None or time.monotonic() < self._expires_at

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()


def build_error(description: str, code: str, message: str, status: int = 0) -> StoreError:
    """What an error code of AWS means, and what to do; its own words are not passed on.

    Args:
        status: of the answer, for a server between may answer, too, that knows no codes.
    """
    if code in NOT_FOUND_CODES or (code.startswith("InvalidRequest") and "delet" in message):
        return SecretNotFoundError(f"{description}: AWS has no such secret")
    if code in TRANSIENT_CODES or status == HTTP_TOO_MANY_REQUESTS or status >= HTTP_SERVER_ERROR:
        return StoreError(
            f"{description}: AWS is asked too often, or has a fault of its own ({code})", is_transient=True
        )
    if code in AUTHENTICATION_CODES:
        return StoreError(f"{description}: AWS does not know who asks ({code}): look at `auth` of the store")
    if code.startswith("AccessDenied"):
        return StoreError(f"{description}: AWS refuses ({code}): the policies of who asks do not allow it")
    return StoreError(f"{description}: AWS refuses ({code})")
