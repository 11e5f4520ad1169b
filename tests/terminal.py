"""A terminal, as a command sees one: what is on its screen when the command has ended."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

_PART = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+")


def on_terminal(*arguments: object, code: str = "", stdout: int | None = None) -> tuple[int, list[str], str]:
    """Run the command line, or Python code, with standard output (unless `stdout` says otherwise) and standard error on one
    terminal of 200 columns. Returns the exit status, the lines on the screen at the end, and all that was written."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *(("-c", code) if code else ("-m", "liftout")), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200", "LINES": "50"},
    )
    os.close(theirs)
    received = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:  # Linux says so when the last writer is gone
            break
        if not block:
            break
        received += block
    os.close(ours)
    return process.wait(), screen(received.decode()), received.decode()


def screen(text: str) -> list[str]:
    """The lines that a terminal shows after this output, without empty ones and spaces at their ends."""
    lines, row, column = [""], 0, 0
    for match in _PART.finditer(text):
        part, parameter, command = match[0], match[1], match[2]
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif command == "A":
            row = max(0, row - int(parameter or 1))
        elif command == "K" and parameter == "2":
            lines[row] = ""
        elif not command:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + part + line[column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines if line.strip()]
