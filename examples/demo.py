"""`make demo`: judges the deliberately faulty repository beside this file, and says what to look at."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatekeeper.engines.rego.embedded import available

SHOP = Path(__file__).parent / "shop"
LEGEND = """
What you see: the shop's production overlay was rendered with the real kustomize, and then judged.
  - the typo `replica` (schema) and the missing owner (a conftest policy) lead to the base's own lines,
  - the image `latest` (library rule) leads to the patch that set it, not to the base,
  - the Secret stands in the open, so it is refused; its value is not repeated here.
Exit status 1 means "refused", which is right for this repository. Try it on yours: gatekeeper check PATH
"""


@contextmanager
def step(words: str) -> Iterator[None]:
    """Says what is done, and how long it took."""
    began = time.monotonic()
    print(f"{words} ...", flush=True)
    yield
    print(f"{words} took {time.monotonic() - began:.0f} s\n", flush=True)


def main() -> int:
    """0 where the verdict is the expected one."""
    gatekeeper = Path(sys.executable).with_name("gatekeeper")
    # Without the compiled engine, which needs Rust, OPA itself is the engine; it must then be built, too.
    engine, tools = ("embedded", ["kustomize"]) if available() else ("opa", ["kustomize", "opa"])
    with step(f"building {' and '.join(tools)}, if missing"):
        subprocess.run([gatekeeper, "tools", "install", *tools], check=True)
    with step("gatekeeper check examples/shop"):
        status = subprocess.run([gatekeeper, "check", SHOP, "--engine", engine], check=False).returncode
    sys.stdout.write(LEGEND)
    return 0 if status == 1 else 1


if __name__ == "__main__":
    raise SystemExit(main())
