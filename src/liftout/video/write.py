"""A clip's cutouts into a file or a folder. What is there under the final name is whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Protocol

import numpy as np

from liftout.errors import ClipUnreadable, OutputError, OutputExists, UsageError
from liftout.files import give_name
from liftout.images import encode as encode_image
from liftout.images import format_of
from liftout.options import ResultOptions
from liftout.remedies import UseOption
from liftout.video.ahead import ahead
from liftout.video.clip import Clip
from liftout.video.encode import Encoder, Settings
from liftout.video.join import Sound, join
from liftout.video.look import Composed, Look
from liftout.video.parts import End, Parts
from liftout.video.targets import Target, target_of

PART_SECONDS = Fraction(5)
"""Length of a part: what a killed run loses at most."""

Advance = Callable[[], None]
"""Called for every frame that was written."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written. frames: in all; resumed: of them, those of an earlier run. note: what the caller should know."""

    path: Path
    frames: int
    resumed: int = 0
    damage: str = ""
    note: str = ""


class Sink(Protocol):
    """Takes the frames of one part."""

    def write(self, composed: Composed, time: Fraction) -> None:
        """Add a frame at `time`, in seconds."""
        ...

    def close(self) -> None:
        """Complete the part."""
        ...

    def discard(self) -> None:
        """Give the part up."""
        ...


def write(
    clip: Clip,
    path: Path,
    result: ResultOptions,
    *,
    folder: bool = False,
    overwrite: bool = False,
    identity: str,
    advance: Advance = lambda: None,
    part_seconds: Fraction = PART_SECONDS,
) -> Written:
    """Cut a clip out into `path`: a film, an animated picture, or with `folder` one PNG file for each frame.

    identity: a hash of all that the result depends on; parts that an earlier call with the same one left are used.
    Raises ClipUnreadable, OutputError, OutputExists, UsageError.
    """
    check_absent(path, overwrite=overwrite)
    target = None if folder else target_of(path)
    holds_alpha = target is None or target.with_alpha is not None
    with (
        Look(
            result, fill=clip.options.fill, make_rgba=clip.remover.make_rgba, size=clip.facts.size, alpha=holds_alpha
        ) as look,
        Parts(path, identity) as parts,
    ):
        settings = None if target is None else _settings(clip, target, result, transparent=look.transparent)
        length = part_seconds if target is None or target.part else None
        before = parts.end
        try:
            _write_parts(clip, look, parts, settings, length, advance)
        except BaseException:
            if not length:
                parts.remove()
            raise
        end = parts.end
        if end is None:
            reason = clip.damage or "has no frame in this range"
            raise ClipUnreadable(reason, subject=clip.name, remedy="give other times or another file")
        _finish(clip, parts, settings, path, end, sound=not result.mask, overwrite=overwrite)
        parts.remove()
    note = ""
    if not holds_alpha and result.background is None and not (result.mask or clip.options.fill):
        note = f"{path.suffix[1:]} has no transparency: placed over white; a background option chooses another"
    return Written(path=path, frames=end.frames, resumed=before.frames if before else 0, damage=clip.damage, note=note)


def write_raw(clip: Clip, stream: IO[bytes], result: ResultOptions, *, advance: Advance = lambda: None) -> int:
    """Write frames as rows of pixels: RGBA, RGB over a background and with `fill`, grey with `mask`. Returns how many.

    Raises ClipUnreadable, UsageError.
    """
    count = 0
    with (
        Look(
            result, fill=clip.options.fill, make_rgba=clip.remover.make_rgba, size=clip.facts.size, alpha=True
        ) as look,
        _composed(clip, look, None) as frames,
    ):
        for composed in frames:
            stream.write(np.ascontiguousarray(composed.pixels).data)
            stream.flush()
            advance()
            count += 1
    return count


def check_absent(path: Path, *, overwrite: bool) -> None:
    """Raise OutputExists where something is under this name already, and may not be replaced."""
    if not overwrite and path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise OutputExists(
            "already exists", subject=path, remedy=(UseOption("overwrite", True), "choose another output")
        )


def _settings(clip: Clip, target: Target, result: ResultOptions, *, transparent: bool) -> Settings:
    return Settings(
        target=target,
        transparent=transparent,
        size=clip.facts.size,
        time_base=clip.time_base,
        rate=clip.rate,
        colours=clip.facts.colours,
        pixel_aspect=clip.facts.pixel_aspect,
        quality=result.quality,
        bitrate=None if clip.options.bitrate is None else bits(clip.options.bitrate),
    )


def bits(text: str) -> int:
    """Bits a second from `4M`, `800k` or a plain number. Raises UsageError."""
    factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    number = text[:-1] if factor > 1 else text
    try:
        value = round(float(number) * factor)
    except (ValueError, OverflowError):
        value = 0
    if not 1_000 <= value <= 10**9:
        raise UsageError(f"`{text}` is not a bitrate", field="bitrate", remedy="give bits a second, as in 4M or 800k")
    return value


def _write_parts(
    clip: Clip, look: Look, parts: Parts, settings: Settings | None, length: Fraction | None, advance: Advance
) -> None:
    """Write what is missing behind the finished parts."""
    done = parts.end
    count = done.frames if done else 0
    contexts = [(done.context, done.chosen)] if done else []
    """`origin` and choice of the last frames that those to come depend on."""
    began: Fraction | None = None
    sink: Sink | None = None
    first: Fraction | None = None
    last: Composed | None = None

    def finish() -> None:
        if sink is None or last is None:
            return
        sink.close()
        origin, chosen = contexts[0]
        context = clip.needed_for(origin)
        parts.finish(partial, End(frames=count, time=last.frame.time, context=context, chosen=chosen))

    with _composed(clip, look, done) as frames:
        try:
            for composed in frames:
                time = composed.frame.time
                if done is not None and time <= done.time:
                    continue
                if sink is not None and length is not None and began is not None and time - began >= length:
                    finish()
                    sink = None
                if sink is None:
                    partial, began = parts.begin(), time
                    sink = _sink(partial, settings, count)
                first = time if first is None else first
                sink.write(composed, time - first if settings and settings.target.picture else time)
                count, last = count + 1, composed
                context = composed.frame.origin, composed.chosen
                contexts = [*contexts[-clip.reach :], context] if clip.reach else [context]
                advance()
            finish()
        except BaseException:
            if sink is not None:
                sink.discard()
            raise


@contextmanager
def _composed(clip: Clip, look: Look, done: End | None) -> Iterator[Iterator[Composed]]:
    after, chosen = (done.context, done.chosen) if done else (None, None)
    with clip.matted(after, chosen) as frames, ahead(look.composed(frames)) as composed:
        try:
            yield composed
        finally:
            clip.source.stop()


def _sink(partial: Path, settings: Settings | None, count: int) -> Sink:
    if settings is None:
        return _Pictures(partial, count)
    return Encoder(partial, settings.target.part or settings.target.container, settings)


class _Pictures:
    """PNG files in a folder, numbered from 00001."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder, count
        folder.mkdir()

    def write(self, composed: Composed, time: Fraction) -> None:
        self._count += 1
        content = encode_image(composed.pixels, format_of("png"))
        (self._folder / f"{self._count:05}.png").write_bytes(content)

    def close(self) -> None:
        pass

    def discard(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _finish(
    clip: Clip, parts: Parts, settings: Settings | None, path: Path, end: End, *, sound: bool, overwrite: bool
) -> None:
    """Make the result of its parts and give it its name."""
    try:
        if settings is None:
            _gather(parts, path)
            return
        whole = parts.paths[0]
        if settings.target.part:
            whole = parts.folder / f"whole{path.suffix}"
            join(parts.paths, whole, settings, _sound(clip, end) if sound and settings.target.sound else None)
        give_name(whole, path, overwrite=overwrite)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", subject=path) from None


def _gather(parts: Parts, path: Path) -> None:
    """The pictures of all parts in one folder, which then gets its name; among the files of a folder that is there already, they
    take the place of those of their names."""
    whole = parts.folder / "whole"
    whole.mkdir(exist_ok=True)
    for part in parts.paths:
        for picture in part.iterdir():
            picture.replace(whole / picture.name)
    if path.is_dir() and any(path.iterdir()):
        for picture in whole.iterdir():
            picture.replace(path / picture.name)
        return
    if path.is_dir():
        path.rmdir()
    whole.rename(path)


def _sound(clip: Clip, end: End) -> Sound | None:
    from liftout.video.film import FilmSource

    source = clip.source
    if not isinstance(source, FilmSource) or source.path is None or not source.has_sound:
        return None
    start = source.beginning + clip.start
    return Sound(path=source.path, start=start, end=start + end.time + 1 / clip.rate, cut=clip.start > 0)
