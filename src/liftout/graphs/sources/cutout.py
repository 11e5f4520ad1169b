"""cutout: rows of photo and alpha become straight-alpha RGBA with the subject's own colours.

    image    uint8 [R, W, 3], the strip's rows of the photo
    alpha    uint8 [R, W]
    size     int64 [2], height and width of the photo
    rows     int64 [2], first row and one past the last row of the strip
    colours  float32 [6, h, w], from `coarse`
 -> rgba     uint8 [R, W, 4]: the photo's colour where alpha is 255, zero where it is 0, else the subject's alone

Under soft alpha the coarse colours of subject and background of the nearest cell are corrected by what they fail to explain
of the pixel, I - a F - (1 - a) B, shared between both by least squares: F gains a / (a^2 + (1 - a)^2 + TRUST) of it
(Forte 2021, "Approximate Fast Foreground Colour Estimation", doi:10.1109/ICIP42928.2021.9506164, gives all of it to F).
Only runs of RUN pixels of a row that hold soft ones cost anything.
"""

# mypy: ignore-errors

from onnxscript import FLOAT, INT64, UINT8, script
from onnxscript import opset20 as op

TRUST = 0.01
RUN = 32
"""Pixels that are computed together: ONNX Runtime gathers a run in the time of a pixel."""


@script(default_opset=op)
def cutout(
    image: UINT8["R", "W", 3], alpha: UINT8["R", "W"], size: INT64[2], rows: INT64[2], colours: FLOAT[6, "h", "w"]
) -> UINT8["R", "W", 4]:
    zero = op.Constant(value_ints=[0])
    one = op.Constant(value_ints=[1])
    two = op.Constant(value_ints=[2])
    run = op.Constant(value_ints=[RUN])
    runs_of = op.Constant(value_ints=[-1, RUN])
    three_planes = op.Constant(value_ints=[3, -1])
    six_planes = op.Constant(value_ints=[6, -1])
    half = op.Constant(value_float=0.5)
    unit = op.Constant(value_float=1.0)
    whole = op.Constant(value_float=255.0)
    nothing = op.Constant(value_float=0.0)
    start = op.Constant(value_int=0)
    by = op.Constant(value_int=1)
    none_level = op.Cast(start, to=2)
    full_level = op.Cast(op.Constant(value_int=255), to=2)

    height = op.Slice(size, zero, one)
    width = op.Slice(size, one, two)
    across = (width + run - one) / run
    more = across * run - width
    photo = op.Pad(image, op.Concat(zero, zero, zero, zero, more, zero, axis=0), none_level)
    planes = op.Transpose(op.Reshape(photo, op.Constant(value_ints=[-1, 3])), perm=[1, 0])
    levels = op.Reshape(op.Pad(alpha, op.Concat(zero, zero, zero, more, axis=0), none_level), runs_of)

    touched = op.ReduceMax(levels, one, keepdims=0) > none_level
    at = op.Squeeze(op.NonZero(op.And(touched, op.ReduceMin(levels, one, keepdims=0) < full_level)), zero)
    y = at / across
    cells_down = op.Shape(colours, start=1, end=2)
    cells_across = op.Shape(colours, start=2, end=3)
    row = op.Range(op.Squeeze(op.Slice(rows, zero, one)), op.Squeeze(op.Slice(rows, one, two)), by)
    column = op.Min(op.Range(start, op.Squeeze(across * run), by), width - one)
    nearest_row = op.Cast((row * cells_down / height) * cells_across, to=6)
    nearest_column = op.Reshape(op.Cast(column * cells_across / width, to=6), runs_of)
    cell = op.Gather(nearest_column, at - y * across) + op.Unsqueeze(op.Gather(nearest_row, y), one)
    cell = op.Reshape(cell, op.Constant(value_ints=[1, -1]))
    cell = op.Expand(cell, op.Constant(value_ints=[6, 1]))
    near = op.GatherElements(op.Reshape(colours, six_planes), cell, axis=1)
    front, back = op.Split(near, axis=0, num_outputs=2)

    level = op.Reshape(op.Gather(levels, at), op.Constant(value_ints=[-1]))
    a = op.Cast(level, to=1) / whole
    rest = unit - a
    plane = op.Shape(levels, start=0, end=1)
    at_planes = op.Concat(at, at + plane, at + plane * two, axis=0)
    seen = op.Reshape(op.Gather(op.Reshape(planes, runs_of), at_planes), three_planes)
    miss = op.Cast(seen, to=1) - a * front - rest * back
    colour = front + miss * (a / (a * a + rest * rest + op.Constant(value_float=TRUST)))
    quantised = op.Cast(op.Clip(colour + half, nothing, whole), to=2)
    clean = op.Reshape(op.Where(level < full_level, quantised, seen), runs_of)
    clean = op.ScatterND(op.Reshape(planes, runs_of), op.Unsqueeze(at_planes, one), clean)

    levels = op.Reshape(levels, op.Constant(value_ints=[1, -1]))
    covered = op.Where(levels > none_level, full_level, none_level)
    shown = op.Min(op.Reshape(clean, three_planes), covered)
    rgba = op.Transpose(op.Concat(shown, levels, axis=0), perm=[1, 0])
    tall = op.Shape(alpha, start=0, end=1)
    rgba = op.Reshape(rgba, op.Concat(tall, across * run, op.Constant(value_ints=[4]), axis=0))
    return op.Slice(rgba, zero, width, one)
