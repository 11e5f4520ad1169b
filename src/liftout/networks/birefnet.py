"""BiRefNet: a Swin backbone at two scales and a decoder that sees the image itself at every level.

Source: Zheng et al. 2024, doi:10.26599/AIR.2024.9150038. This is the configuration that every published checkpoint has:
two input scales side by side, context from the three finer maps, deformable decoder blocks, gates from the gradient head.
Heads that only training reads (`conv_ms_spvn_*`, `gdt_convs_pred_*`) are in the checkpoints and so in the module.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from liftout.networks.aspp import DecoderBlock
from liftout.networks.swin import SwinSize, SwinTransformer

PatchOrder = Literal["cgw", "wgc"]
"""Channel order of the tiles a photo is split into: (colour, tile row, tile column), or, in checkpoints trained with the
authors' code before November 2024, (tile column, tile row, colour). Both load alike, only the right one works."""

_INPUT_CHANNELS = 64
_GATE_CHANNELS = 16
_REDUCTION = 32


class BiRefNet(nn.Module):
    """Logits of the foreground.

    input float32 [N, 3, h, w], h and w multiples of 32; returns [N, 1, h, w].
    sigmoid: end in a probability; the published checkpoints end in logits.
    """

    def __init__(self, size: SwinSize, *, patch_order: PatchOrder = "cgw", sigmoid: bool = False) -> None:
        super().__init__()
        self.patch_order = patch_order
        self.sigmoid = sigmoid
        self.bb = SwinTransformer(size)
        x1, x2, x3, x4 = (2 * size.channels * 2**i for i in range(4))
        self.squeeze_module = nn.Sequential(DecoderBlock(x1 + x2 + x3 + x4, x4))
        self.decoder = _Decoder(x1, x2, x3, x4)

    def forward(self, x: Tensor) -> Tensor:
        full = self.bb(x)
        half = self.bb(_resize(x, (x.shape[2] // 2, x.shape[3] // 2)))
        maps = [torch.cat((f, _resize(h, f.shape[2:])), dim=1) for f, h in zip(full, half, strict=True)]
        context = [_resize(finer, maps[3].shape[2:]) for finer in maps[:3]]
        maps[3] = self.squeeze_module(torch.cat((*context, maps[3]), dim=1))
        tiles = [image_tiles(x, (m.shape[2], m.shape[3]), self.patch_order) for m in maps]
        logits: Tensor = self.decoder(x, maps, tiles)
        return torch.sigmoid(logits) if self.sigmoid else logits


class _Decoder(nn.Module):
    """From the coarsest map to the photo's size; each level is joined by the photo, cut into tiles of the level's size."""

    def __init__(self, x1: int, x2: int, x3: int, x4: int) -> None:
        super().__init__()
        photo5, photo4, photo3, photo2, photo1 = x4 // 8, x4 // 8, x3 // 8, x2 // 8, x1 // 8
        self.ipt_blk5 = _PhotoBranch(3 * _REDUCTION**2, photo5)
        self.ipt_blk4 = _PhotoBranch(3 * (_REDUCTION // 2) ** 2, photo4)
        self.ipt_blk3 = _PhotoBranch(3 * (_REDUCTION // 4) ** 2, photo3)
        self.ipt_blk2 = _PhotoBranch(3 * (_REDUCTION // 8) ** 2, photo2)
        self.ipt_blk1 = _PhotoBranch(3, photo1)

        self.decoder_block4 = DecoderBlock(x4 + photo5, x3)
        self.decoder_block3 = DecoderBlock(x3 + photo4, x2)
        self.decoder_block2 = DecoderBlock(x2 + photo3, x1)
        self.decoder_block1 = DecoderBlock(x1 + photo2, x1 // 2)
        self.conv_out1 = nn.Sequential(nn.Conv2d(x1 // 2 + photo1, 1, 1))

        self.lateral_block4 = _Lateral(x3)
        self.lateral_block3 = _Lateral(x2)
        self.lateral_block2 = _Lateral(x1)

        widths = {4: x3, 3: x2, 2: x1}
        for level, width in widths.items():
            self.add_module(f"conv_ms_spvn_{level}", nn.Conv2d(width, 1, 1))
        for level, width in widths.items():
            gate = nn.Sequential(
                nn.Conv2d(width, _GATE_CHANNELS, 3, padding=1), nn.BatchNorm2d(_GATE_CHANNELS), nn.ReLU()
            )
            self.add_module(f"gdt_convs_{level}", gate)
        for level in widths:
            self.add_module(f"gdt_convs_pred_{level}", nn.Sequential(nn.Conv2d(_GATE_CHANNELS, 1, 1)))
        for level in widths:
            self.add_module(f"gdt_convs_attn_{level}", nn.Sequential(nn.Conv2d(_GATE_CHANNELS, 1, 1)))

    def forward(self, photo: Tensor, maps: list[Tensor], tiles: list[Tensor]) -> Tensor:
        x1, x2, x3, x4 = maps
        p = self.decoder_block4(torch.cat((x4, self.ipt_blk5(tiles[3])), dim=1))
        p = _resize(self._gated(p, 4), x3.shape[2:]) + self.lateral_block4(x3)
        p = self.decoder_block3(torch.cat((p, self.ipt_blk4(tiles[2])), dim=1))
        p = _resize(self._gated(p, 3), x2.shape[2:]) + self.lateral_block3(x2)
        p = self.decoder_block2(torch.cat((p, self.ipt_blk3(tiles[1])), dim=1))
        p = _resize(self._gated(p, 2), x1.shape[2:]) + self.lateral_block2(x1)
        p = self.decoder_block1(torch.cat((p, self.ipt_blk2(tiles[0])), dim=1))
        p = _resize(p, photo.shape[2:])
        y: Tensor = self.conv_out1(torch.cat((p, self.ipt_blk1(photo)), dim=1))
        return y

    def _gated(self, p: Tensor, level: int) -> Tensor:
        gradient = self.get_submodule(f"gdt_convs_{level}")(p)
        return p * torch.sigmoid(self.get_submodule(f"gdt_convs_attn_{level}")(gradient))


class _PhotoBranch(nn.Module):
    """Two 3x3 convolutions with nothing between them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, _INPUT_CHANNELS, 3, padding=1)
        self.conv_out = nn.Conv2d(_INPUT_CHANNELS, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv_out(self.conv1(x))
        return y


class _Lateral(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


def image_tiles(x: Tensor, size: tuple[int, int], order: PatchOrder) -> Tensor:
    """The photo cut into tiles of `size`, stacked as channels: [N, 3, h, w] -> [N, 3*rows*columns, *size].

    x: the photo. order: of the channels of the tiles, as the checkpoint was trained with.
    """
    n, colours, height, width = x.shape
    rows, columns = height // size[0], width // size[1]
    grid = x.view(n, colours, rows, size[0], columns, size[1])
    tiles = grid.permute(0, 1, 2, 4, 3, 5) if order == "cgw" else grid.permute(0, 4, 2, 1, 3, 5)
    return tiles.reshape(n, colours * rows * columns, *size)


def _resize(x: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Bilinear with the corner pixels in place, as the authors resize everywhere."""
    return functional.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)
