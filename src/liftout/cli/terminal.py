"""Lines that commands print: one line stays one line, whatever a file is called."""

from __future__ import annotations

import click


def printable(text: str) -> str:
    """One line for a terminal: line breaks, control characters and bytes that are no text are written as escapes."""
    return "".join(part if part.isprintable() else repr(part)[1:-1] for part in text)


def encodable(text: str) -> str:
    """JSON that can be written as UTF-8: bytes of file names that are no text become JSON's own escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


class Printer:
    """Prints lines; here without a progress bar."""

    def out(self, text: str) -> None:
        """A line on standard output."""
        click.echo(printable(text))

    def err(self, text: str) -> None:
        """A line on standard error."""
        click.echo(printable(text), err=True)

    def advance(self, *, total: int | None, complete: bool = True) -> None:
        """One photo more has ended. total: photos that are known so far. complete: whether there will be no more of them."""
