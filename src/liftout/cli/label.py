"""`liftout tune label`: the page, with the photos of a folder, their masks to be corrected and kept."""

from __future__ import annotations

import logging.config
import threading
from pathlib import Path
from typing import Any

import click

from liftout.cli import fetching, params
from liftout.errors import ExtraMissing
from liftout.options import DEFAULT_MODEL, RunOptions
from liftout.remedies import InstallExtra

HOST = "127.0.0.1"
"""Nobody else's machine sees the photos."""


@click.command("label")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option(
    "--port", "-p", type=click.IntRange(0, 65535), default=7001, show_default=True, help="0 takes a free one."
)
@params.options_of(RunOptions, leave_out=("edges", "max_pixels"))
@fetching.accept_license_option
def label(folder: Path, port: int, accept_license: tuple[str, ...], **values: Any) -> int:
    """Make masks of the photos in DIR: the model answers, you correct, the next photo comes.

    Serves the page on this machine alone; open the address that is printed. The first photos are those of which the model doubts most. A mask
    is saved beside its photo, as <name>-mask.png; photos stay as they are. Ctrl-C ends it.
    """
    run: RunOptions = params.read(RunOptions, values)
    try:
        from liftout.server import labels, logs
        from liftout.server.page import written_site
        from liftout.server.run import listen
        from liftout.server.serving import end, prepare, serve
        from liftout.server.settings import Settings
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "liftout":
            raise
        raise ExtraMissing("the page needs an extra", subject="tune label", remedy=InstallExtra("server")) from None
    from liftout.remover import Remover
    from liftout.tuning.labels import Desk

    run = fetching.settled(run, accept_license=accept_license, quiet=False)
    settings = Settings(run=run)
    logging.config.dictConfig(logs.configuration(settings.log_format))
    logging.getLogger(logs.NAME).setLevel(logging.WARNING)
    token = labels.new_token()
    with (
        Remover.from_options(run) as remover,
        listen(HOST, port) as listening,
        written_site([run.model] if run.model != DEFAULT_MODEL else []) as web,
    ):
        desk = Desk(folder, remover)
        if web is None:
            raise ExtraMissing(
                "this installation was built without the page",
                subject="tune label",
                remedy="install a wheel that has it",
            )
        service, server = prepare(settings, web=web, routes=labels.router(desk, token, run.model))
        service.preload()
        looking = threading.Thread(target=desk.look, daemon=True)
        looking.start()
        click.echo(f"{len(desk.waiting())} of {desk.count} photos have no mask; open")
        click.echo(f"http://{HOST}:{listening.getsockname()[1]}/?label={token}")
        status = serve(service, server, listening)
        desk.close()
        looking.join()
    end(service, status)
    return status
