"""Programs that speak the protocol of `gatekeeper-upstream`, and fail in a way that the real one seldom does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

# Writes a program that runs some Python after the head of `HEAD`, and returns its path.
Fake = Callable[[str], Path]
HEAD = """import json, os, sys, time
def read():
    size = int.from_bytes(sys.stdin.buffer.read(4), "big")
    if not size:
        os._exit(0)
    head, _, payload = sys.stdin.buffer.read(size).partition(b"\\n")
    return {**json.loads(head), "payload": json.loads(payload or b"null")}
def read_line():
    return sys.stdin.buffer.readline()
def write(answer):
    body = json.dumps(answer).encode()
    sys.stdout.buffer.write(len(body).to_bytes(4, "big") + body)
    sys.stdout.buffer.flush()
"""
HELLO = """write({"id": read()["id"], "result": {"kubernetes": "1.36"}})"""
