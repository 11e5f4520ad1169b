"""The command line, called in this process."""

from __future__ import annotations

import pytest

from liftout.cli import main


def liftout(*arguments: object) -> int:
    """Run a command; returns its exit status."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    code = ended.value.code
    assert isinstance(code, int)
    return code
