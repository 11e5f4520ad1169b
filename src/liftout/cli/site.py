"""`liftout site`: a static site that cuts out photos in the visitor's browser."""

from __future__ import annotations

from pathlib import Path

import click

from liftout.cli import fetching
from liftout.models.catalog import all_models
from liftout.options import DEFAULT_MODEL


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.argument("more", nargs=-1, metavar="")
@click.option(
    "--models",
    "named",
    multiple=True,
    metavar="NAME...",
    help=f"Models or packs to publish. [default: {DEFAULT_MODEL}]",
)
@fetching.accept_license_option
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def site(
    folder: Path,
    more: tuple[str, ...],
    named: tuple[str, ...],
    accept_license: tuple[str, ...],
    quiet: bool,
    debug: bool,
) -> None:
    """Write a static site: page, ES module and packs, for any host.

    \b
    liftout site public/ --models pocket u2netp birefnet-general-lite
    liftout site public/ --models packs/birefnet-general-lite-512

    Models that are not on this machine are downloaded first.
    """
    from liftout import site as sites

    if more and not named:
        raise click.UsageError(f"unexpected argument `{more[0]}`; name models with --models")
    names = [*named, *more] or [DEFAULT_MODEL]
    for name in names:
        if sites.pack_folder(name) is None:
            fetching.have(name, accept_license=accept_license, quiet=quiet)
    for path in sites.write(folder, names):
        size = sum(item.stat().st_size for item in path.iterdir())
        if not quiet:
            click.echo(f"{path}: {size / 1e6:.1f} MB", err=True)
    if quiet:
        return
    left = [spec.name for spec in all_models().values() if spec.added and spec.name not in names]
    if left:
        click.echo(f"models that you added are not published unless you name them: {', '.join(left)}", err=True)
    click.echo(
        f"{folder} is ready; serve it with the headers Cross-Origin-Opener-Policy: same-origin and "
        "Cross-Origin-Embedder-Policy: require-corp, so that the network can use all cores "
        "(without them the page reloads once and sets them itself)",
        err=True,
    )
