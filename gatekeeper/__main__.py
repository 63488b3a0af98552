"""The program `gatekeeper`, also as `python -m gatekeeper`: Ctrl-C while modules load ends it without a traceback."""

import os

try:
    from gatekeeper.cli import entry
except KeyboardInterrupt:
    os._exit(130)

if __name__ == "__main__":
    entry()
