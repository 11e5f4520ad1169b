"""Networks in the form in which they are published as ONNX, from reference weights: what a tool that loads such files runs.

python -m benchmarks.published NAME CHECKPOINT FILE

U2-Net's and IS-Net's published graphs are plain exports of the authors' PyTorch code. BiRefNet's were exported before ONNX had
an operator for its deformable convolution, which they spell out: the map is padded, four corners of every tap are gathered
(GatherND) and weighted, and an ordinary convolution whose stride is its kernel's size reads the samples laid out as blocks.
Opset 17, input `input_image`, fixed size. The file's result is compared with the same weights in PyTorch.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor
from torch.nn import functional

from liftout.models.catalog import find
from liftout.networks import aspp, load_network, read_checkpoint

OPSET = 17
BAR = 1e-3
"""Largest difference of a probability from PyTorch's."""


def main() -> int:
    """Write one file."""
    if len(sys.argv) != 4:
        print("published: give NAME CHECKPOINT FILE", file=sys.stderr)
        return 2
    name, checkpoint, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    difference = export(name, checkpoint, target)
    print(f"{name}: {target.stat().st_size / 1e6:.0f} MB, largest difference from PyTorch {difference:.1e}")
    if not difference <= BAR:
        target.unlink()
        print(f"published: {name} differs from PyTorch by {difference:.1e}; the file was removed", file=sys.stderr)
        return 1
    return 0


def export(name: str, checkpoint: Path, target: Path) -> float:
    """Write the graph. Returns the largest difference of its probabilities from PyTorch's, on noise."""
    spec = find(name)
    network = load_network(spec.architecture, read_checkpoint(checkpoint), patch_order=spec.patch_order or "cgw").eval()
    tensor = torch.randn(1, 3, *spec.input.size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = network(tensor).numpy()
    spelled_out, aspp.deformable_conv2d = aspp.deformable_conv2d, gathered_conv2d
    try:
        with torch.no_grad():
            torch.onnx.export(
                network,
                (tensor,),
                target,
                input_names=["input_image"],
                output_names=["output_image"],
                opset_version=OPSET,
                dynamo=False,
            )
    finally:
        aspp.deformable_conv2d = spelled_out
    (made,) = onnxruntime.InferenceSession(target).run(None, {"input_image": tensor.numpy()})
    if spec.output.activation != "none":
        made, wanted = (1 / (1 + np.exp(-logits)) for logits in (made, wanted))
    return float(np.abs(made - wanted).max())


def gathered_conv2d(x: Tensor, offset: Tensor, modulator: Tensor, weight: Tensor) -> Tensor:
    """`liftout.networks.deformable.deformable_conv2d` with gathers; one photo."""
    _, channels, height, width = x.shape
    kernel = weight.shape[2]
    taps, border = kernel * kernel, max(1, kernel // 2)
    steps = torch.arange(kernel) - kernel // 2 + border
    rows = steps.repeat_interleave(kernel).view(taps, 1, 1) + torch.arange(height).view(1, height, 1)
    columns = steps.repeat(kernel).view(taps, 1, 1) + torch.arange(width).view(1, 1, width)
    row = offset.view(taps, 2, height, width)[:, 0] + rows
    column = offset.view(taps, 2, height, width)[:, 1] + columns
    top, left = row.floor(), column.floor()
    padded = functional.pad(x, (border,) * 4)
    last_row, last_column = padded.shape[2] - 1, padded.shape[3] - 1
    colours_last = padded.permute(0, 2, 3, 1)

    def corner(down: int, right: int) -> Tensor:
        at = torch.stack(((top + down).clamp(0, last_row), (left + right).clamp(0, last_column)), dim=-1).to(
            torch.int64
        )
        found = _Gather.apply(colours_last, at.reshape(1, -1, 2))
        share_down = row - top if down else 1 - (row - top)
        share_right = column - left if right else 1 - (column - left)
        return found.transpose(1, 2).reshape(1, channels, taps, height, width) * (share_down * share_right)

    sampled = corner(0, 0) + corner(1, 1) + corner(1, 0) + corner(0, 1)
    sampled = sampled * modulator.view(1, 1, taps, height, width)
    blocks = sampled.view(1, channels, kernel, kernel, height, width).permute(0, 1, 4, 2, 5, 3)
    return functional.conv2d(blocks.reshape(1, channels, height * kernel, width * kernel), weight, stride=kernel)


class _Gather(torch.autograd.Function):
    """[1, H, W, C] at int64 [1, points, 2] (row, column) -> [1, points, C]: one GatherND."""

    @staticmethod
    def forward(_: Any, x: Tensor, at: Tensor) -> Tensor:
        return x[0, at[0, :, 0], at[0, :, 1]][None]

    @staticmethod
    def symbolic(g: Any, x: Any, at: Any) -> Any:
        return g.op("GatherND", x, at, batch_dims_i=1)


if __name__ == "__main__":
    sys.exit(main())
