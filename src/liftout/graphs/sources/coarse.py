"""coarse: colours of subject and background on a small copy of the photo; made once for a photo.

    image    uint8 [H, W, 3], the whole photo
    alpha    uint8 [H, W]
 -> colours  float32 [h, w, 6] in [0, 1]: three of the subject, three of the background; h = w = 1 where alpha is never soft

A pixel of a photo is I = a F + (1 - a) B. That is one equation for two colours; the second is smoothness: F and B resemble
their neighbours' wherever alpha does not change. From a copy of one pixel to one of LONGEST pixels, doubling each time, F and
B start as those of the level below and are improved a few times: the mean of the four neighbours, weighted by the change of
alpha, then brought into line with the pixel by least squares.

Source: Germer, Uelwer, Conrad and Harmeling 2020, "Fast Multi-Level Foreground Estimation", arXiv:2006.14970. Here every
pixel of a level is improved at once, and above BLOCK pixels only those that matter, among themselves.
"""

# mypy: ignore-errors

from onnxscript import FLOAT, UINT8, script
from onnxscript import opset20 as op

LONGEST = 384
"""Longest side of the finest copy."""
BLOCK = 32
"""Up to this side, every pixel of a level is improved, SMALL_ROUNDS times."""
SMALL_ROUNDS = 6
ROUNDS = 5
EARLY = 256
"""Up to this side the pixels beside a change of alpha are improved too; beyond it the soft ones alone, LATE_ROUNDS times."""
LATE_ROUNDS = 6
TIE = 1e-4
"""How much neighbours count where alpha does not change, against a change of 1."""
SMOOTH = 0.1
"""How much the neighbours count against the pixel itself (Germer's gradient_weight is 1: smoother, further from the photo)."""
BOTH = [float(row % 3 == column % 3) for row in range(6) for column in range(6)]
"""Adds the subject's and the background's part of each colour."""


@script(default_opset=op)
def coarse(image: UINT8["H", "W", 3], alpha: UINT8["H", "W"]) -> FLOAT["h", "w", 6]:
    zero = op.Constant(value_ints=[0])
    one = op.Constant(value_ints=[1])
    two = op.Constant(value_ints=[2])
    three = op.Constant(value_ints=[3])
    nothing = op.Constant(value_float=0.0)
    unit = op.Constant(value_float=1.0)
    whole = op.Constant(value_float=255.0)
    tie = op.Constant(value_float=TIE)

    size = op.Shape(alpha)
    height = op.Slice(size, zero, one)
    width = op.Slice(size, one, two)
    longest = op.Max(height, width)
    finest = op.Min(longest, op.Constant(value_ints=[LONGEST]))
    small_height = op.Max(height * finest / longest, one)
    small_width = op.Max(width * finest / longest, one)
    start = op.Constant(value_int=0)
    by = op.Constant(value_int=1)
    kept_rows = (two * op.Range(start, op.Squeeze(small_height), by) + one) * height / (two * small_height)
    kept_columns = (two * op.Range(start, op.Squeeze(small_width), by) + one) * width / (two * small_width)
    small_alpha = op.Gather(op.Gather(alpha, kept_rows), kept_columns, axis=1)
    opacity = op.Cast(small_alpha, to=1) / whole
    is_soft = op.And(opacity > nothing, opacity < unit)
    any_soft = op.ReduceMax(op.Cast(is_soft, to=6), keepdims=0)

    if op.Cast(any_soft, to=9):
        small_image = op.Gather(op.Gather(image, kept_rows), kept_columns, axis=1)
        found = op.Expand(op.Constant(value_floats=[0.5]), op.Constant(value_ints=[1, 1, 6]))
        both = op.Reshape(op.Constant(value_floats=BOTH), op.Constant(value_ints=[6, 6]))
        doublings = op.Log(op.Cast(op.Max(small_height, small_width), to=1)) / op.Constant(value_float=0.6931471)
        levels = op.Squeeze(op.Cast(op.Ceil(doublings), to=7))
        for level in range(levels + 1):
            shrink = op.Cast(op.Pow(op.Constant(value_float=2.0), op.Cast(levels - level, to=1)), to=7)
            rows = (small_height + shrink - one) / shrink
            columns = (small_width + shrink - one) / shrink
            row = op.Range(start, op.Squeeze(rows), by)
            column = op.Range(start, op.Squeeze(columns), by)
            from_rows = (two * row + one) * small_height / (two * rows)
            from_columns = (two * column + one) * small_width / (two * columns)
            a = op.Gather(op.Gather(opacity, from_rows), from_columns, axis=1)
            seen = op.Gather(op.Gather(small_image, from_rows), from_columns, axis=1)
            below_rows = row * op.Shape(found, start=0, end=1) / rows
            below_columns = column * op.Shape(found, start=1, end=2) / columns
            grown = op.Gather(op.Gather(found, below_columns, axis=1), below_rows)

            plane = op.Unsqueeze(op.Unsqueeze(a, zero), zero)
            higher = op.MaxPool(plane, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
            lower = op.MaxPool(op.Neg(plane), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
            changes = op.Squeeze(higher + lower, op.Constant(value_ints=[0, 1])) > nothing
            tiny = op.Max(rows, columns) <= op.Constant(value_ints=[BLOCK])
            early = op.Max(rows, columns) <= op.Constant(value_ints=[EARLY])
            active = op.Or(op.Or(op.And(changes, early), op.And(a > nothing, a < unit)), tiny)
            spot = op.NonZero(active)
            y = op.Gather(spot, op.Constant(value_int=0))
            x = op.Gather(spot, op.Constant(value_int=1))
            at = y * columns + x
            count = op.Shape(at)
            nth = op.Range(start, op.Squeeze(count), by)
            # a pixel beside that is not active itself counts as the pixel again
            outside = op.Expand(op.Constant(value_ints=[-1]), rows * columns)
            place = op.ScatterElements(outside, at, nth, axis=0)
            north = op.Gather(place, op.Max(y - one, zero) * columns + x)
            north = op.Where(north < zero, nth, north)
            south = op.Gather(place, op.Min(y + one, rows - one) * columns + x)
            south = op.Where(south < zero, nth, south)
            west = op.Gather(place, y * columns + op.Max(x - one, zero))
            west = op.Where(west < zero, nth, west)
            east = op.Gather(place, y * columns + op.Min(x + one, columns - one))
            east = op.Where(east < zero, nth, east)

            here_a = op.Gather(op.Reshape(a, op.Constant(value_ints=[-1])), at)
            w_north = op.Abs(op.Gather(here_a, north) - here_a) + tie
            w_south = op.Abs(op.Gather(here_a, south) - here_a) + tie
            w_west = op.Abs(op.Gather(here_a, west) - here_a) + tie
            w_east = op.Abs(op.Gather(here_a, east) - here_a) + tie
            w_sum = w_north + w_south + w_west + w_east
            other_a = unit - here_a
            share = here_a * here_a + other_a * other_a + w_sum * op.Constant(value_float=SMOOTH)
            wide = op.Concat(count, op.Constant(value_ints=[6]), axis=0)
            n6 = op.Expand(op.Unsqueeze(w_north / w_sum, one), wide)
            s6 = op.Expand(op.Unsqueeze(w_south / w_sum, one), wide)
            w6 = op.Expand(op.Unsqueeze(w_west / w_sum, one), wide)
            e6 = op.Expand(op.Unsqueeze(w_east / w_sum, one), wide)
            trio = op.Concat(count, three, axis=0)
            front = op.Expand(op.Unsqueeze(here_a, one), trio)
            back = op.Expand(op.Unsqueeze(other_a, one), trio)
            a6 = op.Concat(front, back, axis=1)
            k6 = a6 / op.Expand(op.Unsqueeze(share, one), wide)
            colour = op.Gather(op.Reshape(seen, op.Constant(value_ints=[-1, 3])), at)
            colour = op.Cast(colour, to=1) / whole
            seen6 = op.Concat(colour, colour, axis=1)

            state = op.Gather(op.Reshape(grown, op.Constant(value_ints=[-1, 6])), at)
            late = op.Where(op.Squeeze(early), op.Constant(value_int=ROUNDS), op.Constant(value_int=LATE_ROUNDS))
            rounds = op.Where(op.Squeeze(tiny), op.Constant(value_int=SMALL_ROUNDS), late)
            for _turn in range(rounds):
                mean = op.Gather(state, north) * n6 + op.Gather(state, south) * s6
                mean = mean + op.Gather(state, west) * w6 + op.Gather(state, east) * e6
                state = op.Clip(mean + (seen6 - op.MatMul(mean * a6, both)) * k6, nothing, unit)
            improved = op.ScatterND(op.Reshape(grown, op.Constant(value_ints=[-1, 6])), op.Unsqueeze(at, one), state)
            found = op.Reshape(improved, op.Concat(rows, columns, op.Constant(value_ints=[6]), axis=0))
        colours = op.Identity(found)
    else:
        colours = op.Expand(nothing, op.Constant(value_ints=[1, 1, 6]))
    return colours
