"""guide: how the photo's colours explain the prediction, cell by cell; made once for a photo.

    prediction  float32 [1, C, h, w]
    box         int64 [4], top, left, height and width of the photo within the prediction (from prepare)
    image       uint8 [H, W, 3], the whole photo in sRGB
    activation  int64 scalar: 0 none, 1 sigmoid, 2 argmax over channels
    classes     int64 [K], channels that are subject under argmax
    rescale     bool: min-max of the prediction
 -> model       float32 [4, h, w] of the photo's part of the prediction: three slopes (alpha per colour in [0, 1]) and an offset
    soft        bool [h, w], cells that `refine` computes; the others are flat

A guided filter (He, Sun and Tang 2013, doi:10.1109/TPAMI.2012.213) in its fast form (He and Sun 2015, arXiv:1505.00996): in
a window of 3 x 3 cells alpha is a linear function of colour, slopes a = (cov(I) + eps)^-1 cov(I, alpha), averaged over the
windows that hold a cell; `refine` brings the slopes to the photo's pixels. Both means are weighted 1 2 1. Instead of the
averaged offset the offset is p - a g, with p the cell's prediction and g its colour: so the refined alpha, reduced
again, is the prediction. That keeps thin parts whole, and it halves the loss of a plain guided filter on hair.

A cell whose window varies by less than two grey levels, or only within FAINT of 0 or of 1, takes no part: there the slopes
are 0 and the offset is the prediction.
"""

# mypy: ignore-errors

from onnxscript import BOOL, FLOAT, INT64, UINT8, script
from onnxscript import opset20 as op

FLAT = 0.05
EPSILON = 1e-5
VARIES = 2 / 255
FAINT = 0.02
DENSE = 3.0
"""Up to this many pixels across a cell, each of them is read for its colour; beyond it, at most six across the tent."""
TENT = [0.0625, 0.125, 0.0625, 0.125, 0.25, 0.125, 0.0625, 0.125, 0.0625]


@script(default_opset=op)
def guide(
    prediction: FLOAT[1, "C", "h", "w"],
    box: INT64[4],
    image: UINT8["H", "W", 3],
    activation: INT64,
    classes: INT64["K"],
    rescale: BOOL,
) -> tuple[FLOAT[4, "p", "q"], BOOL["p", "q"]]:
    zero = op.Constant(value_ints=[0])
    one = op.Constant(value_ints=[1])
    two = op.Constant(value_ints=[2])
    three = op.Constant(value_ints=[3])
    four = op.Constant(value_ints=[4])
    flat = op.Constant(value_ints=[-1])
    three_planes = op.Constant(value_ints=[3, 1])
    none = op.Constant(value_int=0)
    by = op.Constant(value_int=1)
    first_plane = op.Constant(value_int=0)
    middle = op.Constant(value_int=1)
    last_plane = op.Constant(value_int=2)
    nothing = op.Constant(value_float=0.0)
    half = op.Constant(value_float=0.5)
    step = op.Constant(value_float=1.0)
    two_steps = op.Constant(value_float=2.0)
    dense = op.Constant(value_float=DENSE)
    epsilon = op.Constant(value_float=EPSILON)
    axes = op.Constant(value_ints=[2, 3])
    tent = op.Constant(value_floats=TENT)

    corner = op.Slice(box, zero, two)
    extent = op.Slice(box, two, four)
    inside = op.Slice(prediction, corner, corner + extent, axes)
    if activation == op.Constant(value_int=1):
        probability = op.Sigmoid(op.Slice(inside, zero, one, one))
    else:
        if activation == op.Constant(value_int=2):
            winner = op.ArgMax(inside, axis=1, keepdims=1)
            subject = op.Equal(winner, op.Reshape(classes, op.Constant(value_ints=[1, -1, 1, 1])))
            probability = op.ReduceMax(op.Cast(subject, to=1), one, keepdims=1)
        else:
            probability = op.Slice(inside, zero, one, one)
    lowest = op.ReduceMin(probability, keepdims=0)
    spread = op.ReduceMax(probability, keepdims=0) - lowest
    if rescale:
        if spread < op.Constant(value_float=FLAT):
            small = probability * nothing
        else:
            small = (probability - lowest) / spread
    else:
        small = op.Identity(probability)

    clipped = op.Clip(small, op.Constant(value_float=FAINT), op.Constant(value_float=1.0 - FAINT))
    reach = op.MaxPool(clipped, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    reach = reach + op.MaxPool(op.Neg(clipped), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    varies = reach > op.Constant(value_float=VARIES)
    beside = op.MaxPool(op.Cast(varies, to=1), kernel_shape=[3, 3], pads=[1, 1, 1, 1]) > nothing
    soft = op.Squeeze(beside, op.Constant(value_ints=[0, 1]))
    level = op.Reshape(small, flat)

    height = op.Slice(extent, zero, one)
    width = op.Slice(extent, one, two)
    photo_height = op.Shape(image, start=0, end=1)
    photo_width = op.Shape(image, start=1, end=2)
    pixels = op.Reshape(image, op.Constant(value_ints=[-1, 3]))
    fitted = op.NonZero(op.Squeeze(varies, op.Constant(value_ints=[0, 1])))
    fitted_y = op.Gather(fitted, first_plane)
    fitted_x = op.Gather(fitted, middle)
    fitted_at = fitted_y * width + fitted_x
    used = op.NonZero(soft)
    used_y = op.Gather(used, first_plane)
    used_x = op.Gather(used, middle)
    used_at = used_y * width + used_x

    # the colour of a cell: Pillow's antialiased bilinear, a tent of two cells, read at every `stride`-th pixel of large photos
    scale_down = op.Cast(photo_height, to=1) / op.Cast(height, to=1)
    scale_across = op.Cast(photo_width, to=1) / op.Cast(width, to=1)
    reach_down = op.Max(scale_down, step)
    reach_across = op.Max(scale_across, step)
    stride_down = op.Ceil(reach_down / dense)
    stride_across = op.Ceil(reach_across / dense)
    centre_y = (op.Cast(used_y, to=1) + half) * scale_down - half
    centre_x = (op.Cast(used_x, to=1) + half) * scale_across - half
    first_y = op.Floor(centre_y - reach_down)
    first_x = op.Floor(centre_x - reach_across)
    taps_down = op.Squeeze(op.Cast(op.Ceil(two_steps * reach_down / stride_down) + step, to=7))
    taps_across = op.Squeeze(op.Cast(op.Ceil(two_steps * reach_across / stride_across) + step, to=7))
    # what each row and each column of taps reads of each cell, and how much it counts
    tap_y = op.Unsqueeze(op.Cast(op.Range(none, taps_down, by), to=1), one) * stride_down + first_y
    tap_x = op.Unsqueeze(op.Cast(op.Range(none, taps_across, by), to=1), one) * stride_across + first_x
    near_y = op.Min(op.Max(tap_y, nothing), op.Cast(photo_height - one, to=1))
    near_x = op.Min(op.Max(tap_x, nothing), op.Cast(photo_width - one, to=1))
    share_y = op.Max(step - op.Abs(tap_y - centre_y) / reach_down, nothing)
    share_x = op.Max(step - op.Abs(tap_x - centre_x) / reach_across, nothing)
    share_y = op.Where(op.Equal(tap_y, near_y), share_y, nothing)
    share_x = op.Where(op.Equal(tap_x, near_x), share_x, nothing)
    line = op.Cast(near_y, to=7) * photo_width
    place = op.Cast(near_x, to=7)
    trio = op.Concat(three, op.Shape(used_at), axis=0)
    seen = op.Expand(nothing, trio)
    for k in range(taps_down * taps_across):
        down = k / taps_across
        across = k - down * taps_across
        tap = op.Gather(pixels, op.Gather(line, down) + op.Gather(place, across))
        weight = op.Gather(share_y, down) * op.Gather(share_x, across)
        seen = seen + op.Cast(op.Transpose(tap, perm=[1, 0]), to=1) * weight
    weights = op.ReduceSum(share_y, zero, keepdims=0) * op.ReduceSum(share_x, zero, keepdims=0)
    colour = seen / (weights * op.Constant(value_float=255.0))
    blank = op.Expand(nothing, op.Concat(three, op.Shape(level), axis=0))
    spots = op.Expand(op.Unsqueeze(used_at, zero), three_planes)
    guides = op.ScatterElements(blank, spots, colour, axis=1)

    # moments about the centre cell: small numbers, so that float32 keeps their digits
    fits = op.Expand(op.Unsqueeze(fitted_at, zero), three_planes)
    here = op.GatherElements(guides, fits, axis=1)
    here_level = op.GatherElements(level, fitted_at, axis=0)
    # (onnxscript 0.7 mixes up the variables of a loop that carries several: one tensor carries them all)
    turn = op.Constant(value_ints=[1, 2, 0])
    sums = op.Expand(nothing, op.Concat(op.Constant(value_ints=[13]), op.Shape(fitted_at), axis=0))
    for j in range(9):
        n_y = op.Clip(fitted_y + j / 3 - 1, op.Squeeze(zero), op.Squeeze(height - one))
        n_x = op.Clip(fitted_x + (j - j / 3 * 3) - 1, op.Squeeze(zero), op.Squeeze(width - one))
        n_at = n_y * width + n_x
        away = op.GatherElements(guides, op.Expand(op.Unsqueeze(n_at, zero), three_planes), axis=1) - here
        away_level = op.Unsqueeze(op.GatherElements(level, n_at, axis=0) - here_level, zero)
        shared = away * op.Gather(tent, j)
        products = op.Concat(shared * away, shared * op.Gather(away, turn), shared * away_level, axis=0)
        sums = sums + op.Concat(shared, away_level * op.Gather(tent, j), products, axis=0)
    mean, mean_level, square, cross, product = op.Split(sums, op.Constant(value_ints=[3, 1, 3, 3, 3]), axis=0)
    square = square - mean * mean + epsilon
    cross = cross - mean * op.Gather(mean, turn)  # rg, gb, br
    product = product - mean * mean_level

    # L D L^T of the symmetric 3 x 3 matrix; each pivot is at least epsilon but for rounding
    rr = op.Gather(square, first_plane)
    gg = op.Gather(square, middle)
    bb = op.Gather(square, last_plane)
    rg = op.Gather(cross, first_plane)
    gb = op.Gather(cross, middle)
    br = op.Gather(cross, last_plane)
    r = op.Gather(product, first_plane)
    g = op.Gather(product, middle)
    b = op.Gather(product, last_plane)
    l_g = rg / rr
    l_b = br / rr
    pivot_g = op.Max(gg - l_g * rg, epsilon)
    l_bg = (gb - l_b * rg) / pivot_g
    pivot_b = op.Max(bb - l_b * br - l_bg * l_bg * pivot_g, epsilon)
    e_g = g - l_g * r
    e_b = b - l_b * r - l_bg * e_g
    slope_b = e_b / pivot_b
    slope_g = e_g / pivot_g - l_bg * slope_b
    slope_r = r / rr - l_g * slope_g - l_b * slope_b
    slope = op.Concat(op.Unsqueeze(slope_r, zero), op.Unsqueeze(slope_g, zero), op.Unsqueeze(slope_b, zero), axis=0)
    slopes = op.ScatterElements(blank, fits, slope, axis=1)

    average = colour * nothing
    for j in range(9):
        m_y = op.Clip(used_y + j / 3 - 1, op.Squeeze(zero), op.Squeeze(height - one))
        m_x = op.Clip(used_x + (j - j / 3 * 3) - 1, op.Squeeze(zero), op.Squeeze(width - one))
        m_at = op.Expand(op.Unsqueeze(m_y * width + m_x, zero), three_planes)
        average = average + op.GatherElements(slopes, m_at, axis=1) * op.Gather(tent, j)
    explained = average * colour
    explained = op.Gather(explained, first_plane) + op.Gather(explained, middle) + op.Gather(explained, last_plane)
    offset = op.ScatterElements(level, used_at, op.GatherElements(level, used_at, axis=0) - explained, axis=0)
    averages = op.ScatterElements(blank, spots, average, axis=1)
    table = op.Concat(averages, op.Unsqueeze(offset, zero), axis=0)
    model = op.Reshape(table, op.Concat(four, extent, axis=0))
    return model, soft
