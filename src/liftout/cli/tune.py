"""`liftout tune`: a model of one's own from photos with masks; `liftout tune label`: the masks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from liftout.cli import fetching
from liftout.cli.progress import shown
from liftout.cli.terminal import printable
from liftout.errors import ExtraMissing, UsageError
from liftout.options import DEFAULT_MODEL
from liftout.progress import Progress
from liftout.remedies import InstallExtra

if TYPE_CHECKING:
    from liftout.tuning.checking import Finding
    from liftout.tuning.job import Job
    from liftout.tuning.run import Outcome, Round
    from liftout.tuning.start import Start

_MOST_LINES = 40
"""Findings that are printed; the sheet shows as many."""


class _Tune(click.Command):
    """`liftout tune label DIR` is a command of its own."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args[:1] == ["label"]:
            from liftout.cli.label import label

            return label.make_context("tune label", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(cls=_Tune, epilog="`liftout tune label DIR` serves a page on which masks are made and corrected.")
@click.argument("data", type=click.Path(file_okay=False, path_type=Path), metavar="DATA")
@click.option("--output", "-o", metavar="NAME", help="Name of the new model, or a folder for its pack (./models/shop).")
@click.option("--check", "check_only", is_flag=True, help="Only check the photos and masks.")
@click.option(
    "--others",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Photos of other kinds, without masks, on which the answer is to stay: 100 are good.",
)
@click.option(
    "--minutes", type=click.FloatRange(1, 600), default=20, show_default=True, help="Time to learn, on this machine."
)
@click.option(
    "--steps", type=click.IntRange(4), metavar="N", help="Learn so many steps instead, however long they take."
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Another number, another split.")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads. [default: one for each core]")
@click.option(
    "--license",
    "licence",
    metavar="SPDX",
    help="Licence of the new model. [default: that of the model it is tuned from]",
)
@click.option(
    "--from",
    "model",
    default=DEFAULT_MODEL,
    show_default=True,
    metavar="MODEL",
    help="Model to tune: the built-in one, or a U2-Net, IS-Net or BiRefNet, best on a GPU.",
)
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), metavar="FILE", help="That model's weights. [default: downloaded]"
)
@click.option(
    "--size",
    type=click.IntRange(64, 4096),
    metavar="N",
    help="Its input size; a smaller one needs less memory. [default: its own]",
)
@click.option(
    "--device", default="auto", show_default=True, metavar="DEVICE", help="Where it is tuned: auto, cpu, cuda."
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    show_default=True,
    help="What it is tuned in; auto is bf16 on a GPU that has it. The new model is fp32.",
)
@click.option("--frozen-backbone", is_flag=True, help="Tune its decoder alone: less memory and time, less gain.")
@fetching.accept_license_option
@click.option(
    "--overwrite", is_flag=True, help="Replace the model of this name, and drop an unfinished run of other photos."
)
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def tune(
    data: Path,
    output: str | None,
    check_only: bool,
    others: Path | None,
    minutes: float,
    steps: int | None,
    seed: int,
    threads: int | None,
    licence: str | None,
    overwrite: bool,
    quiet: bool,
    debug: bool,
    **start: Any,
) -> int:
    """Make a model of your own from the built-in one or another, with 20 to 500 of your photos and their masks.

    \b
    liftout tune shop/ -o shop
    liftout cut photo.jpg -m shop
    liftout tune shop/ -o shop --from isnet-general-use --checkpoint isnet-general-use.pth

    DATA holds photos with masks: a.png, a mask or a cutout, beside a.jpg; photos/ and masks/; cutouts alone; or COCO JSON. A run that was
    killed goes on with the same command.
    """
    if output is None and not check_only:
        raise UsageError("the new model has no name", remedy="give -o NAME")
    _require()
    from liftout.tuning.job import Job

    with shown(quiet=quiet) as progress:
        job = Job(
            data,
            output or "",
            _start(progress, **start),
            others=others,
            minutes=minutes,
            steps=steps,
            seed=seed,
            threads=threads,
            licence=licence,
        )
        if output is not None:
            job.check_name(overwrite=overwrite)
        job.read(progress)
    say = _say if not quiet else _silent
    _report_check(job, say)
    if check_only:
        return 0
    return _learn(job, say, overwrite=overwrite)


def _require() -> None:
    """Raise ExtraMissing where what training needs is not installed."""
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in ("torch", "onnx")):
        raise ExtraMissing("tuning needs an extra", subject="tune", remedy=InstallExtra("tune"))


def _start(
    progress: Progress,
    *,
    model: str,
    checkpoint: Path | None,
    size: int | None,
    frozen_backbone: bool,
    accept_license: tuple[str, ...],
    **how: Any,
) -> Start:
    """The model that is tuned. Raises UsageError where an option does not fit it."""
    if model == DEFAULT_MODEL:
        from liftout.tuning.start import BuiltIn

        asked = {
            "checkpoint": checkpoint is not None,
            "size": size is not None,
            "frozen_backbone": frozen_backbone,
            "device": how["device"] not in ("auto", "cpu"),
            "precision": how["precision"] == "bf16",
        }
        for field in (name for name, given in asked.items() if given):
            raise UsageError("is for other models than the built-in one", field=field, remedy="name one with --from")
        return BuiltIn()
    from liftout.tuning.published import open_checkpoint

    return open_checkpoint(
        model,
        checkpoint,
        size=size,
        frozen_backbone=frozen_backbone,
        accept_license=fetching.accepted(accept_license),
        progress=progress,
        **how,
    )


def _say(line: str) -> None:
    click.echo(printable(line), err=True)


def _silent(line: str) -> None:
    pass


def _report_check(job: Job, say: Any) -> None:
    for finding in job.findings[:_MOST_LINES]:
        say(_line(finding))
    if len(job.findings) > _MOST_LINES:
        say(f"and {len(job.findings) - _MOST_LINES} more")
    say(job.summary())
    if job.sheet is not None:
        say(f"look at them: {job.sheet}")


def _line(finding: Finding) -> str:
    return f"{finding.name}: {finding.line}"


def _learn(job: Job, say: Any, *, overwrite: bool) -> int:
    run = job.begin(overwrite=overwrite)
    split, recipe = run.split, run.recipe
    if run.resumed:
        say(f"goes on after step {run.learner.step} of {recipe.steps}")
    say(
        f"learns from {len(split.training)} photos, chooses by {len(split.choosing)}, holds out {len(split.held_out)}; "
        f"{recipe.steps} steps; the same again: --steps {recipe.steps} --seed {recipe.seed}"
    )
    say(f"before: mean IoU {run.before.iou:.3f} on the photos that choose; a picture of each round: {run.picture}")
    began = time.monotonic()
    try:
        for report in run.rounds():
            say(_round(report))
        outcome = run.finish()
    except KeyboardInterrupt:
        run.save()
        say("interrupted: run the same command again to go on")
        raise
    folder = job.write(run, outcome, overwrite=overwrite)
    for line in _outcome(outcome, time.monotonic() - began):
        say(line)
    say(f"{folder}: run it with `liftout cut photo.jpg -m {job.as_model()}`")
    return 0


def _round(report: Round) -> str:
    left = (
        f"{report.seconds_left / 60:.0f} min left" if report.seconds_left >= 60 else f"{report.seconds_left:.0f} s left"
    )
    return (
        f"round {report.number} of {report.rounds}: loss {report.loss:.3f}, mean IoU {report.choosing.iou:.3f} "
        f"(before {report.before.iou:.3f}){', the best so far' if report.best else ''}; {left}"
    )


def _outcome(outcome: Outcome, seconds: float) -> list[str]:
    before, after, others = outcome.before, outcome.after, outcome.others
    ended = "; ended early, for want of gain" if outcome.stopped else ""
    gone = (after.iou - before.iou) / max(1 - before.iou, 1e-9)
    return [
        f"held-out photos ({after.photos}): mean IoU {before.iou:.3f} -> {after.iou:.3f} ({gone:.0%} of the error gone), "
        f"MAE {before.mae:.4f} -> {after.mae:.4f}",
        f"photos of other kinds ({others.photos}): {others.iou:.1%} of the answer is as before (IoU), MAE {others.mae:.4f}",
        f"{outcome.share:.0%} of what was learnt is kept; {seconds / 60:.1f} min{ended}",
    ]
