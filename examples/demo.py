"""`make demo`: judges the deliberately faulty repository beside this file, and says what to look at."""

import subprocess
import sys
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


def main() -> int:
    """0 where the verdict is the expected one."""
    gatekeeper = Path(sys.executable).with_name("gatekeeper")
    engine = "embedded" if available() else "opa"
    status = subprocess.run([gatekeeper, "check", SHOP, "--engine", engine], check=False).returncode
    sys.stdout.write(LEGEND)
    return 0 if status == 1 else 1


if __name__ == "__main__":
    raise SystemExit(main())
