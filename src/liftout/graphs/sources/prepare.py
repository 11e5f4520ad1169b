"""prepare: a photo becomes the network's input tensor.

    image      uint8 [H, W, 3], sRGB
    size       int64 [2], height and width of the tensor
    antialias  bool: Pillow's antialiased bilinear, or torch's F.interpolate(align_corners=False)
    letterbox  bool: keep the aspect, centred on zeros; else stretch
    truncate   bool: cut to whole grey levels after resizing
    by_max     bool: divide by the largest level instead of by 255
    mean, std  float32 [3]
 -> tensor     float32 [1, 3, height, width]
    box        int64 [4], top, left, height and width of the photo within the tensor

Pillow's bilinear is ONNX `Resize` on uint8 with antialias=1 and exclude_outside=1: it rounds to whole levels after each of its two passes, as Pillow does.
ONNX Runtime resizes the width first. Pillow 13 begins with the height of upright photos where that is clearly less work:
those are turned.
F.interpolate reads four neighbours only, so four gathers do its work in memory that follows the tensor, not the photo; the
coordinates are computed as torch computes them, in float32.

The sources are onnxscript; `python -m liftout.graphs.sources.build` writes the .onnx file beside this one.
"""

# mypy: ignore-errors

from onnxscript import BOOL, FLOAT, INT64, UINT8, script
from onnxscript import opset20 as op

LARGEST_FLOOR = 1e-6 * 255  # an all-black photo is divided by this instead of by zero

DOWN_FIRST = 0.89  # fitted to what Pillow 13 does over 100 pairs of sizes


@script(default_opset=op)
def prepare(
    image: UINT8["H", "W", 3],
    size: INT64[2],
    antialias: BOOL,
    letterbox: BOOL,
    truncate: BOOL,
    by_max: BOOL,
    mean: FLOAT[3],
    std: FLOAT[3],
) -> tuple[FLOAT[1, 3, "h", "w"], INT64[4]]:
    zero = op.Constant(value_ints=[0])
    one = op.Constant(value_ints=[1])
    two = op.Constant(value_ints=[2])
    three = op.Constant(value_ints=[3])
    source = op.Slice(op.Shape(image), zero, two)
    source_height = op.Slice(source, zero, one)
    source_width = op.Slice(source, one, two)
    height = op.Slice(size, zero, one)
    width = op.Slice(size, one, two)

    if letterbox:
        taller = source_height * width > source_width * height
        fit_height = op.Where(taller, height, op.Max(source_height * width / source_width, one))
        fit_width = op.Where(taller, op.Max(source_width * height / source_height, one), width)
        fit = op.Concat(fit_height, fit_width, axis=0)
    else:
        fit = op.Identity(size)
    margin = (size - fit) / two
    box = op.Concat(margin, fit, axis=0)

    if antialias:
        fit_height = op.Slice(fit, zero, one)
        fit_width = op.Slice(fit, one, two)
        # work of the two passes in either order, a pass costing its samples times its taps
        unit = op.Constant(value_float=1.0)
        double = op.Constant(value_float=2.0)
        many = op.Cast(fit_height * fit_width, to=1)
        taps_down = double * op.Max(op.Cast(source_height, to=1) / op.Cast(fit_height, to=1), unit) + unit
        taps_across = double * op.Max(op.Cast(source_width, to=1) / op.Cast(fit_width, to=1), unit) + unit
        across_first = op.Cast(source_height * fit_width, to=1) * taps_across + many * taps_down
        down_first = op.Cast(source_width * fit_height, to=1) * taps_down + many * taps_across
        worthwhile = down_first < across_first * op.Constant(value_float=DOWN_FIRST)
        upright_first = op.And(worthwhile, fit_height < source_height)
        if op.Squeeze(upright_first):
            upright = op.Unsqueeze(op.Transpose(image, perm=[2, 1, 0]), zero)
            turned = op.Resize(
                upright,
                None,
                None,
                op.Concat(one, three, fit_width, fit_height, axis=0),
                antialias=1,
                coordinate_transformation_mode="half_pixel",
                exclude_outside=1,
                mode="linear",
            )
            resized = op.Transpose(turned, perm=[0, 1, 3, 2])
        else:
            planes = op.Unsqueeze(op.Transpose(image, perm=[2, 0, 1]), zero)
            resized = op.Resize(
                planes,
                None,
                None,
                op.Concat(one, three, fit, axis=0),
                antialias=1,
                coordinate_transformation_mode="half_pixel",
                exclude_outside=1,
                mode="linear",
            )
        levels = op.Squeeze(op.Cast(resized, to=1), zero)
    else:
        fit_float = op.Cast(fit, to=1)
        ratio = op.Cast(source, to=1) / fit_float
        half = op.Constant(value_float=0.5)
        nothing = op.Constant(value_float=0.0)
        step = op.Constant(value_float=1.0)

        y = op.Range(nothing, op.Squeeze(op.Slice(fit_float, zero, one)), step)
        y = op.Max(op.Slice(ratio, zero, one) * (y + half) - half, nothing)
        top = op.Min(op.Cast(y, to=7), source_height - one)
        bottom = op.Min(top + one, source_height - one)
        down = op.Unsqueeze(op.Min(y - op.Cast(top, to=1), step), op.Constant(value_ints=[1, 2]))

        x = op.Range(nothing, op.Squeeze(op.Slice(fit_float, one, two)), step)
        x = op.Max(op.Slice(ratio, one, two) * (x + half) - half, nothing)
        left = op.Min(op.Cast(x, to=7), source_width - one)
        right = op.Min(left + one, source_width - one)
        across = op.Unsqueeze(op.Min(x - op.Cast(left, to=1), step), one)

        upper = op.Gather(image, top, axis=0)
        lower = op.Gather(image, bottom, axis=0)
        upper_left = op.Cast(op.Gather(upper, left, axis=1), to=1)
        upper_right = op.Cast(op.Gather(upper, right, axis=1), to=1)
        lower_left = op.Cast(op.Gather(lower, left, axis=1), to=1)
        lower_right = op.Cast(op.Gather(lower, right, axis=1), to=1)
        up, back = step - down, step - across
        blended = up * (back * upper_left + across * upper_right) + down * (back * lower_left + across * lower_right)
        levels = op.Transpose(blended, perm=[2, 0, 1])

    if truncate:
        whole = op.Floor(levels)
    else:
        whole = op.Identity(levels)
    if by_max:
        divisor = op.Max(op.ReduceMax(whole, keepdims=0), op.Constant(value_float=LARGEST_FLOOR))
    else:
        divisor = op.Constant(value_float=255.0)

    if letterbox:
        after = size - fit - margin
        pads = op.Concat(zero, margin, zero, after, axis=0)
        placed = op.Pad(whole / divisor, pads, op.Constant(value_float=0.0))
    else:
        placed = whole / divisor
    channels = op.Constant(value_ints=[1, 2])
    tensor = op.Unsqueeze((placed - op.Unsqueeze(mean, channels)) / op.Unsqueeze(std, channels), zero)
    return tensor, box
