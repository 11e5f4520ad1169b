"""What `liftout tune` does, from a folder of photos to a model in the catalogue; the command line and scripts call it.

job = Job(Path("shop"), "shop", BuiltIn())
job.read()
run = job.begin()
for report in run.rounds():
    ...
job.write(run, run.finish())
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from liftout.errors import OutputError, UsageError
from liftout.files import write_whole
from liftout.home import home
from liftout.identity import sha256_of
from liftout.models import packs
from liftout.models.add import free_name
from liftout.models.local import is_path
from liftout.progress import Progress, unseen
from liftout.remedies import UseOption
from liftout.tuning import pack, sheet
from liftout.tuning.checking import LEFT_OUT, Finding, check, without
from liftout.tuning.examples import Examples, gather, gather_photos
from liftout.tuning.lessons import Lessons
from liftout.tuning.reading import Pair, find_pairs, pictures_in
from liftout.tuning.recipe import DEPTH_COST, Recipe
from liftout.tuning.run import Outcome, Source, TuningRun, fingerprint
from liftout.tuning.split import split
from liftout.tuning.start import Start, answers

MOST_ON_SHEET = 40
MOST_OTHERS = 300
"""Photos of other kinds that are read, evenly spread over their folder."""
MOST_DRAWS = 120
"""How often each photo is drawn at most, however much time there is."""
_PACE_STEPS = 2


class Job:
    """data: folder of photos with masks. output: name of the model, or path of its pack. start: the model that is tuned. others: folder of
    photos of other kinds."""

    def __init__(
        self,
        data: Path,
        output: str,
        start: Start,
        *,
        others: Path | None = None,
        minutes: float = 20,
        steps: int | None = None,
        seed: int = 1,
        threads: int | None = None,
        licence: str | None = None,
    ) -> None:
        self.data, self.output, self.start, self.other_folder = data, output, start, others
        self.minutes, self.steps, self.seed, self.licence = minutes, steps, seed, licence
        self.findings: list[Finding] = []
        self.sheet: Path | None = None
        self.examples = self.others = Examples.none(start.spec.input)
        self._counted, self._unpaired = 0, 0
        self._began = time.monotonic()
        torch.set_num_threads(
            threads or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else threads or 1
        )

    def check_name(self, *, overwrite: bool) -> None:
        """Raise UsageError where the name is malformed or taken, or the licence would allow more than that of the start."""
        pack.check_licence(self.start.spec, self.licence)
        if is_path(self.output):
            if (Path(self.output) / packs.MANIFEST).exists() and not overwrite:
                raise UsageError("already exists", subject=self.output, remedy=UseOption("overwrite", True))
        else:
            free_name(self.output, overwrite=overwrite)

    def read(self, progress: Progress = unseen) -> None:
        """Read the photos and check them. Raises UsageError, OutputError where the sheet cannot be written."""
        found = find_pairs(self.data)
        self._counted, self._unpaired = len(found.pairs), len(found.unpaired)
        other_paths = self._other_paths()
        if self.output:
            self.start.check_memory(len(found.pairs) + len(other_paths))
        self._start_sha256 = sha256_of(self.start.file)
        self._fingerprint = fingerprint(
            [self.seed, self.steps, None if self.steps else self.minutes],
            [self.start.spec.name, self._start_sha256, *self.start.settings],
            [_facts(self.data, pair) for pair in found.pairs],
            [_stamp(path) for path in other_paths],
        )
        self.examples, refused = self._gathered(found.pairs, progress)
        seen = answers(self.start, self.start.network(), self.examples.pixels)
        told = check(self.examples, seen)
        self.findings = [*refused, *told]
        self._draw(seen, told)
        self.examples = without(self.examples, told)
        if other_paths and self.output:
            done = _counter(progress, "read other photos", len(other_paths))
            self.others = gather_photos(other_paths, self.start.spec.input, done)

    def summary(self) -> str:
        """One line on what was found."""
        left_out = Counter(finding.kind for finding in self.findings if finding.left_out)
        suspicious = sum(finding.kind == "suspicious" for finding in self.findings)
        parts = [f"{self._counted} photos with masks"]
        if left_out:
            parts.append(
                f"{sum(left_out.values())} left out ({', '.join(f'{n} {kind}' for kind, n in sorted(left_out.items()))})"
            )
        if suspicious:
            parts.append(f"{suspicious} to look at")
        if self._unpaired:
            parts.append(f"{self._unpaired} photos without a mask")
        return "; ".join(parts)

    def begin(self, *, overwrite: bool = False) -> TuningRun:
        """Begin, or go on with what was begun of the same photos and settings. overwrite: drop what was begun of others, instead of
        refusing. Raises UsageError."""
        split(self.examples, self.seed)  # too few photos are told before steps are timed
        if overwrite and not self._was_begun():
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        source = Source(self.start, self.examples, self.others, self._fingerprint)
        return TuningRun(source, self.folder, self._recipe(), self._beside("progress"))

    def write(self, run: TuningRun, outcome: Outcome, progress: Progress = unseen, *, overwrite: bool = False) -> Path:
        """Write the pack and enter the model; the run's own files go. Returns the pack's folder. Raises OutputError."""
        name = Path(self.output).name
        target = Path(self.output) if is_path(self.output) else pack.folder_of(name)
        base = self.start.spec
        summary = f"Tuned by you: {base.name}, on {len(self.examples)} photos of {self.data.resolve().name}"
        spec = pack.tuned_spec(base, name, summary, self.licence)
        try:
            written = pack.write_pack(
                spec,
                target,
                lambda folder: self.start.write(outcome.network, folder, progress),
                facts=self._manifest(run, outcome),
                picture=run.picture,
                overwrite=overwrite or not is_path(self.output),
            )
        except OSError as error:
            raise OutputError(f"cannot be written: {error.strerror or error}", subject=target) from None
        if not is_path(self.output):
            pack.register(spec)
        shutil.rmtree(self.folder, ignore_errors=True)
        return written.folder

    def as_model(self) -> str:
        """What `-m` takes."""
        return self.output

    @property
    def folder(self) -> Path:
        """Where a run keeps what it needs to go on."""
        name = self.output
        if is_path(name):
            path = Path(name).resolve()
            name = f"{path.name}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
        return home() / "tuning" / name

    def _was_begun(self) -> bool:
        """Whether the folder holds a run of these very photos and settings that was not finished."""
        file = self.folder / "recipe.json"
        return file.is_file() and self._fingerprint in file.read_text(encoding="utf-8")

    def _other_paths(self) -> list[Path]:
        if self.other_folder is None:
            return []
        if not self.other_folder.is_dir():
            raise UsageError(f"{self.other_folder}: no such folder", field="others", remedy="give one with photos")
        paths = pictures_in(self.other_folder)
        if not paths:
            raise UsageError(
                f"{self.other_folder} holds no pictures", field="others", remedy="give a folder with photos"
            )
        count = min(MOST_OTHERS, len(paths))
        return [paths[k * len(paths) // count] for k in range(count)]

    def _gathered(self, pairs: Sequence[Pair], progress: Progress) -> tuple[Examples, list[Finding]]:
        examples, refused = gather(pairs, self.start.spec.input, _counter(progress, "read photos", len(pairs)))
        return examples, [Finding(pair.name, "unreadable", f"{error.what()}: left out") for pair, error in refused]

    def _draw(self, seen: Any, told: Sequence[Finding]) -> None:
        """The sheet: what was found first, then photos as they come."""
        row_of = {name: row for row, name in enumerate(self.examples.names)}
        named = [finding for finding in told if finding.name in row_of][:MOST_ON_SHEET]
        taken = {finding.name for finding in named}
        rest = [name for name in self.examples.names if name not in taken]
        step = max(1, len(rest) // max(1, MOST_ON_SHEET - len(named)))
        captions = [(finding.name, finding.line) for finding in named]
        captions += [(name, "") for name in rest[::step]][: max(0, MOST_ON_SHEET - len(named))]
        rows = []
        for name, line in captions:
            row = row_of[name]
            pictures = self.examples.masks[row], seen[row]
            rows.append(sheet.Row((name, line), self.examples.sizes[row], self.examples.pixels[row], pictures))
        if not rows:
            return
        self.sheet = self._beside("check")
        write_whole(self.sheet, sheet.draw(("photo", "its mask", self.start.spec.name), rows), overwrite=True)

    def _beside(self, what: str) -> Path:
        data = self.data.resolve()
        return data.with_name(f"{data.name}-{what}.png")

    def _recipe(self) -> Recipe:
        """For the steps that were asked for, else for the time, by the pace of a few steps."""
        if self.steps is not None:
            return self.start.recipe(self.steps, self.seed)
        if (self.folder / "recipe.json").exists():
            return self.start.recipe(4, self.seed)  # the run's own is taken
        usual = self.start.recipe(1000, self.seed)
        whole = dataclasses.replace(usual, depth_steps=0, decoder_steps=_PACE_STEPS + 1)
        learner = self.start.learner(whole, Lessons(self.examples, self.others, whole, self.start.spec.input))
        learner.advance()
        began = time.monotonic()
        for _ in range(_PACE_STEPS):
            learner.advance()
        pace = (time.monotonic() - began) / _PACE_STEPS
        left = max(30.0, self.minutes * 60 * 0.85 - (time.monotonic() - self._began))
        cost = (usual.depth_steps * DEPTH_COST + usual.decoder_steps) / usual.steps
        draws = MOST_DRAWS * len(self.examples) // (usual.batch - usual.others_in_batch)
        return self.start.recipe(max(4, min(int(left / pace / cost), draws)), self.seed)

    def _manifest(self, run: TuningRun, outcome: Outcome) -> dict[str, Any]:
        left_out = Counter(finding.kind for finding in self.findings if finding.kind in LEFT_OUT)
        return {
            "model": self.start.spec.name,
            "file": self.start.file.name,
            "sha256": self._start_sha256,
            **({"settings": self.start.settings} if self.start.settings else {}),
            "data": {
                "photos": len(self.examples),
                "learnt_from": len(run.split.training),
                "chosen_by": len(run.split.choosing),
                "held_out": len(run.split.held_out),
                "left_out": dict(left_out),
                "others": len(self.others),
                "fingerprint": self._fingerprint,
            },
            "recipe": {**run.recipe.to_dict(), "best_step": outcome.step, "share": outcome.share},
            "figures": {
                "held_out_before": outcome.before.to_dict(),
                "held_out_after": outcome.after.to_dict(),
                "choosing_before": outcome.choosing_before.to_dict(),
                "choosing_after": outcome.choosing.to_dict(),
                "others_as_before": outcome.others.to_dict(),
            },
        }


def _facts(folder: Path, pair: Pair) -> list[object]:
    return [pair.name, _stamp(pair.photo), _stamp(pair.label) if pair.label else pair.shapes]


def _stamp(path: Path) -> list[object]:
    facts = path.stat()
    return [path.name, facts.st_size, facts.st_mtime_ns]


def _counter(progress: Progress, phase: str, total: int) -> Any:
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress(phase, done, total)

    progress(phase, 0, total)
    return advance
