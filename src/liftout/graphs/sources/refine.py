"""refine: rows of the photo's alpha, crisp at the photo's resolution, from the cells of `guide`.

    image     uint8 [R, W, 3], the strip's rows of the photo in sRGB
    size      int64 [2], height and width of the photo
    rows      int64 [2], first row and one past the last row of the strip
    model     float32 [h, w, 4] and
    soft      bool [h, w], from `guide`
    truncate  bool: cut to whole levels; else round
 -> alpha     uint8 [R, W]

A pixel that lies between flat cells takes the nearest cell's level. Every other pixel takes slopes and offset bilinearly
(half-pixel centres) and applies them to its own colour. Only those pixels cost anything.
"""

# mypy: ignore-errors

from onnxscript import BOOL, FLOAT, INT64, UINT8, script
from onnxscript import opset20 as op


@script(default_opset=op)
def refine(
    image: UINT8["R", "W", 3],
    size: INT64[2],
    rows: INT64[2],
    model: FLOAT["h", "w", 4],
    soft: BOOL["h", "w"],
    truncate: BOOL,
) -> UINT8["R", "W"]:
    zero = op.Constant(value_ints=[0])
    one = op.Constant(value_ints=[1])
    two = op.Constant(value_ints=[2])
    three = op.Constant(value_ints=[3])
    flat = op.Constant(value_ints=[-1])
    nothing = op.Constant(value_float=0.0)
    half = op.Constant(value_float=0.5)
    step = op.Constant(value_float=1.0)
    full = op.Constant(value_float=255.0)
    lift = op.Where(truncate, nothing, half)

    height = op.Slice(size, zero, one)
    width = op.Slice(size, one, two)
    cells_down = op.Shape(soft, start=0, end=1)
    cells_across = op.Shape(soft, start=1, end=2)
    row = op.Range(
        op.Squeeze(op.Slice(rows, zero, one)), op.Squeeze(op.Slice(rows, one, two)), op.Constant(value_int=1)
    )
    column = op.Range(op.Constant(value_int=0), op.Squeeze(width), op.Constant(value_int=1))
    # half-pixel centres in whole numbers: (2 y + 1) h / (2 H) - 1/2 = (whole + rest) / (2 H)
    down = (two * row + one) * cells_down - height
    across = (two * column + one) * cells_across - width
    top = (down + two * height) / (two * height) - one
    left = (across + two * width) / (two * width) - one
    weight_down = op.Cast(down - top * two * height, to=1) / op.Cast(two * height, to=1)
    weight_across = op.Cast(across - left * two * width, to=1) / op.Cast(two * width, to=1)
    last_down = op.Squeeze(cells_down - one)
    last_across = op.Squeeze(cells_across - one)
    upper = op.Max(top, zero)
    lower = op.Min(top + one, last_down)
    before = op.Max(left, zero)
    behind = op.Min(left + one, last_across)

    level = op.Gather(model, op.Constant(value_int=3), axis=2)
    quantised = op.Cast(op.Floor(op.Clip(level, nothing, step) * full + lift), to=2)
    nearest_row = row * cells_down / height
    nearest_column = column * cells_across / width
    base = op.Gather(op.Gather(quantised, nearest_column, axis=1), nearest_row)

    touched = op.Or(op.Gather(soft, before, axis=1), op.Gather(soft, behind, axis=1))
    spot = op.NonZero(op.Or(op.Gather(touched, upper), op.Gather(touched, lower)))
    y = op.Gather(spot, op.Constant(value_int=0))
    x = op.Gather(spot, op.Constant(value_int=1))
    at = y * width + x
    table = op.Reshape(model, op.Constant(value_ints=[-1, 4]))
    from_upper = op.Gather(upper * cells_across, y)
    from_lower = op.Gather(lower * cells_across, y)
    from_before = op.Gather(before, x)
    from_behind = op.Gather(behind, x)
    blend_down = op.Gather(weight_down, y)
    blend_across = op.Gather(weight_across, x)
    upper_left = op.Transpose(op.Gather(table, from_upper + from_before), perm=[1, 0])
    upper_right = op.Transpose(op.Gather(table, from_upper + from_behind), perm=[1, 0])
    lower_left = op.Transpose(op.Gather(table, from_lower + from_before), perm=[1, 0])
    lower_right = op.Transpose(op.Gather(table, from_lower + from_behind), perm=[1, 0])
    above = upper_left + (upper_right - upper_left) * blend_across
    below = lower_left + (lower_right - lower_left) * blend_across
    local = above + (below - above) * blend_down
    pixels = op.Reshape(image, op.Constant(value_ints=[-1, 3]))
    colour = op.Cast(op.Transpose(op.Gather(pixels, at), perm=[1, 0]), to=1) / full
    explained = op.Slice(local, zero, three, zero) * colour
    value = op.Gather(explained, op.Constant(value_int=0)) + op.Gather(explained, op.Constant(value_int=1))
    value = value + op.Gather(explained, op.Constant(value_int=2)) + op.Gather(local, op.Constant(value_int=3))
    refined = op.Cast(op.Floor(op.Clip(value, nothing, step) * full + lift), to=2)
    alpha = op.Reshape(op.ScatterElements(op.Reshape(base, flat), at, refined, axis=0), op.Shape(base))
    return alpha
