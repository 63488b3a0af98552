"""`make tools`: builds the programs that tests run, or those that are named.

usage: python -m tests.servers [NAME ...]
"""

from __future__ import annotations

import signal
import sys

from tests.servers.builds import BackgroundBuilds
from tests.servers.programs import PROGRAMS, is_built


def say(line: str) -> None:
    """One line of progress."""
    sys.stderr.write(f"{line}\n")


def main(names: list[str]) -> int:
    """Builds what is missing: 0, 1 where a build failed, 2 where a name is wrong."""
    unknown = [name for name in names if name not in PROGRAMS]
    if unknown:
        say(f"no program `{unknown[0]}`; there are {', '.join(PROGRAMS)}")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    builds = BackgroundBuilds([name for name in names or PROGRAMS if not is_built(name)], say)
    try:
        builds.wait()
    except KeyboardInterrupt:
        return 130
    finally:
        builds.stop()
    return 1 if builds.failures else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
