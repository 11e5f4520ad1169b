"""finish: the network's prediction becomes rows of the photo's alpha.

    prediction  float32 [1, C, h, w]
    box         int64 [4], top, left, height and width of the photo within the prediction (from prepare)
    size        int64 [2], height and width of the photo
    rows        int64 [2], first row and one past the last row of the strip to make
    activation  int64 scalar: 0 none, 1 sigmoid, 2 argmax over channels
    classes     int64 [K], channels that are subject under argmax
    resample    int64 scalar: 0 F.interpolate bilinear, 1 Pillow bilinear, 2 Pillow bicubic (a = -0.5),
                3 F.interpolate bilinear with align_corners
    rescale     int64 scalar: 0 none, 1 min-max of the prediction before resizing, 2 by `span`
    span        float32 [2], lowest and highest value of the whole resized prediction, used under rescale 2
    truncate    bool: cut to whole levels; else round
 -> alpha       uint8 [rows, W]
    reached     float32 [2], lowest and highest value within these rows before rescaling by `span`

A prediction whose range is below 0.05 has no subject: its alpha is empty, never stretched.

The width is resized by ONNX `Resize`. Rows of an enlarged photo are weighted sums of two (bilinear) or four (bicubic) rows;
only the prediction's rows that the strip reads are resized, so that time and memory follow the strip; a photo that is not higher than the
prediction is resized whole and sliced.
"""

# mypy: ignore-errors

from onnxscript import BOOL, FLOAT, INT64, UINT8, script
from onnxscript import opset20 as op

FLAT = 0.05


@script(default_opset=op)
def resized(plane, sizes, resample):
    """float32 [1, 1, h, w] at the size that `sizes`, int64 [4], names. resample: as above."""
    if resample == op.Constant(value_int=0):
        result = op.Resize(plane, None, None, sizes, coordinate_transformation_mode="half_pixel", mode="linear")
    else:
        if resample == op.Constant(value_int=3):
            result = op.Resize(plane, None, None, sizes, coordinate_transformation_mode="align_corners", mode="linear")
        else:
            if resample == op.Constant(value_int=1):
                result = op.Resize(
                    plane,
                    None,
                    None,
                    sizes,
                    antialias=1,
                    coordinate_transformation_mode="half_pixel",
                    exclude_outside=1,
                    mode="linear",
                )
            else:
                result = op.Resize(
                    plane,
                    None,
                    None,
                    sizes,
                    antialias=1,
                    coordinate_transformation_mode="half_pixel",
                    exclude_outside=1,
                    mode="cubic",
                    cubic_coeff_a=-0.5,
                )
    return result


@script(default_opset=op)
def finish(
    prediction: FLOAT[1, "C", "h", "w"],
    box: INT64[4],
    size: INT64[2],
    rows: INT64[2],
    activation: INT64,
    classes: INT64["K"],
    resample: INT64,
    rescale: INT64,
    span: FLOAT[2],
    truncate: BOOL,
) -> tuple[UINT8["R", "W"], FLOAT[2]]:
    zero = op.Constant(value_ints=[0])
    one = op.Constant(value_ints=[1])
    two = op.Constant(value_ints=[2])
    nothing = op.Constant(value_float=0.0)
    half = op.Constant(value_float=0.5)
    step = op.Constant(value_float=1.0)
    four = op.Constant(value_ints=[4])
    axes = op.Constant(value_ints=[2, 3])
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
    if rescale == op.Constant(value_int=1):
        if spread < op.Constant(value_float=FLAT):
            small = probability * nothing
        else:
            small = (probability - lowest) / spread
    else:
        small = op.Identity(probability)

    height = op.Slice(size, zero, one)
    width = op.Slice(size, one, two)
    source_height = op.Slice(extent, zero, one)
    first = op.Slice(rows, zero, one)
    last = op.Slice(rows, one, two)
    # the rows of the prediction that the strip reads: all of them where the photo is not higher
    end = source_height - one
    ratio = op.Cast(source_height, to=1) / op.Cast(height, to=1)
    row = op.Range(op.Squeeze(op.Cast(first, to=1)), op.Squeeze(op.Cast(last, to=1)), step)
    corners = op.Equal(resample, op.Constant(value_int=3))
    gaps = op.Cast(end, to=1) / op.Cast(height - one, to=1)
    centre = op.Where(corners, row * gaps, (row + half) * ratio - half)
    above = op.Floor(centre)
    nearest = op.Cast(above, to=7)
    taller = height > source_height
    begin = op.Where(taller, op.Max(op.ReduceMin(nearest) - one, zero), zero)
    until = op.Where(taller, op.Min(op.ReduceMax(nearest) + two, end), end) + one
    begin = op.Reshape(begin, one)
    until = op.Reshape(until, one)
    small = op.Slice(small, begin, until, two)
    wide_sizes = op.Concat(one, one, until - begin, width, axis=0)
    wide = resized(small, wide_sizes, resample)

    if op.Squeeze(height) <= op.Squeeze(source_height):
        whole = resized(wide, op.Concat(one, one, size, axis=0), resample)
        strip = op.Squeeze(op.Slice(whole, first, last, two), op.Constant(value_ints=[0, 1]))
    else:
        plane = op.Squeeze(wide, op.Constant(value_ints=[0, 1]))
        down = centre - above
        if resample == op.Constant(value_int=2):
            # Keys' cubic with a = -0.5 at distances 1 + t, t, 1 - t, 2 - t; taps outside the map count nothing
            up = step - down
            w0 = nothing - half * down * up * up
            w1 = (op.Constant(value_float=1.5) * down - op.Constant(value_float=2.5)) * down * down + step
            w2 = (op.Constant(value_float=1.5) * up - op.Constant(value_float=2.5)) * up * up + step
            w3 = nothing - half * up * down * down
            w0 = op.Where(nearest - one < zero, nothing, w0)
            w1 = op.Where(nearest < zero, nothing, w1)
            w2 = op.Where(nearest + one > end, nothing, w2)
            w3 = op.Where(nearest + two > end, nothing, w3)
            total = w0 + w1 + w2 + w3
            tap0 = op.Gather(plane, op.Clip(nearest - one, op.Squeeze(zero), op.Squeeze(end)) - begin, axis=0)
            tap1 = op.Gather(plane, op.Clip(nearest, op.Squeeze(zero), op.Squeeze(end)) - begin, axis=0)
            tap2 = op.Gather(plane, op.Clip(nearest + one, op.Squeeze(zero), op.Squeeze(end)) - begin, axis=0)
            tap3 = op.Gather(plane, op.Clip(nearest + two, op.Squeeze(zero), op.Squeeze(end)) - begin, axis=0)
            outer = op.Unsqueeze(w0 / total, one) * tap0 + op.Unsqueeze(w3 / total, one) * tap3
            strip = op.Unsqueeze(w1 / total, one) * tap1 + op.Unsqueeze(w2 / total, one) * tap2 + outer
        else:
            tap1 = op.Gather(plane, op.Clip(nearest, op.Squeeze(zero), op.Squeeze(end)) - begin, axis=0)
            tap2 = op.Gather(plane, op.Clip(nearest + one, op.Squeeze(zero), op.Squeeze(end)) - begin, axis=0)
            strip = tap1 + op.Unsqueeze(down, one) * (tap2 - tap1)

    reached_low = op.ReduceMin(strip, keepdims=0)
    reached_high = op.ReduceMax(strip, keepdims=0)
    reached = op.Concat(op.Unsqueeze(reached_low, zero), op.Unsqueeze(reached_high, zero), axis=0)
    if rescale == op.Constant(value_int=2):
        low = op.Slice(span, zero, one)
        reach = op.Slice(span, one, two) - low
        if op.Squeeze(reach) < op.Constant(value_float=FLAT):
            final = strip * nothing
        else:
            final = (strip - low) / reach
    else:
        final = op.Identity(strip)

    # half is added only to round: a graph of its own for either would repeat all of the above
    lift = op.Where(truncate, nothing, half)
    level = op.Floor(op.Clip(final, nothing, step) * op.Constant(value_float=255.0) + lift)
    alpha = op.Cast(level, to=2)
    return alpha, reached
