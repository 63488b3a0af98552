"""`python -m gatekeeper` runs the command `gatekeeper`."""

from gatekeeper.cli import entry

entry()
