"""Draws docs/images/check.svg, the terminal output of the demo: `python -m tests.terminal_image` writes it again."""

from __future__ import annotations

import os
import pty
import re
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).parent.parent
IMAGE = ROOT / "docs" / "images" / "check.svg"
# In units of SVG; a character of a monospaced font is 0.6 of its size wide.
SIZE, LINE, MARGIN, COLUMNS = 13, 18, 16, 112
STYLES = {"1": "font-weight:bold", "2": "opacity:.6", "31": "fill:#ff7b72", "32": "fill:#7ee787", "33": "fill:#e3b341"}
CODE = re.compile("\x1b\\[([0-9;]*)m")
WINDOW = "background:#0d1117;font-family:ui-monospace,Menlo,Consolas,monospace"


def output() -> str:
    """What `gatekeeper check examples/shop` prints on a terminal, with its colours."""
    arguments = [sys.executable, "-m", "gatekeeper", "check", "--no-cache", "examples/shop"]
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(ROOT)
        os.environ.pop("NO_COLOR", None)
        os.execv(sys.executable, arguments)
    printed = b""
    while True:
        # Linux reports the end of a terminal as an error.
        try:
            block = os.read(terminal, 65536)
        except OSError:
            break
        if not block:
            break
        printed += block
    os.waitpid(process, 0)
    os.close(terminal)
    # The progress line is erased before the report begins.
    return printed.decode().replace("\r\n", "\n").rpartition("\r\x1b[K")[2]


def draw(text: str) -> str:
    """An SVG image of text with escape codes for colours; lines are wrapped as a terminal does."""
    rows: list[list[tuple[str, str]]] = [[]]
    styles: list[str] = []
    for part in CODE.split(f"\x1b[1m$ gatekeeper check examples/shop\x1b[0m\n{text.rstrip()}")[1:]:
        if re.fullmatch("[0-9;]+", part) and part in (*STYLES, "0"):
            styles = [] if part == "0" else [*styles, STYLES[part]]
            continue
        for number, line in enumerate(part.split("\n")):
            if number:
                rows.append([])
            _append(rows, line, ";".join(styles))
    return _svg(rows)


def _append(rows: list[list[tuple[str, str]]], text: str, style: str) -> None:
    while text:
        room = COLUMNS - sum(len(part) for part, _ in rows[-1])
        if room == 0:
            rows.append([])
            continue
        rows[-1].append((text[:room], style))
        text = text[room:]


def _svg(rows: list[list[tuple[str, str]]]) -> str:
    width, height = round(COLUMNS * SIZE * 0.6) + 2 * MARGIN, len(rows) * LINE + 2 * MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'style="{WINDOW}" font-size="{SIZE}" role="img">',
        "<title>gatekeeper check examples/shop</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>',
        '<g fill="#e6edf3" style="white-space:pre" xml:space="preserve">',
    ]
    for number, row in enumerate(rows):
        spans = "".join(
            f'<tspan style="{style}">{escape(part)}</tspan>' if style else escape(part) for part, style in row
        )
        if spans:
            lines.append(f'<text x="{MARGIN}" y="{MARGIN + SIZE + number * LINE}">{spans}</text>')
    return "\n".join([*lines, "</g>", "</svg>", ""])


def main() -> int:
    """Writes the image."""
    IMAGE.parent.mkdir(parents=True, exist_ok=True)
    IMAGE.write_text(draw(output()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
