"""A boto3 client that counts its requests and translates the errors of AWS.

Source: AWS API references, common errors.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from gatekeeper.stores.protocol import SecretNotFoundError, StoreError

# Throttling and internal errors of AWS: a later attempt may succeed.
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
    """A boto3 client that counts its requests and raises `StoreError`.

    Args:
        expires_at: the time when its credentials expire, by `time.monotonic`; None if they do not.

    Attributes:
        request_count: the number of requests so far.
    """

    def __init__(self, client: Any, expires_at: float | None = None) -> None:
        self._client = client
        self._expires_at = expires_at
        # After a connection error every request fails at once, instead of each waiting for its timeout.
        self._connection_error: StoreError | None = None
        self.request_count = 0

    def call(self, description: str, operation: str, **arguments: Any) -> dict[str, Any]:
        """Make one request.

        Args:
            description: what is requested, for messages.
            operation: the method of the boto3 client.

        Raises:
            SecretNotFoundError: AWS has no such secret.
            StoreError: AWS refused, or did not answer.
        """
        # boto3 starts slowly and takes much memory; it is loaded only if a store uses it.
        from botocore import exceptions

        if self._connection_error is not None:
            raise self._connection_error
        self.request_count += 1
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**arguments)
        except exceptions.ClientError as error:
            details = error.response.get("Error", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            raise build_error(description, str(details.get("Code")), str(details.get("Message")), status) from None
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError):
            raise StoreError(
                f"{description}: no AWS credentials: set `auth` in the SecretStore, or AWS_PROFILE"
            ) from None
        except exceptions.ParamValidationError:
            raise StoreError(f"{description}: not a valid AWS name: correct the key or the role") from None
        except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
            self._connection_error = StoreError(
                f"AWS does not answer: {type(error).__name__}", is_transient=True, is_store_wide=True
            )
            raise self._connection_error from None
        except exceptions.BotoCoreError as error:
            raise StoreError(f"{description}: AWS does not answer: {type(error).__name__}", is_transient=True) from None
        return answer

    def list_items(self, description: str, operation: str, field: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Yield the items of all pages of a list; raises like `call`."""
        token: dict[str, Any] = {}
        while True:
            answer = self.call(description, operation, **arguments, **token)
            yield from answer.get(field) or ()
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    def renew_session(self) -> bool:
        """Return whether AWS was reachable and the credentials have not expired."""
        is_current = self._expires_at is None or time.monotonic() < self._expires_at
        return is_current and self._connection_error is None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def build_error(description: str, code: str, message: str, status: int = 0) -> StoreError:
    """Translate an error code of AWS into an error that says what to do; the message of AWS is not shown.

    Args:
        status: the HTTP status; a proxy may answer without a code of AWS.
    """
    if code in NOT_FOUND_CODES or (code.startswith("InvalidRequest") and "delet" in message):
        return SecretNotFoundError(f"{description}: AWS has no such secret")
    if code in TRANSIENT_CODES or status == HTTP_TOO_MANY_REQUESTS or status >= HTTP_SERVER_ERROR:
        return StoreError(f"{description}: AWS is throttling or has an internal error ({code})", is_transient=True)
    if code in AUTHENTICATION_CODES:
        return StoreError(f"{description}: AWS rejects the credentials ({code}): check `auth` of the SecretStore")
    if code.startswith("AccessDenied"):
        return StoreError(f"{description}: AWS denies access ({code}): allow it in the IAM policy of the identity")
    return StoreError(f"{description}: AWS refuses the request ({code})")
