"""Rego on OPA: a server started for the run, or a remote one; one request carries thousands of resources.

Source: https://www.openpolicyagent.org/docs/rest-api.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from urllib.parse import quote, urlsplit

import orjson
from opa_client.errors import DeleteDataError, DeletePolicyError, PatchDataError, RegoParseError
from opa_client.opa import OpaClient
from requests.exceptions import HTTPError, RequestException, Timeout

from gatekeeper.config import Config
from gatekeeper.engines.rego.model import PolicySet
from gatekeeper.engines.rego.opa.server import COLLECTOR_PACKAGE, OpaServer, build_collector
from gatekeeper.engines.rego.regorus import guard
from gatekeeper.errors import PolicyError
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.protocols import QueryResult

START_TIMEOUT_SECONDS = 30.0
LOAD_TIMEOUT_SECONDS = 60.0
BATCH_SIZE = 2000
# After this number of timeouts a rule is not evaluated again: it would time out on every resource.
MAX_TIMEOUTS = 3
TIMEOUT_REASON = "took longer than `policies.timeout`"


class OpaInput(NamedTuple):
    """One resource (JSON), its number among the inputs, and the queries to evaluate on it."""

    input_index: int
    json: bytes
    queries: tuple[str, ...]


class OpaEngine:
    """Policies loaded into an OPA server.

    Args:
        queries: every rule that may be evaluated (`data.package.rule`).
        config: `opa.url` names a running server to use instead of starting one; what is loaded into it is removed at
            the end. `policies.timeout` is the time of one rule on one resource.

    Raises:
        PolicyError: a policy does not compile, calls a builtin that is not allowed, or the server does not answer.
        ToolError: OPA cannot be started.
    """

    def __init__(self, policies: PolicySet, queries: Sequence[str], config: Config) -> None:
        for module in policies.modules:
            guard.reject_external_calls(module, config.builtins)
        url, collector = config.opa_url, build_collector(queries)
        self._timeout = config.policy_timeout
        self._timeout_counts: Counter[str] = Counter()
        self._uploaded_modules: list[str] = []
        self._uploaded_data: list[str] = []
        self._version = "remote" if url else config.toolchain.get_tool("opa").version
        self._server = None if url else OpaServer(config.toolchain.find("opa"), policies, collector, config.builtins)
        host, port, is_https = _parse_url(url) if self._server is None else ("127.0.0.1", self._server.port, False)
        self._client = OpaClient(host=host, port=port, ssl=is_https, timeout=LOAD_TIMEOUT_SECONDS, retries=0)
        try:
            self._wait_until_ready(url)
            if url:
                self._upload(policies, collector)
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.protocols.RegoEngine`."""
        return "opa", self._version

    def _wait_until_ready(self, url: str) -> None:
        end = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._client.check_health():
            if self._server and self._server.has_ended:
                raise PolicyError(f"OPA did not start: {self._server.read_log_tail()}")
            if url or time.monotonic() > end:
                raise PolicyError(f"OPA at {url or 'loopback'} does not answer; check that it runs, and its URL")
            time.sleep(0.02)

    def _upload(self, policies: PolicySet, collector: str) -> None:
        modules = [(f"gatekeeper/{number}", module.text, module.path) for number, module in enumerate(policies.modules)]
        remaining = [*modules, ("gatekeeper/collect", collector, "the collecting policy")]
        while remaining:
            refused = [(entry, error) for entry in remaining if (error := self._upload_module(*entry))]
            # A module may import one that comes later: refused modules are tried again as long as others succeed.
            if len(refused) == len(remaining):
                raise refused[0][1]
            remaining = [entry for entry, _ in refused]
        for name, value in policies.data.items():
            try:
                self._client.patch_data(quote(name, safe=""), [{"op": "add", "path": "/", "value": value}])
            except (PatchDataError, RequestException, ValueError) as error:
                raise PolicyError(f"data.{name}: the OPA server refused it: {_describe_error(error)}") from error
            self._uploaded_data.append(name)

    def _upload_module(self, name: str, text: str, path: str) -> PolicyError | None:
        try:
            # Without `rego_compat` the client does not rewrite older Rego: what runs is what the repository contains.
            self._client.update_policy_from_string(text, name, rego_compat=False)
        except (RegoParseError, RequestException, ValueError) as error:
            hint = "a server reads one Rego version: v1, or v0 with --v0-compatible"
            return PolicyError(f"{path}: the OPA server refused it ({hint}): {_describe_error(error)}")
        self._uploaded_modules.append(name)
        return None

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """See `gatekeeper.protocols.RegoEngine`."""
        opa_inputs = [OpaInput(number, json, tuple(queries)) for number, (json, queries) in enumerate(inputs)]
        results: list[QueryResult] = []
        for start in range(0, len(opa_inputs), BATCH_SIZE):
            results.extend(self._evaluate_batch(opa_inputs[start : start + BATCH_SIZE]))
        return sorted(
            results, key=lambda result: (result.input_index, opa_inputs[result.input_index].queries.index(result.query))
        )

    def _evaluate_batch(self, inputs: Sequence[OpaInput]) -> Iterator[QueryResult]:
        """Evaluates inputs together; after a failure in halves, down to the rule and the resource that cause it."""
        for opa_input in inputs:
            for query in opa_input.queries:
                if self._timeout_counts[query] >= MAX_TIMEOUTS:
                    reason = "not evaluated: it took too long on other resources"
                    yield QueryResult(opa_input.input_index, query, None, reason)
        inputs = [self._drop_timed_out(opa_input) for opa_input in inputs]
        try:
            yield from self._send_request(inputs)
        except (Timeout, HTTPError) as error:
            yield from self._isolate_failure(inputs, error)

    def _drop_timed_out(self, opa_input: OpaInput) -> OpaInput:
        return opa_input._replace(
            queries=tuple(query for query in opa_input.queries if self._timeout_counts[query] < MAX_TIMEOUTS)
        )

    def _isolate_failure(self, inputs: Sequence[OpaInput], error: Timeout | HTTPError) -> Iterator[QueryResult]:
        [first, *others] = inputs
        if others:
            middle = len(inputs) // 2
            yield from self._evaluate_batch(inputs[:middle])
            yield from self._evaluate_batch(inputs[middle:])
        elif len(first.queries) > 1:
            for query in first.queries:
                yield from self._evaluate_batch([first._replace(queries=(query,))])
        elif first.queries:
            is_timeout = isinstance(error, Timeout)
            self._timeout_counts[first.queries[0]] += is_timeout
            reason = TIMEOUT_REASON if is_timeout else _describe_error(error)
            yield QueryResult(first.input_index, first.queries[0], None, reason)

    def _send_request(self, inputs: Sequence[OpaInput]) -> list[QueryResult]:
        body = {
            "resources": [orjson.loads(opa_input.json) for opa_input in inputs],
            "wanted": [opa_input.queries for opa_input in inputs],
        }
        # The time grows with the number of resources, but not by the full time of each.
        self._client.timeout = self._timeout * (1 + len(inputs) / 200)
        try:
            reply = self._client.query_rule(input_data=body, package_path=COLLECTOR_PACKAGE, rule_name="answers")
        except (HTTPError, Timeout):
            raise
        except (RequestException, ValueError) as error:
            subject = "OPA ended during a request" if self._server else "the connection to OPA failed"
            raise PolicyError(f"{subject}: {_describe_error(error)}") from error
        results = []
        for place, query, value in reply.get("result", ()):
            opa_input: OpaInput = inputs[place]
            if value != []:
                results.append(QueryResult(opa_input.input_index, query, value, ""))
        return results

    def close(self) -> None:
        """Ends the server that was started, or removes from a remote one what was loaded into it."""
        if self._server:
            self._server.close()
        else:
            self._unload()
        self._client.close_connection()

    def _unload(self) -> None:
        """Errors are ignored: what stays on a server that does not answer any more changes no verdict."""
        self._client.timeout = LOAD_TIMEOUT_SECONDS
        with suppress(RequestException, DeletePolicyError, DeleteDataError, ValueError):
            for name in reversed(self._uploaded_modules):
                self._client.delete_policy(name)
            for name in self._uploaded_data:
                self._client.delete_data(quote(name, safe=""))


def _parse_url(url: str) -> tuple[str, int, bool]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PolicyError(f"`opa.url` is {url!r}; it must look like http://127.0.0.1:8181")
    return parts.hostname, parts.port or 8181, parts.scheme == "https"


def _describe_error(error: Exception) -> str:
    """The messages of OPA's error document if the response has one; else the first line of the error."""
    response = getattr(error, "response", None)
    if response is not None:
        try:
            document = orjson.loads(response.content)
            return "; ".join(str(entry.get("message")) for entry in document.get("errors") or [document])
        except (ValueError, AttributeError):
            return f"status {response.status_code}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
