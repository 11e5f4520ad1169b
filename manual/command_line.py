"""Reference of the commands, from click: what `--help` shows, as a page."""

from __future__ import annotations

import inspect
import re

import click

from liftout.cli import cli


def page() -> str:
    """The page as Markdown."""
    lines = [
        "# Commands\n",
        "Made from the commands themselves. [Command line](../command-line.md) explains results, exit statuses and profiles.\n",
    ]
    for path, command in commands():
        lines.append(_entry(path, command))
    return "\n".join(lines)


def commands() -> list[tuple[str, click.Command]]:
    """All commands with the words that call them, groups before what they hold."""
    found: list[tuple[str, click.Command]] = []

    def walk(path: str, command: click.Command) -> None:
        found.append((path, command))
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                walk(f"{path} {name}", inner)

    walk("liftout", cli)
    return found


def _entry(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    lines = [f"## {path}\n", f"```text\n{usage}\n```\n", _text(command.help or "")]
    rows = []
    for parameter in command.get_params(context):
        if not isinstance(parameter, click.Option) or parameter.hidden:
            continue
        record = parameter.get_help_record(context)
        if record is None or "--help" in parameter.opts:
            continue
        names, text = record
        rows.append(f"| {_code(names)} | {_cell(text)} |")
    if rows:
        lines += ["", "| option | |", "|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _text(help_text: str) -> str:
    """Help text as Markdown; `\\b` keeps the lines of a block as they are."""
    paragraphs = inspect.cleandoc(help_text).split("\n\n")
    found = [f"```text\n{one[1:].strip(chr(10))}\n```" if one.startswith("\b") else _plain(one) for one in paragraphs]
    return "\n\n".join(found)


def _plain(text: str) -> str:
    """Text in which nothing is read as HTML or emphasis."""
    return text.replace("<", "&lt;").replace("*", "\\*")


def _code(names: str) -> str:
    return f"`{names}`".replace("|", "\\|")


def _cell(text: str) -> str:
    return _plain(re.sub(r"\s+", " ", text)).replace("|", "\\|")
