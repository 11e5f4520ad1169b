"""The photos that are still to be done, found folder by folder: memory follows the largest folder, not the tree.

Names of outputs: `a/cat.jpg` becomes `a/cat.png`. Where two photos of a folder would meet in one name (`cat.jpg` and
`cat.webp`), each keeps its whole name: `cat.jpg.png` and `cat.webp.png`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from liftout.batch import journal
from liftout.batch.job import Item, Job, Outcome
from liftout.batch.storage import Entry, Storage, inside

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".gif", ".bmp", ".ppm", ".jp2")
"""What a photo's name ends in, where no pattern says otherwise."""


@dataclass
class Found:
    """Counts of what the listing has met so far."""

    pending: int = 0
    done_before: int = 0
    not_photos: int = 0
    complete: bool = False
    """Whether the whole source has been listed."""
    folders: int = field(default=0)


class Planner:
    """Compares source, target and journal."""

    def __init__(
        self, job: Job, source: Storage, target: Storage, identity: str, patterns: tuple[str, ...] = ()
    ) -> None:
        self._job = job
        self._source, self._target = source, target
        self._identity = identity
        self._patterns = patterns
        self._within = inside(source, target)
        self.found = Found()
        self.before_first: Callable[[], None] | None = None
        """Called before the first item is given out. The folder is then compared again, as another batch may have been at
        work on it until then."""

    def everything(self) -> Iterator[Item | Outcome]:
        """Items to do in the order of their paths, and outcomes of those that fail before any work."""
        folders = [""]
        while folders:
            folder = folders.pop()
            listing = self._source.listing(folder)
            self.found.folders += 1
            yield from self._of_folder(folder, listing.files, None)
            below = [_join(folder, name) for name in listing.folders if not name.startswith(".")]
            folders.extend(path for path in reversed(below) if path != self._within)
        self.found.complete = True

    def some(self, paths: Iterable[str]) -> Iterator[Item | Outcome]:
        """As `everything`, for these paths only; those that are gone, or not photos, are left out."""
        by_folder: dict[str, set[str]] = {}
        for path in paths:
            folder, _, name = path.rpartition("/")
            by_folder.setdefault(folder, set()).add(name)
        for folder, names in sorted(by_folder.items()):
            if not self._skipped(folder):
                yield from self._of_folder(folder, self._source.listing(folder).files, names)

    def wanted(self, path: str) -> bool:
        """Whether a path's name is that of a photo that this job is to do."""
        name = path.rpartition("/")[2]
        if name.startswith(".") or name in ("", "..", "."):
            return False
        if self._patterns:
            return any(_matches(path, pattern) for pattern in self._patterns)
        return PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES

    def _skipped(self, folder: str) -> bool:
        hidden = any(part.startswith(".") for part in folder.split("/"))
        within = self._within
        return hidden or (within is not None and (folder == within or folder.startswith(within + "/")))

    def _of_folder(self, folder: str, files: dict[str, Entry], only: set[str] | None) -> Iterator[Item | Outcome]:
        names = [name for name in files if self.wanted(_join(folder, name))]
        if only is None:
            self.found.not_photos += len(files) - len(names)
        if not names:
            return
        outputs = output_names(names, self._job.suffix)
        chosen = [files[name] for name in sorted(names) if only is None or name in only]
        if self.before_first and any(isinstance(photo, Item) for photo in self._compared(folder, chosen, outputs)):
            self.before_first()
            self.before_first = None
        for photo in self._compared(folder, chosen, outputs):
            if photo is None:
                self.found.done_before += 1
            else:
                self.found.pending += 1
                yield photo

    def _compared(self, folder: str, entries: list[Entry], outputs: dict[str, str]) -> Iterator[Item | Outcome | None]:
        """What is to be done for each photo of a folder; None where it is done."""
        held = self._target.listing(folder).files
        records = journal.records(self._target, folder)
        for entry in entries:
            yield self._of_photo(folder, entry, outputs[entry.name], held, records)

    def _of_photo(
        self,
        folder: str,
        entry: Entry,
        output_name: str,
        held: dict[str, Entry],
        records: dict[str, list[journal.Record]],
    ) -> Item | Outcome | None:
        path, output = _join(folder, entry.name), _join(folder, output_name)
        known = records.get(journal.output_key(output), [])
        size = held[output_name].size if output_name in held else None
        made = journal.made_from(path, entry.signature, self._identity)
        if size is not None and any(record.made_from == made and record.bytes == size for record in known):
            return None
        if size is not None and not known and not self._job.overwrite:
            error = f"{path}: {output} is in the target already, and no batch made it; give --overwrite to replace it"
            return Outcome(path=path, output=output, status="failed", error=error, kind="OutputExists")
        return Item(
            path=path,
            output=output,
            size=entry.size,
            record=journal.record_path(output, made),
            stale=tuple(record.path for record in known),
            held=size,
        )


def output_names(names: Iterable[str], suffix: str) -> dict[str, str]:
    """The output's name for each photo of one folder; no two are the same, on disks that ignore case neither."""
    photos = list(names)
    folded = {name.casefold() for name in photos}
    stems = Counter(PurePosixPath(name).stem.casefold() for name in photos)

    def unique(name: str) -> bool:
        stem = PurePosixPath(name).stem.casefold()
        return stems[stem] == 1 and stem not in folded

    return {name: (PurePosixPath(name).stem if unique(name) else name) + suffix for name in photos}


def limited(items: Iterator[Item | Outcome], limit: int | None, stop: Callable[[], bool]) -> Iterator[Item | Outcome]:
    """The first `limit` of them, until `stop` says so."""
    for count, item in enumerate(items):
        if (limit is not None and count >= limit) or stop():
            return
        yield item


def _matches(path: str, pattern: str) -> bool:
    """`*.jpg` looks at the name, `2024/*.jpg` at the whole path; `**/` stands for any folders, or none."""
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
