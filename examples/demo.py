"""`make demo`: checks the deliberately faulty repository in `shop` and explains the findings."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatekeeper.engines.rego.regorus.engine import is_available

SHOP = Path(__file__).parent / "shop"
LEGEND = """
What you see: the real kustomize rendered the production overlay of the shop, then Gatekeeper checked the result.
  - The typo `replica` (schema) and the missing owner (a conftest policy) point to lines of the base.
  - The image tag `latest` (library rule) points to the patch that sets it, not to the base.
  - The Secret is in plaintext, so it is refused; its value is not printed.
Exit status 1 means "refused", which is correct for this repository. Try it on yours: gatekeeper check PATH
"""


@contextmanager
def step(title: str) -> Iterator[None]:
    """Prints a step and how long it took."""
    began = time.monotonic()
    print(f"{title} ...", flush=True)
    yield
    print(f"{title} took {time.monotonic() - began:.0f} s\n", flush=True)


def main() -> int:
    """Runs the demo; returns 0 if the repository is refused, as expected."""
    gatekeeper = Path(sys.executable).with_name("gatekeeper")
    # Without the compiled engine, which needs Rust, OPA itself is the engine and must be built.
    engine, tools = ("embedded", ["gatekeeper-upstream"]) if is_available() else ("opa", ["gatekeeper-upstream", "opa"])
    with step(f"building {' and '.join(tools)}, if missing"):
        subprocess.run([gatekeeper, "tools", "install", *tools], check=True)
    with step("gatekeeper check examples/shop"):
        status = subprocess.run([gatekeeper, "check", SHOP, "--engine", engine], check=False).returncode
    sys.stdout.write(LEGEND)
    return 0 if status == 1 else 1


if __name__ == "__main__":
    raise SystemExit(main())
