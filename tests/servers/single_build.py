"""One build in a separate process, for `builds.Build`: `python -m tests.servers.single_build NAME`."""

from __future__ import annotations

import sys

from tests.servers.programs import BuildError, build

if __name__ == "__main__":
    try:
        build(sys.argv[1])
    except BuildError as error:
        raise SystemExit(str(error)) from None
