"""Rego by a real OPA: started for the run, or a server named by URL; one request carries thousands of resources.

See https://www.openpolicyagent.org/docs/rest-api for the calls.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import orjson
from opa_client.errors import DeleteDataError, DeletePolicyError, PatchDataError, RegoParseError
from opa_client.opa import OpaClient
from requests.exceptions import HTTPError, RequestException, Timeout

from gatekeeper.engines.rego import regorus_guard
from gatekeeper.engines.rego.loader import PolicySet
from gatekeeper.engines.rego.opa_server import COLLECTOR_PACKAGE, OpaServer, build_collector
from gatekeeper.errors import PolicyError
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN, Toolchain
from gatekeeper.protocols import QueryResult

START_TIMEOUT_SECONDS = 30.0
LOAD_TIMEOUT_SECONDS = 60.0
BATCH_SIZE = 2000
# A rule that ran out of time so often is not asked again: it would do so on every resource.
MAX_TIMEOUTS = 3


class OpaInput(NamedTuple):
    """One resource (JSON), its place among the inputs, and the rules that it is asked."""

    input_index: int
    json: bytes
    queries: tuple[str, ...]


class OpaEngine:
    """Policies loaded into an OPA server.

    Args:
        queries: every rule that may be asked (`data.package.rule`).
        timeout: seconds that one rule may take on one resource.
        allowed: builtins that may reach out, by name.
        url: a running server to use instead of starting one; what is loaded into it is taken away at the end.
        toolchain: has the OPA to start.
    """

    def __init__(
        self,
        policies: PolicySet,
        queries: Sequence[str],
        timeout: float,
        url: str = "",
        allowed_builtins: Sequence[str] = (),
        toolchain: Toolchain = DEFAULT_TOOLCHAIN,
    ) -> None:
        for module in policies.modules:
            regorus_guard.reject_external_calls(module, allowed_builtins)
        self._timeout = timeout
        self._timeout_counts: Counter[str] = Counter()
        self._uploaded_modules: list[str] = []
        self._uploaded_data: list[str] = []
        self._version = "remote" if url else toolchain.get_tool("opa").version
        self._server = (
            None if url else OpaServer(toolchain.find("opa"), policies, build_collector(queries), allowed_builtins)
        )
        host, port, secure = _parse_url(url) if self._server is None else ("127.0.0.1", self._server.port, False)
        self._client = OpaClient(host=host, port=port, ssl=secure, timeout=LOAD_TIMEOUT_SECONDS, retries=0)
        try:
            self._wait_until_ready(url)
            if url:
                self._upload(policies, build_collector(queries))
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> tuple[str, str]:
        """For the report."""
        return "opa", self._version

    def _wait_until_ready(self, url: str) -> None:
        end = time.monotonic() + START_TIMEOUT_SECONDS
        pause = 0.02
        while not self._client.check_health():
            if self._server and self._server.has_ended:
                raise PolicyError(f"OPA did not start: {self._server.read_log_tail()}")
            if url or time.monotonic() > end:
                raise PolicyError(f"OPA at {url or 'loopback'} does not answer; is it running, is the URL right?")
            time.sleep(pause)

    def _upload(self, policies: PolicySet, collector: str) -> None:
        modules = [(f"gatekeeper/{number}", module.text, module.path) for number, module in enumerate(policies.modules)]
        waiting = [*modules, ("gatekeeper/collect", collector, "the collecting policy")]
        while waiting:
            refused = [(entry, error) for entry in waiting if (error := self._upload_module(*entry))]
            # A module may need another that comes later: those are tried again, as long as any is taken.
            if len(refused) == len(waiting):
                raise refused[0][1]
            waiting = [entry for entry, _ in refused]
        for name, value in policies.data.items():
            try:
                self._client.patch_data(quote(name, safe=""), [{"op": "add", "path": "/", "value": value}])
            except (PatchDataError, RequestException, ValueError) as error:
                raise PolicyError(f"data.{name}: the OPA server does not take it: {_describe_error(error)}") from error
            self._uploaded_data.append(name)

    def _upload_module(self, name: str, text: str, path: str) -> PolicyError | None:
        try:
            # The client would rewrite an older Rego by itself; but what judges is what is in the repository.
            self._client.update_policy_from_string(text, name, rego_compat=False)
        except (RegoParseError, RequestException, ValueError) as error:
            hint = "a server reads one Rego version: v1, or v0 with --v0-compatible"
            return PolicyError(f"{path}: the OPA server does not take it ({hint}): {_describe_error(error)}")
        self._uploaded_modules.append(name)
        return None

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """See `gatekeeper.protocols.RegoEngine`."""
        questions = [OpaInput(number, json, tuple(asked)) for number, (json, asked) in enumerate(inputs)]
        answers: list[QueryResult] = []
        for start in range(0, len(questions), BATCH_SIZE):
            answers.extend(self._evaluate_batch(questions[start : start + BATCH_SIZE]))
        return sorted(
            answers, key=lambda answer: (answer.input_index, questions[answer.input_index].queries.index(answer.query))
        )

    def _evaluate_batch(self, inputs: Sequence[OpaInput]) -> Iterator[QueryResult]:
        """Asks them together; where that fails, in halves, down to the one rule on one resource that is to blame."""
        for question in inputs:
            for query in question.queries:
                if self._timeout_counts[query] >= MAX_TIMEOUTS:
                    yield QueryResult(
                        question.input_index, query, None, "not asked: it took too long on other resources"
                    )
        inputs = [self._drop_timed_out(question) for question in inputs]
        try:
            yield from self._send_request(inputs)
        except Timeout:
            yield from self._isolate_failure(inputs, "took longer than `policies.timeout`")
        except HTTPError as error:
            yield from self._isolate_failure(inputs, _describe_error(error))

    def _drop_timed_out(self, opa_input: OpaInput) -> OpaInput:
        return opa_input._replace(
            queries=tuple(query for query in opa_input.queries if self._timeout_counts[query] < MAX_TIMEOUTS)
        )

    def _isolate_failure(self, inputs: Sequence[OpaInput], reason: str) -> Iterator[QueryResult]:
        [first, *others] = inputs
        if others:
            middle = len(inputs) // 2
            yield from self._evaluate_batch(inputs[:middle])
            yield from self._evaluate_batch(inputs[middle:])
        elif len(first.queries) > 1:
            for query in first.queries:
                yield from self._evaluate_batch([first._replace(queries=(query,))])
        elif first.queries:
            self._timeout_counts[first.queries[0]] += reason.startswith("took longer")
            yield QueryResult(first.input_index, first.queries[0], None, reason)

    def _send_request(self, inputs: Sequence[OpaInput]) -> list[QueryResult]:
        body = {
            "resources": [orjson.loads(question.json) for question in inputs],
            "wanted": [question.queries for question in inputs],
        }
        # Many resources together get their time, but not each the most that one may take.
        self._client.timeout = self._timeout * (1 + len(inputs) / 200)
        try:
            reply = self._client.query_rule(input_data=body, package_path=COLLECTOR_PACKAGE, rule_name="answers")
        except (HTTPError, Timeout):
            raise
        except (RequestException, ValueError) as error:
            gone = self._server is not None
            raise PolicyError(
                "OPA ended while it was asked" if gone else f"OPA is gone: {_describe_error(error)}"
            ) from error
        return [
            QueryResult(inputs[place].input_index, query, value, "")
            for place, query, value in reply.get("result", ())
            if value != []
        ]

    def close(self) -> None:
        """Ends the server that was started, or takes out of a remote one what was put into it."""
        if self._server:
            self._server.close()
        else:
            self._unload()
        self._client.close_connection()

    def _unload(self) -> None:
        """What is left behind on a server that has gone away cannot be helped, and changes no verdict."""
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
    """What OPA itself says, where its answer is one of its error documents."""
    response = getattr(error, "response", None)
    if response is not None:
        try:
            told = orjson.loads(response.content)
            return "; ".join(str(part.get("message")) for part in told.get("errors") or [told])
        except (ValueError, AttributeError):
            return f"status {response.status_code}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
