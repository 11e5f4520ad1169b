"""Subjects that touch are told apart by the network that reads points.

A part of an alpha that is two subjects has two thick places with a neck between them; so has a body with a head. The network is asked which
object is at the thickest place. Where that object reaches over the other places, the part is one. A place that it leaves out is another
object, unless the answer there reaches over most of the first. Objects are then asked for once more, each with the places of the others to drop.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from liftout.compose.components import Bool, Int32, components
from liftout.compose.subjects import SOLID, VISIBLE, UInt8, nearest_seed, separate_subjects
from liftout.prompts import Prompts

Answer: TypeAlias = Callable[[Prompts], UInt8]
"""From points to keep and to drop to the alpha of the object, uint8 [H, W]."""
Points: TypeAlias = tuple[tuple[float, float], ...]
Box: TypeAlias = tuple[slice, slice]

CELLS = 128
"""Of the longer side of a part, on the grid on which its thick places are found."""
NECK = 0.75
"""Share of a thick place's depth that the neck to a thicker one may have."""
THIN = 0.25
"""Share of the thickest place's depth below which a place is a limb."""
MOST_PARTS, MOST_PLACES = 4, 6
"""How many parts, the largest first, and how many places of each the network is asked about."""
REACHES = 0.6
"""Share of an object that the answer at another place covers, if that place is of the same object."""
SAME = 0.3
"""Share of the smaller of two answers that both may have, if they are two objects."""
LEAST = 0.08
"""Share of a part that a subject in it has at least."""
COVERED = 0.7
"""Share of a part that the answers must explain, else it stays whole."""


def separate_touching(alpha: UInt8, answer: Answer) -> Iterator[UInt8]:
    """The alpha of each subject, uint8 [H, W], the largest first, as `separate_subjects` gives them, and those that touch apart; together
    they are `alpha`. answer: asked about the largest parts, where their shape may be two subjects."""
    found: list[tuple[int, Box, UInt8]] = []
    for number, part in enumerate(separate_subjects(alpha)):
        for subject in _of_part(part, answer) if number < MOST_PARTS else [part]:
            box = _box(subject > 0)
            found.append((int((subject >= SOLID).sum()), box, subject[box].copy()))
    found.sort(key=lambda entry: -entry[0])
    for _, box, levels in found:
        subject = np.zeros_like(alpha)
        subject[box] = levels
        yield subject


def thick_places(solid: Bool) -> list[tuple[int, int]]:
    """(row, column) of the middle of each thick place of a mask, bool [h, w], the thickest first: where the mask is locally deepest, and a
    neck lies between it and every thicker place."""
    depths = _depths(solid)
    kept: list[tuple[int, int]] = []
    growing: list[tuple[int, int]] = []
    for level in range(int(depths.max()), 0, -1):
        parts = components(depths >= level)
        growing.sort(key=lambda place: -depths[place])
        taken: set[int] = set()
        still = []
        for place in growing:
            part = int(parts.components_at(np.array([place[0]]), np.array([place[1]]))[0])
            if part not in taken:
                taken.add(part)
                still.append(place)
            elif level <= NECK * depths[place]:
                kept.append(place)
        still += [_middle(parts.paint(np.arange(parts.count) == part)) for part in set(range(parts.count)) - taken]
        growing = still
    places = sorted(kept + growing, key=lambda place: -depths[place])
    return [place for place in places if depths[place] >= THIN * depths.max()][:MOST_PLACES]


def _of_part(part: UInt8, answer: Answer) -> Iterator[UInt8]:
    """The subjects of one connected part of an alpha, uint8 [H, W]."""
    solid = part >= SOLID
    if not solid.any():
        yield part
        return
    box = _box(solid)
    step = -(-max(side.stop - side.start for side in box) // CELLS)
    places = thick_places(solid[box][::step, ::step])
    if len(places) < 2:
        yield part
        return
    points = [(box[1].start + column * step, box[0].start + row * step) for row, column in places]
    objects = _told_apart(_objects_at(points, answer), answer, solid)
    if len(objects) < 2:
        yield part
        return
    yield from _shared_out(part, objects)


def _objects_at(points: list[tuple[int, int]], answer: Answer) -> list[Points]:
    """The points of each object. points: (x, y), the thickest place first, which says what its object leaves out."""
    objects: list[tuple[Points, UInt8]] = []
    for x, y in points:
        point = (x + 0.5, y + 0.5)
        owner = next((number for number, (_, alpha) in enumerate(objects) if alpha[y, x] >= SOLID), None)
        if owner is None:
            found = answer(Prompts(keep=(point,)))
            owner = next((number for number, (_, alpha) in enumerate(objects) if _reaches_over(found, alpha)), None)
            if owner is None:
                objects.append(((point,), found))
                continue
        own, alpha = objects[owner]
        objects[owner] = ((*own, point), alpha)
    return [own for own, _ in objects]


def _reaches_over(answer: UInt8, alpha: UInt8) -> bool:
    solid = alpha >= SOLID
    return bool(((answer >= SOLID) & solid).sum() > REACHES * solid.sum())


def _told_apart(objects: list[Points], answer: Answer, solid: Bool) -> list[UInt8]:
    """The alpha of each object, uint8 [H, W], given by its points; none where the answers do not make a part, bool [H, W], into several."""
    if len(objects) < 2:
        return []
    size = int(solid.sum())
    found = []
    for own in objects:
        others = tuple(point for other in objects if other is not own for point in other)
        alpha = answer(Prompts(keep=own, drop=others))
        if ((alpha >= SOLID) & solid).sum() >= LEAST * size:
            found.append(alpha)
    if len(found) < 2:
        return []
    covered = (np.maximum.reduce(found) >= SOLID) & solid
    apart = not any(_is_same(one, other, solid) for one, other in itertools.combinations(found, 2))
    return found if apart and covered.sum() >= COVERED * size else []


def _is_same(one: UInt8, other: UInt8, solid: Bool) -> bool:
    first, second = ((found >= SOLID) & solid for found in (one, other))
    return bool((first & second).sum() > SAME * min(first.sum(), second.sum()))


def _shared_out(part: UInt8, objects: list[UInt8]) -> Iterator[UInt8]:
    """The part as alphas that sum up to it: each pixel in the shares that the objects have there, or with the nearest object."""
    box = _box(part > 0)
    seen = [found[box] for found in objects]
    total = np.sum(seen, axis=0, dtype=np.int32)
    seeds = np.where(total >= VISIBLE, np.argmax(seen, axis=0), -1).astype(np.int32)
    nearest = nearest_seed(seeds, len(objects))
    levels = part[box].astype(np.int32)
    before: Int32 = np.zeros_like(levels)
    given: Int32 = np.zeros_like(levels)
    for number, found in enumerate(seen):
        before += found
        reached = np.where(total >= VISIBLE, levels * before // np.maximum(total, 1), levels * (nearest <= number))
        subject = np.zeros_like(part)
        subject[box] = reached - given
        given = reached
        yield subject


def _depths(solid: Bool) -> Int32:
    """int32 [h, w]: how often a mask can be eroded, by four and by eight neighbours in turn, until a cell is gone."""
    left = np.pad(solid, 1)
    depths = np.zeros(left.shape, np.int32)
    turn = 0
    while left.any():
        depths += left
        left = _eroded(left, diagonal=turn % 2 == 1)
        turn += 1
    return depths[1:-1, 1:-1]


def _eroded(mask: Bool, *, diagonal: bool) -> Bool:
    left = np.zeros_like(mask)
    across = mask[:, :-2] & mask[:, 1:-1] & mask[:, 2:]
    if diagonal:
        left[1:-1, 1:-1] = across[:-2] & across[1:-1] & across[2:]
    else:
        left[1:-1, 1:-1] = across[1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1]
    return left


def _middle(mask: Bool) -> tuple[int, int]:
    """The set pixel that is nearest to the mean of all."""
    rows, columns = np.nonzero(mask)
    place = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
    return int(rows[place]), int(columns[place])


def _box(mask: Bool) -> Box:
    """The rows and columns that hold all set pixels; there is at least one."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
