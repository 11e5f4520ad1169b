"""lanczos: a photo made as large as the network's input, for models whose authors resize with LANCZOS; `prepare` then changes no size.

    image  uint8 [H, W, 3], sRGB
    size   int64 [2], height and width of the result
 -> small  uint8 [height, width, 3]

Pillow's LANCZOS: each pixel is a weighted sum over 3 pixels of the result to either side, weights sinc(t) sinc(t / 3) that add up to one,
first across, then down, rounded to whole levels after each; down first where Pillow 13 finds that less work, as `prepare` does it. The weights are float64, because a position in a large photo needs more digits
than float32 has; sums are float32. At most one level from Pillow, which sums in integers; at shapes between those where it turns the order and
those where it does not, some levels at bright and dark edges, which either order cuts differently.
"""

# mypy: ignore-errors

import math

from onnxscript import INT64, UINT8, script
from onnxscript import opset20 as op

from liftout.graphs.sources.prepare import DOWN_FIRST

DOUBLE = 11
LOBES = 3.0


@script(default_opset=op)
def weights(count, target):
    """float32 [target, count]: what each of `count` pixels gives to each of `target`; both int64 [1]."""
    zero = op.Cast(op.Constant(value_float=0.0), to=DOUBLE)
    half = op.Cast(op.Constant(value_float=0.5), to=DOUBLE)
    one = op.Cast(op.Constant(value_float=1.0), to=DOUBLE)
    lobes = op.Cast(op.Constant(value_float=LOBES), to=DOUBLE)
    pi = op.Cast(op.Constant(value_float=math.pi), to=DOUBLE)
    source = op.Cast(count, to=DOUBLE)
    result = op.Cast(target, to=DOUBLE)
    scale = source / result
    centre = (op.Range(zero, op.Squeeze(result), one) + half) * scale
    place = op.Range(zero, op.Squeeze(source), one) + half
    away = (
        op.Unsqueeze(place, op.Constant(value_ints=[0])) - op.Unsqueeze(centre, op.Constant(value_ints=[1]))
    ) / op.Max(scale, one)
    angle = away * pi
    middle = op.Equal(away, zero)
    safe = op.Where(middle, one, angle)
    wave = op.Where(middle, one, op.Sin(safe) / safe * op.Sin(safe / lobes) / (safe / lobes))
    inside = op.Where(op.Abs(away) < lobes, wave, zero)
    share = inside / op.ReduceSum(inside, op.Constant(value_ints=[1]))
    return op.Cast(share, to=1)


@script(default_opset=op)
def whole_levels(levels):
    """float32 to whole levels in 0..255."""
    rounded = op.Floor(levels + op.Constant(value_float=0.5))
    return op.Clip(rounded, op.Constant(value_float=0.0), op.Constant(value_float=255.0))


@script(default_opset=op)
def lanczos(image: UINT8["H", "W", 3], size: INT64[2]) -> UINT8["h", "w", 3]:
    zero = op.Constant(value_ints=[0])
    one = op.Constant(value_ints=[1])
    two = op.Constant(value_ints=[2])
    shape = op.Shape(image)
    across = weights(op.Slice(shape, one, two), op.Slice(size, one, two))
    down = weights(op.Slice(shape, zero, one), op.Slice(size, zero, one))
    planes = op.Cast(op.Transpose(image, perm=[2, 0, 1]), to=1)
    # work of the two passes in either order, a pass costing its samples times its taps
    unit = op.Constant(value_float=1.0)
    sides = op.Cast(op.Slice(shape, zero, two), to=1)
    goal = op.Cast(size, to=1)
    reach = op.Ceil(op.Constant(value_float=LOBES) * op.Max(sides / goal, unit))
    taps = reach + reach + unit
    many = op.ReduceProd(goal)
    across_first = op.Slice(sides, zero, one) * op.Slice(goal, one, two) * op.Slice(taps, one, two)
    across_first = across_first + many * op.Slice(taps, zero, one)
    down_first = op.Slice(sides, one, two) * op.Slice(goal, zero, one) * op.Slice(taps, zero, one)
    down_first = down_first + many * op.Slice(taps, one, two)
    worthwhile = down_first < across_first * op.Constant(value_float=DOWN_FIRST)
    turned = op.Transpose(across, perm=[1, 0])
    if op.Squeeze(op.And(worthwhile, op.Slice(goal, zero, one) < op.Slice(sides, zero, one))):
        levels = whole_levels(op.MatMul(whole_levels(op.MatMul(down, planes)), turned))
    else:
        levels = whole_levels(op.MatMul(down, whole_levels(op.MatMul(planes, turned))))
    small = op.Transpose(op.Cast(levels, to=2), perm=[1, 2, 0])
    return small
