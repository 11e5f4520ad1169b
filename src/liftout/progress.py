"""The callback that downloads and conversions report their progress to."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""Called with what is going on, how much of it is done, and how much there is (None where that is not known).

While a file is downloaded the first is `fetch NAME` and the others are bytes.
"""

FETCH = "fetch "

Notify = Callable[[str], None]
"""Takes a line that a person should read."""


def unseen(phase: str, done: int, total: int | None) -> None:
    """Progress that nobody looks at."""
