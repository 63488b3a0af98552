"""AWS Secrets Manager and Parameter Store as stores; one request fetches twenty secrets or ten parameters.

Source: external-secrets `pkg/provider/aws/{secretsmanager,parameterstore}`; AWS API references of BatchGetSecretValue,
GetSecretValue, GetParameters and GetParametersByPath.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.aws_errors import AwsClient, build_error
from gatekeeper.stores.protocol import (
    FetchOutcome,
    SecretNotFoundError,
    SecretQuery,
    SecretRef,
    StoreError,
    compile_name_pattern,
)

SECRETS_PER_REQUEST = 20
PARAMETERS_PER_REQUEST = 10
# The number of concurrent requests to one store.
CONCURRENT_REQUESTS = 4


class AwsStore:
    """The common part of both services: secrets are fetched in batches where the service allows it.

    Args:
        prefix: put before each key.

    Attributes:
        batch_size: the number of secrets that one request fetches.
    """

    batch_size: int

    def __init__(self, client: AwsClient, prefix: str = "") -> None:
        self._client = client
        self._prefix = prefix

    @property
    def request_count(self) -> int:
        """See `Store.request_count`."""
        return self._client.request_count

    def renew_session(self) -> bool:
        """See `Store.renew_session`."""
        return self._client.renew_session()

    def close(self) -> None:
        """See `Store.close`."""
        self._client.close()

    def fetch(self, refs: Sequence[SecretRef]) -> list[FetchOutcome]:
        """See `Store.fetch`."""
        batchable = [ref for ref in refs if self._is_batchable(ref)]
        others = [ref for ref in refs if not self._is_batchable(ref)]
        batches = [batchable[start : start + self.batch_size] for start in range(0, len(batchable), self.batch_size)]
        outcomes: dict[SecretRef, FetchOutcome] = {}
        with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
            for batch_outcomes in pool.map(self._fetch_batch, batches):
                outcomes.update(batch_outcomes)
            outcomes.update(zip(others, pool.map(self._fetch_one, others), strict=True))
        return [outcomes[ref] for ref in refs]

    def _is_batchable(self, ref: SecretRef) -> bool:
        raise NotImplementedError

    def _fetch_batch(self, refs: Sequence[SecretRef]) -> dict[SecretRef, FetchOutcome]:
        raise NotImplementedError

    def _fetch_one(self, ref: SecretRef) -> FetchOutcome:
        raise NotImplementedError

    def _fetch_all(self, names: Sequence[str]) -> dict[str, SecretBytes]:
        """Fetch the values of listed names; a secret that was deleted since the listing is left out."""
        values: dict[str, SecretBytes] = {}
        # The names are complete: they must not get the prefix a second time.
        outcomes = type(self)(self._client).fetch([SecretRef(name) for name in names])
        for name, outcome in zip(names, outcomes, strict=True):
            if isinstance(outcome, SecretBytes):
                values[name] = outcome
            elif not isinstance(outcome, SecretNotFoundError):
                raise outcome
        return values


class SecretsManagerStore(AwsStore):
    """AWS Secrets Manager."""

    batch_size = SECRETS_PER_REQUEST

    def _is_batchable(self, ref: SecretRef) -> bool:
        # A batch request returns the newest values only.
        return not ref.version and not ref.is_metadata

    def _fetch_batch(self, refs: Sequence[SecretRef]) -> dict[SecretRef, FetchOutcome]:
        refs_by_name = {f"{self._prefix}{ref.key}": ref for ref in refs}
        description = f"{len(refs)} secrets"
        try:
            answer = self._client.call(description, "batch_get_secret_value", SecretIdList=list(refs_by_name))
        except StoreError as error:
            return dict.fromkeys(refs, error)
        outcomes: dict[SecretRef, FetchOutcome] = {}
        for secret in answer.get("SecretValues") or ():
            ref = refs_by_name.get(secret.get("Name", "")) or refs_by_name.get(secret.get("ARN", ""))
            if ref:
                outcomes[ref] = _parse_value(secret, ref)
        for fault in answer.get("Errors") or ():
            ref = refs_by_name.get(fault.get("SecretId", ""))
            if ref:
                outcomes[ref] = build_error(str(ref), str(fault.get("ErrorCode")), str(fault.get("Message")))
        # A secret that the answer does not mention is not missing: it is fetched by itself.
        return outcomes | {ref: self._fetch_one(ref) for ref in refs if ref not in outcomes}

    def _fetch_one(self, ref: SecretRef) -> FetchOutcome:
        name = f"{self._prefix}{ref.key}"
        try:
            if ref.is_metadata:
                answer = self._client.call(str(ref), "describe_secret", SecretId=name)
                return SecretBytes(_encode_tags(answer.get("Tags")))
            version = {"VersionStage": ref.version or "AWSCURRENT"}
            if ref.version.startswith("uuid/"):
                version = {"VersionId": ref.version.removeprefix("uuid/")}
            return _parse_value(self._client.call(str(ref), "get_secret_value", SecretId=name, **version), ref)
        except StoreError as error:
            return error

    def find(self, query: SecretQuery) -> Mapping[str, SecretBytes]:
        """See `Store.find`: by name, or by tags."""
        pattern = compile_name_pattern(query.name)
        filters: list[dict[str, Any]] = [{"Key": "name", "Values": [query.path]}] if query.path else []
        for key, text in query.tags.items():
            filters += [{"Key": "tag-key", "Values": [key]}, {"Key": "tag-value", "Values": [text]}]
        listed = self._client.list_items("the list of secrets", "list_secrets", "SecretList", Filters=filters)
        return self._fetch_all(
            [
                secret["Name"]
                for secret in listed
                if pattern.search(secret["Name"]) and _has_tags(secret.get("Tags"), query.tags)
            ]
        )


class ParameterStore(AwsStore):
    """AWS Systems Manager Parameter Store."""

    batch_size = PARAMETERS_PER_REQUEST

    def _is_batchable(self, ref: SecretRef) -> bool:
        return not ref.is_metadata

    def _fetch_batch(self, refs: Sequence[SecretRef]) -> dict[SecretRef, FetchOutcome]:
        refs_by_name = {self._build_parameter_name(ref): ref for ref in refs}
        try:
            answer = self._client.call(
                f"{len(refs)} parameters", "get_parameters", Names=list(refs_by_name), WithDecryption=True
            )
        except StoreError as error:
            return dict.fromkeys(refs, error)
        values: dict[SecretRef, SecretBytes] = {}
        # The newest version of a parameter comes last: it is the value of a reference without a version.
        for parameter in sorted(answer.get("Parameters") or (), key=lambda item: int(item.get("Version", 0))):
            for name in _list_possible_names(parameter):
                if name in refs_by_name:
                    values[refs_by_name[name]] = SecretBytes(str(parameter.get("Value", "")).encode())
        return {
            ref: values[ref] if ref in values else SecretNotFoundError(f"{ref}: AWS has no such parameter")
            for ref in refs
        }

    def _build_parameter_name(self, ref: SecretRef) -> str:
        return f"{self._prefix}{ref.key}" + (f":{ref.version}" if ref.version else "")

    def _fetch_one(self, ref: SecretRef) -> FetchOutcome:
        name = f"{self._prefix}{ref.key}"
        try:
            answer = self._client.call(str(ref), "list_tags_for_resource", ResourceType="Parameter", ResourceId=name)
        except StoreError as error:
            return error
        return SecretBytes(_encode_tags(answer.get("TagList")))

    def find(self, query: SecretQuery) -> Mapping[str, SecretBytes]:
        """See `Store.find`: by path and name, or by tags."""
        pattern = compile_name_pattern(query.name)
        if not query.tags:
            listed = self._client.list_items(
                "the list of parameters",
                "get_parameters_by_path",
                "Parameters",
                Path=query.path or "/",
                Recursive=True,
                WithDecryption=True,
            )
            return {
                parameter["Name"]: SecretBytes(parameter["Value"].encode())
                for parameter in listed
                if pattern.search(parameter["Name"])
            }
        filters = [{"Key": f"tag:{key}", "Option": "Equals", "Values": [text]} for key, text in query.tags.items()]
        if query.path:
            filters.append({"Key": "Path", "Option": "Recursive", "Values": [query.path]})
        listed = self._client.list_items(
            "the list of parameters", "describe_parameters", "Parameters", ParameterFilters=filters
        )
        return self._fetch_all([parameter["Name"] for parameter in listed if pattern.search(parameter["Name"])])


def _list_possible_names(parameter: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names that may have selected a parameter; AWS repeats the selector of some requests."""
    if parameter.get("Selector"):
        return (f"{parameter['Name']}{parameter['Selector']}",)
    return parameter["Name"], parameter.get("ARN", ""), f"{parameter['Name']}:{parameter.get('Version')}"


def _parse_value(secret: Mapping[str, Any], ref: SecretRef) -> FetchOutcome:
    if isinstance(secret.get("SecretString"), str):
        return SecretBytes(secret["SecretString"].encode())
    if isinstance(secret.get("SecretBinary"), bytes):
        return SecretBytes(secret["SecretBinary"])
    return StoreError(f"{ref}: AWS answered without a value", is_transient=True)


def _encode_tags(tags: Any) -> bytes:
    return orjson.dumps({tag["Key"]: tag["Value"] for tag in tags or ()})


def _has_tags(tags: Any, required: Mapping[str, str]) -> bool:
    """Return whether all tags match; the filters of AWS do not require a key and a value in the same tag."""
    values = {tag["Key"]: tag["Value"] for tag in tags or ()}
    return all(values.get(key) == text for key, text in required.items())
