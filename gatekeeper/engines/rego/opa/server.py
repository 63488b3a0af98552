"""An OPA process for one run: it listens on a loopback port, without access to the network, and ends with the run."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import orjson

from gatekeeper.engines.rego.model import PolicySet
from gatekeeper.engines.rego.regorus.guard import EXTERNAL_BUILTINS
from gatekeeper.errors import PolicyError, ToolError
from gatekeeper.host.process import run_command

CHECK_TIMEOUT_SECONDS = 60.0
COLLECTOR_PACKAGE = "gatekeeper_batch"


class OpaServer:
    """An OPA process with a bundle of policies and the module that collects their results.

    Args:
        program: the OPA executable.
        collector: the text of the collecting module, from `build_collector`.
        allowed_builtins: builtins with access to the network or the environment that policies may call.

    Raises:
        PolicyError: a policy does not compile.
        ToolError: OPA cannot be run.
    """

    def __init__(
        self, program: Path, policies: PolicySet, collector: str, allowed_builtins: Sequence[str] = ()
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="gatekeeper-opa-"))
        self._process: subprocess.Popen[bytes] | None = None
        try:
            bundle = self._folder / "bundle"
            write_bundle(bundle, policies, collector)
            _check_bundle(program, bundle, policies, allowed_builtins)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = int(probe.getsockname()[1])
            address = f"127.0.0.1:{self.port}"
            options = ["--addr", address, "--log-level", "error", "--skip-version-check", "--bundle", str(bundle)]
            with self._log_path.open("wb") as log:
                self._process = subprocess.Popen(
                    [str(program), "run", "--server", *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
        except BaseException:
            self.close()
            raise

    @property
    def _log_path(self) -> Path:
        return self._folder / "log"

    @property
    def has_ended(self) -> bool:
        """Whether the process ended without `close`."""
        return self._process is not None and self._process.poll() is not None

    def read_log_tail(self) -> str:
        """Reads the last 2000 characters of the log of the process."""
        return self._log_path.read_text("utf-8", "replace").strip()[-2000:]

    def close(self) -> None:
        """Ends the process and removes its folder."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def build_collector(queries: Sequence[str]) -> str:
    """Builds a module that evaluates all queries on all resources, so that one request carries them."""
    lines = [f"package {COLLECTOR_PACKAGE}", "", "import rego.v1", ""]
    for query in dict.fromkeys(queries):
        lines += [
            f"answers contains [i, {orjson.dumps(query).decode()}, value] if {{",
            "    some i, resource in input.resources",
            f"    {orjson.dumps(query).decode()} in input.wanted[i]",
            f"    value := {query} with input as resource",
            "}",
        ]
    return "\n".join(lines) + "\n"


def write_bundle(bundle: Path, policies: PolicySet, collector: str) -> None:
    """Writes policies and the collecting module as a bundle into a new folder."""
    bundle.mkdir()
    versions = {}
    for number, module in enumerate(policies.modules):
        name = f"{number}.rego"
        (bundle / name).write_text(module.text, encoding="utf-8")
        versions[f"/{name}"] = 0 if module.is_v0 else 1
    (bundle / "collect.rego").write_text(collector, encoding="utf-8")
    manifest = {"roots": [""], "rego_version": 1, "file_rego_versions": versions}
    (bundle / ".manifest").write_bytes(orjson.dumps(manifest))
    (bundle / "data.json").write_bytes(orjson.dumps(policies.data))


def _check_bundle(program: Path, bundle: Path, policies: PolicySet, allowed_builtins: Sequence[str]) -> None:
    """Compiles before the server starts: `opa run` has no `--capabilities`, and its log is hard to read."""
    capabilities = bundle.parent / "capabilities.json"
    capabilities.write_bytes(_build_capabilities(program, allowed_builtins))
    command: list[str | Path] = [program, "check", "--bundle", bundle, "--capabilities", capabilities]
    code, _, errors = run_command(command, CHECK_TIMEOUT_SECONDS)
    if code != 0:
        for number, module in enumerate(policies.modules):
            errors = errors.replace(f"{bundle}/{number}.rego", module.path)
        raise PolicyError(f"a policy does not compile: {errors.strip()[:2000]}")


def _build_capabilities(program: Path, allowed_builtins: Sequence[str]) -> bytes:
    """The capabilities of this OPA without the builtins that access the network or the environment."""
    code, out, errors = run_command([program, "capabilities", "--current"], CHECK_TIMEOUT_SECONDS)
    if code != 0:
        raise ToolError(f"opa capabilities failed: {errors.strip()}")
    capabilities = orjson.loads(out)
    forbidden = set(EXTERNAL_BUILTINS) - set(allowed_builtins)
    capabilities["builtins"] = [builtin for builtin in capabilities["builtins"] if builtin["name"] not in forbidden]
    if not set(allowed_builtins) & set(EXTERNAL_BUILTINS):
        capabilities["allow_net"] = []
    return orjson.dumps(capabilities)
