"""Options and remedies as a user of the command line knows them."""

from __future__ import annotations

from typing import assert_never

from liftout.cli.terminal import printable
from liftout.errors import LiftoutError
from liftout.remedies import (
    AcceptLicense,
    AddModel,
    ConvertModel,
    CutPhotos,
    InstallExtra,
    ListModels,
    PullModel,
    RaiseLimit,
    Remedy,
    RunBatch,
    Terms,
    UseOption,
)

_OTHER_NAMES = {"out_dir": "-o", "keep_below_bar": "--force"}
"""Options of commands that are called otherwise than Python's arguments."""


class CommandTerms(Terms):
    """Says `--max-pixels` where Python says `max_pixels`."""

    def option(self, name: str) -> str:
        """See `Terms.option`."""
        return _OTHER_NAMES.get(name) or f"--{name.replace('_', '-')}"

    def remedy(self, remedy: Remedy) -> str:
        """See `Terms.remedy`."""
        match remedy:
            case UseOption(name, None | True):
                return f"give {self.option(name)}"
            case UseOption(name, value):
                return f"give {self.option(name)} {value}"
            case RaiseLimit(option):
                return f"raise it with {self.option(option)}"
            case InstallExtra():
                return super().remedy(remedy)
            case AcceptLicense(model):
                return f"if you accept that, give `--accept-license {model}` once"
            case PullModel(model):
                return f"run `liftout models pull {model}`"
            case ConvertModel(model, precision, checkpoint):
                reduced = "" if precision == "fp32" else f" --precision {precision}"
                return f"run `liftout convert {model}{reduced}{' --checkpoint FILE' if checkpoint else ''}`"
            case AddModel():
                return "add your own file with `liftout models add NAME --onnx FILE --like MODEL`"
            case ListModels():
                return "`liftout models list` shows all"
            case RunBatch():
                return "`liftout batch` works on folders"
            case CutPhotos():
                return "`liftout cut` works on files"
            case _:
                assert_never(remedy)


COMMANDS = CommandTerms()


def error_line(error: LiftoutError) -> str:
    """An error as the one line that a command prints about it."""
    return printable(f"liftout: {error.line(COMMANDS)}")
