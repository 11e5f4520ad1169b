"""coarse: colours of subject and background on a small copy of the photo; made once for a photo.

    image    uint8 [H, W, 3], the whole photo
    alpha    uint8 [H, W]
 -> colours  float32 [6, h, w] in levels: three of the subject, three of the background; h = w = 1 where alpha is never soft

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


@script(default_opset=op)
def coarse(image: UINT8["H", "W", 3], alpha: UINT8["H", "W"]) -> FLOAT[6, "h", "w"]:
    zero = op.Constant(value_ints=[0])
    one = op.Constant(value_ints=[1])
    two = op.Constant(value_ints=[2])
    three = op.Constant(value_ints=[3])
    nothing = op.Constant(value_float=0.0)
    unit = op.Constant(value_float=1.0)
    whole = op.Constant(value_float=255.0)
    tie = op.Constant(value_float=TIE)
    six = op.Constant(value_ints=[6])
    six_rows = op.Constant(value_ints=[6, 1])
    six_planes = op.Constant(value_ints=[6, -1])

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
    small_size = op.Concat(small_height, small_width, axis=0)
    small_alpha = op.GatherElements(op.Gather(alpha, kept_rows), op.Expand(kept_columns, small_size), axis=1)
    opacity = op.Cast(small_alpha, to=1) / whole
    is_soft = op.And(opacity > nothing, opacity < unit)
    any_soft = op.ReduceMax(op.Cast(is_soft, to=6), keepdims=0)

    if op.Cast(any_soft, to=9):
        pixels = op.Reshape(image, op.Constant(value_ints=[-1, 3]))
        found = op.Expand(op.Constant(value_floats=[127.5]), op.Constant(value_ints=[6, 1]))
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
            whole_rows = op.Gather(opacity, from_rows)
            a = op.GatherElements(whole_rows, op.Expand(from_columns, op.Concat(rows, columns, axis=0)), axis=1)
            coarser_rows = (small_height + two * shrink - one) / (two * shrink)
            below_rows = row * coarser_rows / rows
            below_columns = column * op.Shape(found, start=1, end=2) / coarser_rows / columns
            below = op.Reshape(found, op.Concat(six * coarser_rows, op.Constant(value_ints=[-1]), axis=0))
            wide = op.Concat(six * coarser_rows, columns, axis=0)
            grown = op.GatherElements(below, op.Expand(op.Cast(below_columns, to=6), wide), axis=1)
            grown = op.Reshape(grown, op.Concat(six, coarser_rows, columns, axis=0))
            grown = op.Reshape(op.Gather(grown, below_rows, axis=1), six_planes)

            tiny = op.Max(rows, columns) <= op.Constant(value_ints=[BLOCK])
            early = op.Max(rows, columns) <= op.Constant(value_ints=[EARLY])
            soft = op.And(a > nothing, a < unit)
            if op.Squeeze(early):
                plane = op.Unsqueeze(a, op.Constant(value_ints=[0, 1]))
                higher = op.MaxPool(plane, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
                lower = op.MaxPool(op.Neg(plane), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
                changes = op.Squeeze(higher + lower, op.Constant(value_ints=[0, 1])) > nothing
                active = op.Or(op.Or(changes, soft), tiny)
            else:
                active = op.Identity(soft)
            spot = op.NonZero(active)
            y = op.Gather(spot, op.Constant(value_int=0))
            x = op.Gather(spot, op.Constant(value_int=1))
            at = y * columns + x
            count = op.Shape(at)
            nth = op.Cast(op.Range(start, op.Squeeze(count), by), to=6)

            # the four beside each pixel, all norths first; one that is not active itself counts as the pixel again
            north = op.Max(y - one, zero) * columns + x
            south = op.Min(y + one, rows - one) * columns + x
            west = y * columns + op.Max(x - one, zero)
            east = y * columns + op.Min(x + one, columns - one)
            outside = op.Expand(op.Cast(op.Constant(value_ints=[-1]), to=6), rows * columns)
            place = op.ScatterElements(outside, at, nth, axis=0)
            beside = op.GatherElements(place, op.Concat(north, south, west, east, axis=0), axis=0)
            beside = op.Where(beside < op.Cast(start, to=6), op.Concat(nth, nth, nth, nth, axis=0), beside)

            here_a = op.GatherElements(op.Reshape(a, op.Constant(value_ints=[-1])), at, axis=0)
            change = op.GatherElements(here_a, beside, axis=0) - op.Concat(here_a, here_a, here_a, here_a, axis=0)
            weight = op.Abs(change) + tie
            from_north, from_south, from_west, from_east = op.Split(weight, axis=0, num_outputs=4)
            w_sum = from_north + from_south + from_west + from_east
            weight = weight / op.Concat(w_sum, w_sum, w_sum, w_sum, axis=0)
            other_a = unit - here_a
            share = here_a * here_a + other_a * other_a + w_sum * op.Constant(value_float=SMOOTH)
            trio = op.Concat(three, count, axis=0)
            a6 = op.Concat(op.Expand(here_a, trio), op.Expand(other_a, trio), axis=0)
            k6 = a6 / share
            seen_rows = op.Gather(kept_rows, from_rows) * width
            seen_at = op.Gather(seen_rows, y) + op.Gather(op.Gather(kept_columns, from_columns), x)
            seen = op.Cast(op.Transpose(op.Gather(pixels, seen_at), perm=[1, 0]), to=1)

            at6 = op.Expand(op.Unsqueeze(at, zero), six_rows)
            north6, south6, west6, east6 = op.Split(
                op.Expand(op.Unsqueeze(beside, zero), six_rows), axis=1, num_outputs=4
            )
            w_north, w_south, w_west, w_east = op.Split(weight, axis=0, num_outputs=4)
            state = op.GatherElements(grown, at6, axis=1)
            late = op.Where(op.Squeeze(early), op.Constant(value_int=ROUNDS), op.Constant(value_int=LATE_ROUNDS))
            rounds = op.Where(op.Squeeze(tiny), op.Constant(value_int=SMALL_ROUNDS), late)
            for _turn in range(rounds):
                mean = op.GatherElements(state, north6, axis=1) * w_north
                mean = mean + op.GatherElements(state, south6, axis=1) * w_south
                mean = mean + op.GatherElements(state, west6, axis=1) * w_west
                mean = mean + op.GatherElements(state, east6, axis=1) * w_east
                by_front, by_back = op.Split(mean * a6, axis=0, num_outputs=2)
                miss = seen - (by_front + by_back)
                state = op.Clip(mean + op.Concat(miss, miss, axis=0) * k6, nothing, whole)
            found = op.ScatterElements(grown, at6, state, axis=1)
        colours = op.Reshape(found, op.Concat(six, small_size, axis=0))
    else:
        colours = op.Expand(nothing, op.Constant(value_ints=[6, 1, 1]))
    return colours
