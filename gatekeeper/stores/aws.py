"""AWS Secrets Manager and Parameter Store, through boto3: twenty secrets, or ten parameters, with each request.

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
# So many requests at a time to one store.
CONCURRENT_REQUESTS = 4


class AwsStore:
    """What both services have in common: much is read in batches, and the rest one by one.

    Attributes:
        batch_size: how many secrets one request reads.
    """

    batch_size: int

    def __init__(self, client: AwsClient, prefix: str = "") -> None:
        self._client = client
        self._prefix = prefix

    @property
    def request_count(self) -> int:
        """How many requests were made."""
        return self._client.request_count

    def renew_session(self) -> bool:
        """See `Store.keep`."""
        return self._client.renew_session()

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def fetch(self, refs: Sequence[SecretRef]) -> list[FetchOutcome]:
        """See `Store.read`."""
        many = [wish for wish in refs if self._is_batchable(wish)]
        others = [wish for wish in refs if not self._is_batchable(wish)]
        batches = [many[start : start + self.batch_size] for start in range(0, len(many), self.batch_size)]
        found: dict[SecretRef, FetchOutcome] = {}
        with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
            for outcomes in pool.map(self._fetch_batch, batches):
                found.update(outcomes)
            found.update(zip(others, pool.map(self._fetch_one, others), strict=True))
        return [found[wish] for wish in refs]

    def _is_batchable(self, ref: SecretRef) -> bool:
        raise NotImplementedError

    def _fetch_batch(self, refs: Sequence[SecretRef]) -> dict[SecretRef, FetchOutcome]:
        raise NotImplementedError

    def _fetch_one(self, ref: SecretRef) -> FetchOutcome:
        raise NotImplementedError

    def _fetch_all(self, names: Sequence[str]) -> dict[str, SecretBytes]:
        """The values of whole names; what was deleted since they were listed is left out."""
        found: dict[str, SecretBytes] = {}
        outcomes = type(self)(self._client).fetch([SecretRef(name) for name in names])
        for name, outcome in zip(names, outcomes, strict=True):
            if isinstance(outcome, SecretBytes):
                found[name] = outcome
            elif not isinstance(outcome, SecretNotFoundError):
                raise outcome
        return found


class SecretsManagerStore(AwsStore):
    """AWS Secrets Manager."""

    batch_size = SECRETS_PER_REQUEST

    def _is_batchable(self, ref: SecretRef) -> bool:
        # A batch has the newest values only.
        return not ref.version and not ref.is_metadata

    def _fetch_batch(self, refs: Sequence[SecretRef]) -> dict[SecretRef, FetchOutcome]:
        names = {f"{self._prefix}{wish.key}": wish for wish in refs}
        what = f"{len(refs)} secrets"
        try:
            answer = self._client.call(what, "batch_get_secret_value", SecretIdList=list(names))
        except StoreError as error:
            return dict.fromkeys(refs, error)
        found: dict[SecretRef, FetchOutcome] = {}
        for held in answer.get("SecretValues") or ():
            wish = names.get(held.get("Name", "")) or names.get(held.get("ARN", ""))
            if wish:
                found[wish] = _parse_value(held, wish)
        for fault in answer.get("Errors") or ():
            wish = names.get(fault.get("SecretId", ""))
            if wish:
                found[wish] = build_error(str(wish), str(fault.get("ErrorCode")), str(fault.get("Message")))
        # Part of an answer is no answer to the rest.
        rest = [wish for wish in refs if wish not in found]
        return found | {wish: self._fetch_one(wish) for wish in rest}

    def _fetch_one(self, ref: SecretRef) -> FetchOutcome:
        name = f"{self._prefix}{ref.key}"
        try:
            if ref.is_metadata:
                answer = self._client.call(str(ref), "describe_secret", SecretId=name)
                return SecretBytes(_encode_tags(answer.get("Tags")))
            which = {"VersionStage": ref.version or "AWSCURRENT"}
            if ref.version.startswith("uuid/"):
                which = {"VersionId": ref.version.removeprefix("uuid/")}
            return _parse_value(self._client.call(str(ref), "get_secret_value", SecretId=name, **which), ref)
        except StoreError as error:
            return error

    def find(self, query: SecretQuery) -> Mapping[str, SecretBytes]:
        """See `Store.find`: by name, or by tags."""
        pattern = compile_name_pattern(query.name)
        filters = [{"Key": "name", "Values": [query.path]}] if query.path else []
        for key, text in query.tags.items():
            filters += [{"Key": "tag-key", "Values": [key]}, {"Key": "tag-value", "Values": [text]}]
        listed = self._client.list_items("the list of secrets", "list_secrets", "SecretList", Filters=filters)
        names = [
            held["Name"] for held in listed if pattern.search(held["Name"]) and _has_tags(held.get("Tags"), query.tags)
        ]
        return self._fetch_all(names)


class ParameterStore(AwsStore):
    """AWS Systems Manager Parameter Store."""

    batch_size = PARAMETERS_PER_REQUEST

    def _is_batchable(self, ref: SecretRef) -> bool:
        return not ref.is_metadata

    def _fetch_batch(self, refs: Sequence[SecretRef]) -> dict[SecretRef, FetchOutcome]:
        names = {self._build_parameter_name(wish): wish for wish in refs}
        try:
            answer = self._client.call(
                f"{len(refs)} parameters", "get_parameters", Names=list(names), WithDecryption=True
            )
        except StoreError as error:
            return dict.fromkeys(refs, error)
        found: dict[SecretRef, FetchOutcome] = {}
        # Of one name the newest version comes last, and so is what is meant where no version is named.
        for held in sorted(answer.get("Parameters") or (), key=lambda one: int(one.get("Version", 0))):
            for wish in (names[name] for name in _list_possible_names(held) if name in names):
                found[wish] = SecretBytes(str(held.get("Value", "")).encode())
        return {wish: found.get(wish) or SecretNotFoundError(f"{wish}: AWS has no such parameter") for wish in refs}

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
                held["Name"]: SecretBytes(held["Value"].encode()) for held in listed if pattern.search(held["Name"])
            }
        filters = [{"Key": f"tag:{key}", "Option": "Equals", "Values": [text]} for key, text in query.tags.items()]
        if query.path:
            filters.append({"Key": "Path", "Option": "Recursive", "Values": [query.path]})
        listed = self._client.list_items(
            "the list of parameters", "describe_parameters", "Parameters", ParameterFilters=filters
        )
        return self._fetch_all([held["Name"] for held in listed if pattern.search(held["Name"])])


def _list_possible_names(parameter: Mapping[str, Any]) -> tuple[str, ...]:
    """What a parameter may have been asked for as; its selector says so, where AWS repeats it."""
    if parameter.get("Selector"):
        return (f"{parameter['Name']}{parameter['Selector']}",)
    return parameter["Name"], parameter.get("ARN", ""), f"{parameter['Name']}:{parameter.get('Version')}"


def _parse_value(secret: Mapping[str, Any], ref: SecretRef) -> FetchOutcome:
    if isinstance(secret.get("SecretString"), str):
        return SecretBytes(secret["SecretString"].encode())
    if isinstance(secret.get("SecretBinary"), bytes):
        return SecretBytes(secret["SecretBinary"])
    return StoreError(f"{ref}: AWS answers with no value", is_transient=True)


def _encode_tags(tags: Any) -> bytes:
    return orjson.dumps({tag["Key"]: tag["Value"] for tag in tags or ()})


def _has_tags(tags: Any, required: Mapping[str, str]) -> bool:
    """Whether all tags are there; AWS itself looks for keys and values apart."""
    held = {tag["Key"]: tag["Value"] for tag in tags or ()}
    return all(held.get(key) == text for key, text in required.items())
