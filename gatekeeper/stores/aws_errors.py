"""Asking AWS, through boto3: requests are counted, and errors told in our words, with what to do.

Source: AWS API references, common errors.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from gatekeeper.stores.protocol import Missing, StoreError

# What passes: AWS is asked too often, or has a fault of its own.
PASSING = (
    "Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "InternalServiceError",
    "InternalServerError", "ServiceUnavailable", "InternalFailure",
)  # fmt: skip
TOO_MANY, FAULT = 429, 500
NOT_THERE = ("ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound")
UNKNOWN = (
    "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredToken", "ExpiredTokenException",
    "SignatureDoesNotMatch",
)  # fmt: skip


class Counted:
    """A client of boto3 whose requests are counted, and whose errors are told in our words.

    Args:
        until: when its credentials end, by `time.monotonic`; None where they do not.
    """

    def __init__(self, client: Any, until: float | None = None) -> None:
        self._client = client
        self._until = until
        # Why it cannot be reached, so that the rest is not asked for in vain, each until its time is up.
        self._gone: StoreError | None = None
        self.calls = 0

    def ask(self, what: str, name: str, **arguments: Any) -> dict[str, Any]:
        """One request.

        Raises:
            Missing, StoreError: AWS refuses, or does not answer.
        """
        from botocore import exceptions

        if self._gone is not None:
            raise self._gone
        self.calls += 1
        try:
            answer: dict[str, Any] = getattr(self._client, name)(**arguments)
        except exceptions.ClientError as error:
            held = error.response.get("Error", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            raise refused(what, str(held.get("Code")), str(held.get("Message")), status) from None
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError):
            raise StoreError(f"{what}: nobody says who asks: name `auth` in the store, or set AWS_PROFILE") from None
        except exceptions.ParamValidationError:
            raise StoreError(f"{what}: AWS takes no such name or role; look at the store and the key") from None
        except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
            self._gone = StoreError(f"AWS does not answer: {type(error).__name__}", may_pass=True, is_whole=True)
            raise self._gone from None
        except exceptions.BotoCoreError as error:
            raise StoreError(f"{what}: AWS does not answer: {type(error).__name__}", may_pass=True) from None
        return answer

    def pages(self, what: str, name: str, field: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """The items of all pages of a list."""
        token: dict[str, Any] = {}
        while True:
            answer = self.ask(what, name, **arguments, **token)
            yield from answer.get(field) or ()
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    def keep(self) -> bool:
        """Whether its credentials are good for a while."""
        self._gone = None
        return self._until is None or time.monotonic() < self._until

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()


def refused(what: str, code: str, message: str, status: int = 0) -> StoreError:
    """What an error code of AWS means, and what to do; its own words are not passed on.

    Args:
        status: of the answer, for a server between may answer, too, that knows no codes.
    """
    if code in NOT_THERE or (code.startswith("InvalidRequest") and "delet" in message):
        return Missing(f"{what}: AWS has no such secret")
    if code in PASSING or status == TOO_MANY or status >= FAULT:
        return StoreError(f"{what}: AWS is asked too often, or has a fault of its own ({code})", may_pass=True)
    if code in UNKNOWN:
        return StoreError(f"{what}: AWS does not know who asks ({code}): look at `auth` of the store")
    if code.startswith("AccessDenied"):
        return StoreError(f"{what}: AWS refuses ({code}): the policies of who asks do not allow it")
    return StoreError(f"{what}: AWS refuses ({code})")
