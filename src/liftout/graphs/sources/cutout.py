"""cutout: rows of photo and alpha become straight-alpha RGBA with the subject's own colours.

    image    uint8 [R, W, 3], the strip's rows of the photo
    alpha    uint8 [R, W]
    size     int64 [2], height and width of the photo
    rows     int64 [2], first row and one past the last row of the strip
    colours  float32 [h, w, 6], from `coarse`
 -> rgba     uint8 [R, W, 4]: the photo's colour where alpha is 255, zero where it is 0, else the subject's alone

Under soft alpha the coarse colours of subject and background of the nearest cell are corrected by what they fail to explain
of the pixel, I - a F - (1 - a) B, shared between both by least squares: F gains a / (a^2 + (1 - a)^2 + TRUST) of it
(Forte 2021, "Approximate Fast Foreground Colour Estimation", doi:10.1109/ICIP42928.2021.9506164, gives all of it to F).
Only soft pixels cost anything.
"""

# mypy: ignore-errors

from onnxscript import FLOAT, INT64, UINT8, script
from onnxscript import opset20 as op

TRUST = 0.01


@script(default_opset=op)
def cutout(
    image: UINT8["R", "W", 3], alpha: UINT8["R", "W"], size: INT64[2], rows: INT64[2], colours: FLOAT["h", "w", 6]
) -> UINT8["R", "W", 4]:
    zero = op.Constant(value_ints=[0])
    one = op.Constant(value_ints=[1])
    two = op.Constant(value_ints=[2])
    flat = op.Constant(value_ints=[-1])
    nothing = op.Constant(value_float=0.0)
    half = op.Constant(value_float=0.5)
    unit = op.Constant(value_float=1.0)
    whole = op.Constant(value_float=255.0)
    none_level = op.Cast(op.Constant(value_int=0), to=2)
    full_level = op.Cast(op.Constant(value_int=255), to=2)

    height = op.Slice(size, zero, one)
    width = op.Slice(size, one, two)
    cells_down = op.Shape(colours, start=0, end=1)
    cells_across = op.Shape(colours, start=1, end=2)
    by = op.Constant(value_int=1)
    row = op.Range(op.Squeeze(op.Slice(rows, zero, one)), op.Squeeze(op.Slice(rows, one, two)), by)
    column = op.Range(op.Constant(value_int=0), op.Squeeze(width), by)
    nearest_row = (row * cells_down / height) * cells_across
    nearest_column = column * cells_across / width

    levels = op.Reshape(alpha, flat)
    covered = levels > none_level
    at = op.Squeeze(op.NonZero(op.And(covered, levels < full_level)), zero)
    y = at / width
    x = at - y * width
    table = op.Reshape(colours, op.Constant(value_ints=[-1, 6]))
    near = op.Gather(table, op.Gather(nearest_row, y) + op.Gather(nearest_column, x))
    front, back = op.Split(op.Transpose(near, perm=[1, 0]), op.Constant(value_ints=[3, 3]), axis=0)
    pixels = op.Reshape(image, op.Constant(value_ints=[-1, 3]))
    seen = op.Cast(op.Transpose(op.Gather(pixels, at), perm=[1, 0]), to=1) / whole
    a = op.Cast(op.Gather(levels, at), to=1) / whole
    rest = unit - a
    miss = seen - a * front - rest * back
    colour = front + miss * (a / (a * a + rest * rest + op.Constant(value_float=TRUST)))
    quantised = op.Cast(op.Floor(op.Clip(colour, nothing, unit) * whole + half), to=2)

    clean = op.ScatterND(pixels, op.Unsqueeze(at, one), op.Transpose(quantised, perm=[1, 0]))
    planes = op.Transpose(clean, perm=[1, 0])
    shown = op.BitwiseAnd(planes, op.Where(covered, full_level, none_level))
    rgba = op.Transpose(op.Concat(shown, op.Unsqueeze(levels, zero), axis=0), perm=[1, 0])
    return op.Reshape(rgba, op.Concat(op.Shape(alpha), op.Constant(value_ints=[4]), axis=0))
