"""The photos that are still to do, folder by folder: memory grows with the largest folder, not with the tree.

Films are planned among the photos, where the extra `video` is installed. Names of outputs: `a/cat.jpg` becomes `a/cat.png`. Where two photos of a folder would get the same name (`cat.jpg` and
`cat.webp`), each keeps its whole name: `cat.jpg.png` and `cat.webp.png`. Where each subject has an output of its own, they are
`a/cat-1.png`, `a/cat-2.png`, ...
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from liftout.batch import films, journal
from liftout.batch.job import Item, Job, Outcome, further_output
from liftout.batch.prompts import PhotoPrompts
from liftout.batch.storage import Entry, Storage, inside
from liftout.compose.subjects import MOST_SUBJECTS
from liftout.errors import OutputExists
from liftout.files import numbered
from liftout.identity import identity_of_prompts
from liftout.remedies import UseOption

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".gif", ".bmp", ".ppm", ".jp2")
"""Suffixes of photos, where no pattern is given."""


@dataclass
class PlanProgress:
    """What planning has counted so far."""

    pending: int = 0
    """Photos to do, those that fail before any work included."""
    done_before: int = 0
    """Photos whose results are in the target already."""
    not_photos: int = 0
    """Files of the source that are not photos by their names."""
    complete: bool = False
    """Whether the whole source has been listed."""


class Planner:
    """Compares source, target and journal."""

    def __init__(
        self,
        job: Job,
        source: Storage,
        target: Storage,
        identity: str,
        patterns: tuple[str, ...] = (),
        prompts: PhotoPrompts | None = None,
    ) -> None:
        """identity: `job.identity`. patterns: which photos, as for `Batch`. prompts: for single photos."""
        self._prompts = prompts
        self._job = job
        self._source, self._target = source, target
        self._identity = identity
        self._patterns = patterns
        self._target_in_source = inside(source, target)
        self._suffixes = PHOTO_SUFFIXES + films.suffixes(job)
        self.progress = PlanProgress()
        self.sources: list[str] = []
        """Where the target's results came from, as far as it is recorded."""
        self.before_first: Callable[[], None] | None = None
        """Called before the first item is given out. Its folder is then compared again, because another batch may have written to
        it until then."""

    def everything(self) -> Iterator[Item | Outcome]:
        """Items to do, folder by folder in the order of their names, and outcomes of photos that fail before any work."""
        folders = [""]
        while folders:
            folder = folders.pop()
            listing = self._source.listing(folder)
            yield from self._of_folder(folder, listing.files, None)
            subfolders = [_join(folder, name) for name in listing.folders if not name.startswith(".")]
            folders.extend(path for path in reversed(subfolders) if path != self._target_in_source)
        self.progress.complete = True

    def named_in_vain(self) -> Iterator[Outcome]:
        """Failures for the lines of the prompts' file that name no photo of the source, after `everything`."""
        for path, error in self._prompts.unseen() if self._prompts else ():
            if not self._patterns or self.wanted(path):
                self.progress.pending += 1
                yield Outcome(path=path, output="", status="failed", failure=error)

    def some(self, paths: Iterable[str]) -> Iterator[Item | Outcome]:
        """As `everything`, for these paths only. Paths that are gone or are not photos are left out."""
        by_folder: dict[str, set[str]] = {}
        for path in paths:
            folder, _, name = path.rpartition("/")
            by_folder.setdefault(folder, set()).add(name)
        for folder, names in sorted(by_folder.items()):
            if not self._skipped(folder):
                yield from self._of_folder(folder, self._source.listing(folder).files, names)

    def wanted(self, path: str) -> bool:
        """Whether a path is that of a photo that this job has to do, by its name."""
        name = path.rpartition("/")[2]
        if name.startswith(".") or name in ("", "..", "."):
            return False
        if self._patterns:
            return any(_matches(path, pattern) for pattern in self._patterns)
        return PurePosixPath(name).suffix.lower() in self._suffixes

    def _skipped(self, folder: str) -> bool:
        hidden = any(part.startswith(".") for part in folder.split("/"))
        target = self._target_in_source
        return hidden or (target is not None and (folder == target or folder.startswith(target + "/")))

    def _of_folder(self, folder: str, files: dict[str, Entry], only: set[str] | None) -> Iterator[Item | Outcome]:
        names = [name for name in files if self.wanted(_join(folder, name))]
        if only is None:
            self.progress.not_photos += len(files) - len(names)
        if not names:
            return
        shown = [name for name in names if films.is_film(name)]
        photos = [name for name in names if not films.is_film(name)]
        outputs = output_names(photos, self._job.suffix) | output_names(shown, films.SUFFIX)
        entries = [files[name] for name in sorted(names) if only is None or name in only]
        if self.before_first and any(isinstance(entry, Item) for entry in self._compare(folder, entries, outputs)):
            self.before_first()
            self.before_first = None
        for planned in self._compare(folder, entries, outputs):
            if planned is None:
                self.progress.done_before += 1
            else:
                self.progress.pending += 1
                yield planned

    def _compare(self, folder: str, entries: list[Entry], outputs: dict[str, str]) -> Iterator[Item | Outcome | None]:
        """What there is to do for each photo of a folder; None where it is done."""
        present = self._target.listing(folder).files
        records = journal.records(self._target, folder)
        for entry in entries:
            yield self._of_photo(folder, entry, outputs[entry.name], present, records)

    def _of_photo(
        self,
        folder: str,
        entry: Entry,
        output_name: str,
        present: dict[str, Entry],
        records: dict[str, list[journal.Record]],
    ) -> Item | Outcome | None:
        several = self._job.result.subjects == "each" and not films.is_film(entry.name)
        output_name = numbered(output_name, 1) if several else output_name
        path, output = _join(folder, entry.name), _join(folder, output_name)
        old_records = records.get(journal.output_key(output), [])
        old_bytes = present[output_name].size if output_name in present else None
        asked = self._prompts.of(path) if self._prompts else None
        identity = self._identity
        if asked is not None and asked.described() != self._job.asked.described():
            identity += identity_of_prompts(asked)
        input_key = journal.input_key(path, entry.signature, identity)
        further = _Further.found(folder, output_name, present, records) if several else _NONE
        if old_bytes is not None and any(
            record.input_key == input_key and record.bytes == old_bytes and further.are_complete(record)
            for record in old_records
        ):
            return None
        foreign = output if old_bytes is not None and not old_records else further.foreign
        if foreign and not self._job.overwrite:
            exists = OutputExists(
                f"{foreign} exists in the target and was not made by a batch",
                subject=path,
                remedy=UseOption("overwrite", True),
            )
            return Outcome(path=path, output=output, status="failed", failure=exists)
        if old_bytes is not None and not self._job.overwrite and (other := self._other_source(old_records, old_bytes)):
            collision = OutputExists(
                f"{output} was made from {other}",
                subject=path,
                remedy=("choose another target", UseOption("overwrite", True)),
            )
            return Outcome(path=path, output=output, status="failed", failure=collision)
        return Item(
            path=path,
            output=output,
            size=entry.size,
            record=journal.record_path(output, input_key),
            old_records=tuple(record.path for record in old_records),
            old_bytes=old_bytes,
            several=several,
            old_further=further.replaced,
            asked=asked,
            asked_in=self._prompts.place(path) if self._prompts and asked is not None else "",
        )

    def _other_source(self, records: list[journal.Record], size: int) -> str:
        """What an output of so many bytes was made from, where that is a photo of another source."""
        own = self._source.place
        if set(self.sources) <= {own}:
            return ""
        for record in records:
            if record.bytes == size:
                photo, source = journal.origin(self._target, record)
                if source not in ("", own):
                    return f"{photo} of {source}"
        return ""


@dataclass(frozen=True, kw_only=True)
class _Further:
    """The outputs after the first one that a photo has in the target, where each subject has its own."""

    sizes: dict[int, int | None]
    """Bytes by number; None where a record alone is left."""
    records: dict[int, list[journal.Record]]
    foreign: str = ""
    """One that no batch made."""

    @classmethod
    def found(
        cls, folder: str, first: str, present: dict[str, Entry], records: dict[str, list[journal.Record]]
    ) -> _Further:
        """first: the name of the first output."""
        sizes: dict[int, int | None] = {}
        theirs: dict[int, list[journal.Record]] = {}
        foreign = ""
        for number in range(2, MOST_SUBJECTS + 1):
            name = further_output(first, number)
            own = records.get(journal.output_key(_join(folder, name)), [])
            if own:
                sizes[number] = present[name].size if name in present else None
                theirs[number] = own
            elif name in present:
                foreign = foreign or _join(folder, name)
        return cls(sizes=sizes, records=theirs, foreign=foreign)

    def are_complete(self, first: journal.Record) -> bool:
        """Whether they are those that the record of the first output tells of, and no others."""
        return set(self.sizes) == set(range(2, first.outputs + 1)) and all(
            any(record.input_key == first.input_key and record.bytes == size for record in self.records[number])
            for number, size in self.sizes.items()
        )

    @property
    def replaced(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """For `Item.old_further`."""
        return tuple((number, tuple(record.path for record in own)) for number, own in self.records.items())


_NONE = _Further(sizes={}, records={})


def output_names(names: Iterable[str], suffix: str) -> dict[str, str]:
    """The output's name for each photo of one folder. No two are the same, also where a disk ignores case.

    names: of the photos, without the folder. suffix: of the outputs, such as `.png`.
    """
    photos = list(names)
    lowercase = {name.casefold() for name in photos}
    stems = Counter(PurePosixPath(name).stem.casefold() for name in photos)

    def unique(name: str) -> bool:
        stem = PurePosixPath(name).stem.casefold()
        return stems[stem] == 1 and stem not in lowercase

    return {name: (PurePosixPath(name).stem if unique(name) else name) + suffix for name in photos}


def limited(items: Iterator[Item | Outcome], limit: int | None, stop: Callable[[], bool]) -> Iterator[Item | Outcome]:
    """The first `limit` entries of a plan; fewer where `stop` returns true before."""
    for count, item in enumerate(items):
        if (limit is not None and count >= limit) or stop():
            return
        yield item


def _matches(path: str, pattern: str) -> bool:
    """Whether a path matches: `*.jpg` is compared with the name, `2024/*.jpg` with the whole path; `**/` stands for any number of
    folders."""
    if "/" not in pattern:
        return fnmatchcase(path.rpartition("/")[2], pattern)
    return _match_parts(path.split("/"), pattern.split("/"))


def _match_parts(parts: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_match_parts(parts[skip:], patterns[1:]) for skip in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _match_parts(parts[1:], patterns[1:])


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
