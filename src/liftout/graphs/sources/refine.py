"""refine: rows of the photo's alpha, crisp at the photo's resolution, from the cells of `guide`.

    image     uint8 [R, W, 3], the strip's rows of the photo in sRGB
    size      int64 [2], height and width of the photo
    rows      int64 [2], first row and one past the last row of the strip
    model     float32 [4, h, w] and
    soft      bool [h, w], from `guide`
    truncate  bool: cut to whole levels; else round
 -> alpha     uint8 [R, W]

A pixel that lies between flat cells takes the nearest cell's level. Every other pixel takes slopes and offset bilinearly
(half-pixel centres) and applies them to its own colour. Only runs of RUN pixels of a row that hold such pixels cost anything.
"""

# mypy: ignore-errors

from onnxscript import BOOL, FLOAT, INT64, UINT8, script
from onnxscript import opset20 as op

RUN = 32
"""Pixels that are computed together: ONNX Runtime gathers a run in the time of a pixel."""


@script(default_opset=op)
def refine(
    image: UINT8["R", "W", 3],
    size: INT64[2],
    rows: INT64[2],
    model: FLOAT[4, "h", "w"],
    soft: BOOL["h", "w"],
    truncate: BOOL,
) -> UINT8["R", "W"]:
    zero = op.Constant(value_ints=[0])
    one = op.Constant(value_ints=[1])
    two = op.Constant(value_ints=[2])
    run = op.Constant(value_ints=[RUN])
    runs_of = op.Constant(value_ints=[-1, RUN])
    flat = op.Constant(value_ints=[-1])
    start = op.Constant(value_int=0)
    by = op.Constant(value_int=1)
    nothing = op.Constant(value_float=0.0)
    half = op.Constant(value_float=0.5)
    full = op.Constant(value_float=255.0)
    none_level = op.Cast(start, to=2)
    lift = op.Where(truncate, nothing, half)

    height = op.Slice(size, zero, one)
    width = op.Slice(size, one, two)
    runs = (width + run - one) / run
    cells_down = op.Shape(soft, start=0, end=1)
    cells_across = op.Shape(soft, start=1, end=2)
    row = op.Range(op.Squeeze(op.Slice(rows, zero, one)), op.Squeeze(op.Slice(rows, one, two)), by)
    column = op.Min(op.Range(start, op.Squeeze(runs * run), by), width - one)
    # half-pixel centres in whole numbers: (2 y + 1) h / (2 H) - 1/2 = (whole + rest) / (2 H)
    down = (two * row + one) * cells_down - height
    across = (two * column + one) * cells_across - width
    top = (down + two * height) / (two * height) - one
    left = (across + two * width) / (two * width) - one
    weight_down = op.Cast(down - top * two * height, to=1) / op.Cast(two * height, to=1)
    weight_across = op.Cast(across - left * two * width, to=1) / op.Cast(two * width, to=1)
    upper = op.Max(top, zero)
    lower = op.Min(top + one, cells_down - one)
    before = op.Cast(op.Max(left, zero), to=6)
    behind = op.Cast(op.Min(left + one, cells_across - one), to=6)

    # the rows of cells that the strip needs
    first = op.Slice(upper, zero, one)
    last = op.Slice(lower, op.Constant(value_ints=[-1]), op.Constant(value_ints=[9223372036854775807])) + one
    upper = upper - first
    lower = lower - first
    cells = op.Slice(model, first, last, one)
    is_soft = op.Slice(soft, first, last, zero)
    deep = op.Concat(last - first, runs * run, axis=0)

    level = op.Squeeze(op.Slice(cells, op.Constant(value_ints=[3]), op.Constant(value_ints=[4]), zero), zero)
    quantised = op.Cast(op.Clip(level * full, nothing, full) + lift, to=2)
    nearest_row = row * cells_down / height - first
    nearest_column = op.Cast(column * cells_across / width, to=6)
    base = op.GatherElements(quantised, op.Expand(nearest_column, deep), axis=1)
    base = op.Reshape(op.Gather(base, nearest_row), runs_of)

    touched = op.GatherElements(is_soft, op.Expand(before, deep), axis=1)
    touched = op.Or(touched, op.GatherElements(is_soft, op.Expand(behind, deep), axis=1))
    touched = op.Reshape(op.Cast(touched, to=2), op.Concat(last - first, runs, run, axis=0))
    holds = op.ReduceMax(touched, two, keepdims=0)
    active = op.Max(op.Gather(holds, upper), op.Gather(holds, lower)) > none_level
    spot = op.NonZero(active)
    y = op.Gather(spot, op.Constant(value_int=0))
    nth = op.Gather(spot, op.Constant(value_int=1))
    at = y * runs + nth

    # slopes and offset of every row of the strip at the cells' columns, then of the pixels
    above = op.Gather(cells, upper, axis=1)
    below = op.Gather(cells, lower, axis=1)
    between = above + (below - above) * op.Unsqueeze(weight_down, one)
    between = op.Reshape(between, op.Constant(value_ints=[4, -1]))
    line = op.Unsqueeze(op.Cast(y * cells_across, to=6), one)
    four_planes = op.Constant(value_ints=[4, 1])
    from_before = op.Reshape(op.Gather(op.Reshape(before, runs_of), nth) + line, op.Constant(value_ints=[1, -1]))
    from_behind = op.Reshape(op.Gather(op.Reshape(behind, runs_of), nth) + line, op.Constant(value_ints=[1, -1]))
    near = op.GatherElements(between, op.Expand(from_before, four_planes), axis=1)
    far = op.GatherElements(between, op.Expand(from_behind, four_planes), axis=1)
    blend = op.Reshape(op.Gather(op.Reshape(weight_across, runs_of), nth), flat)
    local = near + (far - near) * blend
    slopes, offset = op.Split(local, op.Constant(value_ints=[3, 1]), axis=0)

    more = runs * run - width
    photo = op.Pad(image, op.Concat(zero, zero, zero, zero, more, zero, axis=0), none_level)
    photo = op.Gather(op.Reshape(photo, op.Constant(value_ints=[-1, 3 * RUN])), at)
    colour = op.Transpose(op.Reshape(photo, op.Constant(value_ints=[-1, 3])), perm=[1, 0])
    red, green, blue = op.Split(slopes * op.Cast(colour, to=1), axis=0, num_outputs=3)
    value = red + green + blue + offset * full
    refined = op.Reshape(op.Cast(op.Clip(value, nothing, full) + lift, to=2), runs_of)

    touched = op.Reshape(touched, runs_of)
    from_upper = op.Gather(upper, y) * runs + nth
    from_lower = op.Gather(lower, y) * runs + nth
    chosen = op.Max(op.Gather(touched, from_upper), op.Gather(touched, from_lower)) > none_level
    mixed = op.Where(chosen, refined, op.Gather(base, at))
    alpha = op.ScatterND(base, op.Unsqueeze(at, one), mixed)
    alpha = op.Reshape(alpha, op.Concat(op.Shape(image, start=0, end=1), runs * run, axis=0))
    return op.Slice(alpha, zero, width, one)
