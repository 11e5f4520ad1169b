"""plain: rows of photo and alpha become straight-alpha RGBA with the photo's colours.

   image  uint8 [R, W, 3]
   alpha  uint8 [R, W]
-> rgba   uint8 [R, W, 4], colour zero where alpha is zero
"""

# mypy: ignore-errors

from onnxscript import UINT8, script
from onnxscript import opset20 as op


@script(default_opset=op)
def plain(image: UINT8["R", "W", 3], alpha: UINT8["R", "W"]) -> UINT8["R", "W", 4]:
    nothing = op.Cast(op.Constant(value_int=0), to=2)
    everything = op.Cast(op.Constant(value_int=255), to=2)
    planes = op.Transpose(op.Reshape(image, op.Constant(value_ints=[-1, 3])), perm=[1, 0])
    levels = op.Reshape(alpha, op.Constant(value_ints=[1, -1]))
    shown = op.BitwiseAnd(planes, op.Where(levels > nothing, everything, nothing))
    rgba = op.Transpose(op.Concat(shown, levels, axis=0), perm=[1, 0])
    return op.Reshape(rgba, op.Concat(op.Shape(alpha), op.Constant(value_ints=[4]), axis=0))
