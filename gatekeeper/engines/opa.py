"""Rego by a real OPA: started for the run on a loopback port, or a server named by URL."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from gatekeeper import tools
from gatekeeper.engines.policies import PolicySet
from gatekeeper.errors import PolicyError, ToolError
from gatekeeper.roles import Answer

START_SECONDS = 30.0
REQUEST_SECONDS = 300.0
BATCH = 2000
FORBIDDEN = {"http.send", "net.lookup_ip_addr", "opa.runtime"}
COLLECT = "gatekeeper_batch"


class Opa:
    """Policies loaded into an OPA server."""

    def __init__(self, policies: PolicySet, timeout: float, url: str = "") -> None:
        from opa_client.opa import OpaClient

        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._timeout = timeout
        queries = [query for module in policies.modules for query in module.queries()]
        collect = collector(queries)
        try:
            if url:
                host, port, secure = _address(url)
                self._client = OpaClient(host=host, port=port, ssl=secure, timeout=REQUEST_SECONDS, retries=0)
                self._upload(policies, collect)
            else:
                port = self._start(policies, collect)
                self._client = OpaClient(host="127.0.0.1", port=port, timeout=REQUEST_SECONDS, retries=0)
            self._await(url)
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> tuple[str, str]:
        """For the report."""
        return "opa", tools.TOOLS["opa"].version if self._process else "remote"

    def _start(self, policies: PolicySet, collect: str) -> int:
        program = tools.find("opa")
        self._folder = Path(tempfile.mkdtemp(prefix="gatekeeper-opa-"))
        capabilities = self._folder / "capabilities.json"
        capabilities.write_bytes(_capabilities(program))
        bundle = self._folder / "bundle"
        bundle.mkdir()
        _write_bundle(bundle, policies, collect)
        _check(program, bundle, capabilities)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        command = [program, "run", "--server", "--addr", f"127.0.0.1:{port}", "--log-level", "error",
                   "--skip-version-check", "--bundle", bundle]  # fmt: skip
        self._log = self._folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return port

    def _upload(self, policies: PolicySet, collect: str) -> None:
        for number, module in enumerate(policies.modules):
            if module.v0:
                raise PolicyError(
                    f"{module.path}: is Rego v0, which a remote OPA cannot take beside v1; rewrite it as v1"
                )
            self._put(f"gatekeeper/{number}", module.text, module.path)
        self._put("gatekeeper/collect", collect, "the collecting policy")
        for name, value in policies.data.items():
            self._client.update_or_create_data(value, name)

    def _put(self, name: str, text: str, path: str) -> None:
        try:
            self._client.update_policy_from_string(text, name)
        except Exception as error:
            raise PolicyError(f"{path}: the OPA server does not take it: {_words(error)}") from error

    def _await(self, url: str) -> None:
        end = time.monotonic() + START_SECONDS
        pause = 0.02
        while not self._client.check_health():
            if self._process and self._process.poll() is not None:
                raise PolicyError(f"OPA did not start: {self._log.read_text('utf-8', 'replace').strip()[-2000:]}")
            if url or time.monotonic() > end:
                raise PolicyError(f"OPA at {url or 'loopback'} does not answer; is it running, is the URL right?")
            time.sleep(pause)

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[Answer]:
        """See `gatekeeper.roles.RegoEngine`."""
        answers: list[Answer] = []
        for start in range(0, len(inputs), BATCH):
            answers.extend(self._batch(inputs[start : start + BATCH], start))
        return answers

    def _batch(self, inputs: Sequence[tuple[bytes, Sequence[str]]], start: int) -> list[Answer]:
        body = {"resources": [orjson.loads(json) for json, _ in inputs], "wanted": [list(asked) for _, asked in inputs]}
        try:
            reply = self._client.query_rule(input_data=body, package_path=COLLECT, rule_name="answers")
        except Exception as error:
            gone = self._process is not None and self._process.poll() is not None
            words = "OPA ended while it was asked" if gone else f"OPA refused the request: {_words(error)}"
            raise PolicyError(words) from error
        found = [
            Answer(start + number, query, value, "") for number, query, value in reply.get("result", ()) if value != []
        ]
        return sorted(found, key=lambda answer: (answer.input, inputs[answer.input - start][1].index(answer.query)))

    def close(self) -> None:
        """Ends the server that was started, and removes its folder."""
        if client := getattr(self, "_client", None):
            client.close_connection()
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def collector(queries: Sequence[str]) -> str:
    """A module that asks every resource its rules, so that one request carries all of them."""
    lines = [f"package {COLLECT}", "", "import rego.v1", ""]
    for query in dict.fromkeys(queries):
        lines += [
            f"answers contains [i, {orjson.dumps(query).decode()}, value] if {{",
            "    some i, resource in input.resources",
            f"    {orjson.dumps(query).decode()} in input.wanted[i]",
            f"    value := {query} with input as resource",
            "}",
        ]
    return "\n".join(lines) + "\n"


def _write_bundle(bundle: Path, policies: PolicySet, collect: str) -> None:
    versions = {}
    for number, module in enumerate(policies.modules):
        name = f"{number}.rego"
        (bundle / name).write_text(module.text, encoding="utf-8")
        versions[f"/{name}"] = 0 if module.v0 else 1
    (bundle / "collect.rego").write_text(collect, encoding="utf-8")
    manifest = {"roots": [""], "rego_version": 1, "file_rego_versions": versions}
    (bundle / ".manifest").write_bytes(orjson.dumps(manifest))
    (bundle / "data.json").write_bytes(orjson.dumps(policies.data))
    (bundle.parent / "names.json").write_bytes(orjson.dumps([module.path for module in policies.modules]))


def _check(program: Path, bundle: Path, capabilities: Path) -> None:
    """Compiles before the server starts, because a server's log is no message for people."""
    from gatekeeper.process import run

    code, _, words = run([program, "check", "--bundle", bundle, "--capabilities", capabilities], START_SECONDS)
    if code != 0:
        names = orjson.loads((bundle.parent / "names.json").read_bytes())
        for number, name in enumerate(names):
            words = words.replace(f"{bundle}/{number}.rego", name)
        raise PolicyError(f"a policy does not compile: {words.strip()[:2000]}")


def _capabilities(program: Path) -> bytes:
    """Everything that this OPA can do, less what reaches out of it."""
    from gatekeeper.process import run

    code, out, words = run([program, "capabilities", "--current"], START_SECONDS)
    if code != 0:
        raise ToolError(f"opa capabilities failed: {words.strip()}")
    able = orjson.loads(out)
    able["builtins"] = [builtin for builtin in able["builtins"] if builtin["name"] not in FORBIDDEN]
    able["allow_net"] = []
    return orjson.dumps(able)


def _address(url: str) -> tuple[str, int, bool]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PolicyError(f"`opa.url` is {url!r}; it must look like http://127.0.0.1:8181")
    return parts.hostname, parts.port or 8181, parts.scheme == "https"


def _words(error: Exception) -> str:
    with suppress(AttributeError, ValueError):
        return str(orjson.loads(error.__cause__.response.content).get("message"))  # type: ignore[union-attr]
    return str(error).splitlines()[0] if str(error) else type(error).__name__
