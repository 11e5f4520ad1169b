"""The command line: one file per command, loaded when it is called.

Exit status: 0 all done, 1 an input failed, 2 wrong usage, 3 a model is missing, unlicensed or needs an extra, 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType

import click

from liftout import __version__
from liftout.cli.terminal import printable
from liftout.cli.terms import error_line
from liftout.errors import EngineError, LiftoutError, ModelUnavailable, UsageError
from liftout.files import clear_abandoned
from liftout.home import home

COMMANDS = {
    "cut": "Cut the subject out of photos.",
    "video": "Cut the subject out of films and animated pictures.",
    "convert": "Convert a model's checkpoint to a fast network, or make a network smaller.",
    "batch": "Cut out folders and buckets of photos, on this machine or a cluster.",
    "tune": "Make a model of your own from photos and masks; make the masks.",
    "models": "List, compare, choose, download, remove and add models.",
    "site": "Write a static site that cuts out photos in the browser.",
    "serve": "Serve the page and the HTTP API.",
    "keys": "Add, list and remove API keys of the server.",
    "bench": "Measure the speed of a model on this machine.",
    "doctor": "Show what is installed and what would run.",
}
"""Each name is a module in this folder with a click command of the same name. `--help` shows the text without loading it."""


_CHOICES = "\n\t"
"""What click writes before each value that an argument may have."""


class _Commands(click.Group):
    """Commands by name. An argument that looks like a photo instead of a command goes to `cut`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"liftout.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and (name == "-" or Path(name).suffix or os.sep in name or Path(name).exists()):
            args = ["cut", *args]
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "ignore_unknown_options": True},
    epilog="`liftout photo.jpg` is short for `liftout cut photo.jpg`.",
)
@click.version_option(__version__, prog_name="liftout")
def cli() -> None:
    """Lift the subject out of any photo."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `liftout`: runs a command and ends the process with its exit status.

    arguments: without the program's name; by default those of the process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    # OpenBLAS, which numpy starts and little here needs, has its threads spin for a tenth of a second before they sleep; now: 16 cycles.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    try:
        with _clean_up_on_termination():
            status = cli.main(args=_with_cut(arguments), prog_name="liftout", standalone_mode=False)
    except click.exceptions.Abort:
        status = 130
    except KeyboardInterrupt:
        status = 130
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        status = 0
    except click.ClickException as error:
        click.echo(printable(f"liftout: {error.format_message().replace(_CHOICES, ' ')}"), err=True)
        if isinstance(error, click.UsageError) and error.ctx is not None:
            click.echo(f"`{error.ctx.command_path} --help` shows how it is used", err=True)
        status = 2
    except LiftoutError as error:
        if "--debug" in arguments:
            raise
        click.echo(error_line(error), err=True)
        status = exit_status(error)
    except BrokenPipeError:
        sys.stderr.close()
        status = 1
    sys.exit(status if isinstance(status, int) else 0)


@contextmanager
def _clean_up_on_termination() -> Iterator[None]:
    """Make SIGTERM end a command as Ctrl-C does, so that it cleans up; before that, clean up after commands that were killed."""

    def interrupt(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second signal does not interrupt the clean-up
        raise KeyboardInterrupt

    for name in ("packs", "models"):
        clear_abandoned(home() / name, ours=True)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def exit_status(error: LiftoutError) -> int:
    """The exit status for an error that is not about a single photo."""
    if isinstance(error, UsageError):
        return 2
    if isinstance(error, ModelUnavailable | EngineError):
        return 3
    return 1


def _with_cut(arguments: list[str]) -> list[str]:
    """Arguments with `cut` in front where they begin with an option, as in `liftout --mask photo.jpg`."""
    first = arguments[0] if arguments else ""
    if first.startswith("-") and first not in ("-h", "--help", "--version"):
        return ["cut", *arguments]
    return arguments
