"""AWS Secrets Manager and Parameter Store, through boto3: twenty secrets, or ten parameters, with each request.

Source: external-secrets `pkg/provider/aws/{secretsmanager,parameterstore}`; AWS API references of BatchGetSecretValue,
GetSecretValue, GetParameters and GetParametersByPath.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from gatekeeper.secret_value import Hidden
from gatekeeper.stores.aws_errors import Counted, refused
from gatekeeper.stores.protocol import Missing, Outcome, Query, StoreError, Wish, matcher

SECRETS_AT_ONCE = 20
PARAMETERS_AT_ONCE = 10
# So many requests at a time to one store.
AT_ONCE = 4


class Service:
    """What both services have in common: much is read in batches, and the rest one by one.

    Attributes:
        at_once: how many secrets one request reads.
    """

    at_once: int

    def __init__(self, client: Counted, prefix: str = "") -> None:
        self._client = client
        self._prefix = prefix

    @property
    def calls(self) -> int:
        """How many requests were made."""
        return self._client.calls

    def keep(self) -> bool:
        """See `Store.keep`."""
        return self._client.keep()

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def read(self, wishes: Sequence[Wish]) -> list[Outcome]:
        """See `Store.read`."""
        many = [wish for wish in wishes if self._is_for_batches(wish)]
        others = [wish for wish in wishes if not self._is_for_batches(wish)]
        batches = [many[start : start + self.at_once] for start in range(0, len(many), self.at_once)]
        found: dict[Wish, Outcome] = {}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for outcomes in pool.map(self._batch, batches):
                found.update(outcomes)
            found.update(zip(others, pool.map(self._one, others), strict=True))
        return [found[wish] for wish in wishes]

    def _is_for_batches(self, wish: Wish) -> bool:
        raise NotImplementedError

    def _batch(self, wishes: Sequence[Wish]) -> dict[Wish, Outcome]:
        raise NotImplementedError

    def _one(self, wish: Wish) -> Outcome:
        raise NotImplementedError

    def _all(self, names: Sequence[str]) -> dict[str, Hidden]:
        """The values of whole names; what was deleted since they were listed is left out."""
        found: dict[str, Hidden] = {}
        outcomes = type(self)(self._client).read([Wish(name) for name in names])
        for name, outcome in zip(names, outcomes, strict=True):
            if isinstance(outcome, Hidden):
                found[name] = outcome
            elif not isinstance(outcome, Missing):
                raise outcome
        return found


class SecretsManager(Service):
    """AWS Secrets Manager."""

    at_once = SECRETS_AT_ONCE

    def _is_for_batches(self, wish: Wish) -> bool:
        # A batch has the newest values only.
        return not wish.version and not wish.metadata

    def _batch(self, wishes: Sequence[Wish]) -> dict[Wish, Outcome]:
        names = {f"{self._prefix}{wish.key}": wish for wish in wishes}
        what = f"{len(wishes)} secrets"
        try:
            answer = self._client.ask(what, "batch_get_secret_value", SecretIdList=list(names))
        except StoreError as error:
            return dict.fromkeys(wishes, error)
        found: dict[Wish, Outcome] = {}
        for held in answer.get("SecretValues") or ():
            wish = names.get(held.get("Name", "")) or names.get(held.get("ARN", ""))
            if wish:
                found[wish] = _value(held, wish)
        for fault in answer.get("Errors") or ():
            wish = names.get(fault.get("SecretId", ""))
            if wish:
                found[wish] = refused(str(wish), str(fault.get("ErrorCode")), str(fault.get("Message")))
        # Part of an answer is no answer to the rest.
        rest = [wish for wish in wishes if wish not in found]
        return found | {wish: self._one(wish) for wish in rest}

    def _one(self, wish: Wish) -> Outcome:
        name = f"{self._prefix}{wish.key}"
        try:
            if wish.metadata:
                answer = self._client.ask(str(wish), "describe_secret", SecretId=name)
                return Hidden(_tags(answer.get("Tags")))
            which = {"VersionStage": wish.version or "AWSCURRENT"}
            if wish.version.startswith("uuid/"):
                which = {"VersionId": wish.version.removeprefix("uuid/")}
            return _value(self._client.ask(str(wish), "get_secret_value", SecretId=name, **which), wish)
        except StoreError as error:
            return error

    def find(self, query: Query) -> Mapping[str, Hidden]:
        """See `Store.find`: by name, or by tags."""
        pattern = matcher(query.name)
        filters = [{"Key": "name", "Values": [query.path]}] if query.path else []
        for key, text in query.tags.items():
            filters += [{"Key": "tag-key", "Values": [key]}, {"Key": "tag-value", "Values": [text]}]
        listed = self._client.pages("the list of secrets", "list_secrets", "SecretList", Filters=filters)
        names = [held["Name"] for held in listed if pattern.search(held["Name"]) and _has(held.get("Tags"), query.tags)]
        return self._all(names)


class ParameterStore(Service):
    """AWS Systems Manager Parameter Store."""

    at_once = PARAMETERS_AT_ONCE

    def _is_for_batches(self, wish: Wish) -> bool:
        return not wish.metadata

    def _batch(self, wishes: Sequence[Wish]) -> dict[Wish, Outcome]:
        names = {self._name(wish): wish for wish in wishes}
        try:
            answer = self._client.ask(
                f"{len(wishes)} parameters", "get_parameters", Names=list(names), WithDecryption=True
            )
        except StoreError as error:
            return dict.fromkeys(wishes, error)
        found: dict[Wish, Outcome] = {}
        # Of one name the newest version comes last, and so is what is meant where no version is named.
        for held in sorted(answer.get("Parameters") or (), key=lambda one: int(one.get("Version", 0))):
            for wish in (names[name] for name in _called(held) if name in names):
                found[wish] = Hidden(str(held.get("Value", "")).encode())
        return {wish: found.get(wish) or Missing(f"{wish}: AWS has no such parameter") for wish in wishes}

    def _name(self, wish: Wish) -> str:
        return f"{self._prefix}{wish.key}" + (f":{wish.version}" if wish.version else "")

    def _one(self, wish: Wish) -> Outcome:
        name = f"{self._prefix}{wish.key}"
        try:
            answer = self._client.ask(str(wish), "list_tags_for_resource", ResourceType="Parameter", ResourceId=name)
        except StoreError as error:
            return error
        return Hidden(_tags(answer.get("TagList")))

    def find(self, query: Query) -> Mapping[str, Hidden]:
        """See `Store.find`: by path and name, or by tags."""
        pattern = matcher(query.name)
        if not query.tags:
            listed = self._client.pages(
                "the list of parameters", "get_parameters_by_path", "Parameters",
                Path=query.path or "/", Recursive=True, WithDecryption=True,
            )  # fmt: skip
            return {held["Name"]: Hidden(held["Value"].encode()) for held in listed if pattern.search(held["Name"])}
        filters = [{"Key": f"tag:{key}", "Option": "Equals", "Values": [text]} for key, text in query.tags.items()]
        if query.path:
            filters.append({"Key": "Path", "Option": "Recursive", "Values": [query.path]})
        listed = self._client.pages(
            "the list of parameters", "describe_parameters", "Parameters", ParameterFilters=filters
        )
        return self._all([held["Name"] for held in listed if pattern.search(held["Name"])])


def _called(held: Mapping[str, Any]) -> tuple[str, ...]:
    """What a parameter may have been asked for as; its selector says so, where AWS repeats it."""
    if held.get("Selector"):
        return (f"{held['Name']}{held['Selector']}",)
    return held["Name"], held.get("ARN", ""), f"{held['Name']}:{held.get('Version')}"


def _value(held: Mapping[str, Any], wish: Wish) -> Outcome:
    if isinstance(held.get("SecretString"), str):
        return Hidden(held["SecretString"].encode())
    if isinstance(held.get("SecretBinary"), bytes):
        return Hidden(held["SecretBinary"])
    return StoreError(f"{wish}: AWS answers with no value", may_pass=True)


def _tags(listed: Any) -> bytes:
    return orjson.dumps({tag["Key"]: tag["Value"] for tag in listed or ()})


def _has(listed: Any, wanted: Mapping[str, str]) -> bool:
    """Whether all tags are there; AWS itself looks for keys and values apart."""
    held = {tag["Key"]: tag["Value"] for tag in listed or ()}
    return all(held.get(key) == text for key, text in wanted.items())
