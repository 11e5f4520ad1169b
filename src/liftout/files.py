"""Files appear whole or not at all: written under a temporary name beside their place, then renamed."""

from __future__ import annotations

import os
from pathlib import Path

from liftout.errors import OutputError, OutputExists


def write_whole(target: Path, content: bytes, *, overwrite: bool) -> None:
    """Write a file. Raises OutputExists, or OutputError where the folder is missing or cannot be written."""
    if not overwrite and target.exists():
        raise OutputExists(f"{target} is there already; give --overwrite to replace it, or another -o")
    partial = target.with_name(f".{target.name[:100]}.{os.urandom(4).hex()}.partial")
    try:
        with partial.open("xb") as stream:
            stream.write(content)
        if overwrite:
            partial.replace(target)
        else:
            _place(partial, target)
    except FileExistsError:
        raise OutputExists(f"{target} is there already; give --overwrite to replace it, or another -o") from None
    except FileNotFoundError:
        raise OutputError(f"{target}: the folder {target.parent} does not exist; make it first") from None
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def _place(partial: Path, target: Path) -> None:
    """Give a finished file its name unless another process took it meanwhile."""
    try:
        os.link(partial, target)  # atomic, and fails where the name is taken
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        partial.replace(target)
