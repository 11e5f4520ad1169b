"""What the network that learns is told of its masks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional


def mask_loss(logits: Tensor, alphas: Tensor, overlap: float) -> Tensor:
    """Cross-entropy, heavier near edges, and where there is a subject `overlap` times soft intersection over union; both [B, 1, h, w].

    Source of the weighting: Wei et al. 2020, "F3Net: Fusion, Feedback and Focus for Salient Object Detection", AAAI.
    """
    near = functional.avg_pool2d(alphas, 5, stride=1, padding=2, count_include_pad=False)
    entropy = functional.binary_cross_entropy_with_logits(logits, alphas, weight=1 + 3 * (near - alphas).abs())
    if not overlap:
        return entropy
    guess = torch.sigmoid(logits)
    both = (guess * alphas).sum((1, 2, 3))
    either = (guess + alphas - guess * alphas).sum((1, 2, 3))
    return entropy + overlap * ((1 - (both + 4) / (either + 4)) * alphas.amax((1, 2, 3))).mean()


def stays(logits: Tensor, before: Tensor) -> Tensor:
    """How far logits are from those before, of the same shape: cross-entropy less what even the same logits have."""
    target = torch.sigmoid(before)
    entropy = functional.binary_cross_entropy_with_logits
    return entropy(logits, target) - entropy(before, target)


def depth_loss(logits: Mapping[int, Tensor], alphas: Tensor, overlap: float) -> Tensor:
    """Of the masks at depth: all of it on the finest, a quarter of the cross-entropy on each other. logits: by stage, [B, 1, h, w]; alphas:
    [B, 1, H, W], at half the size of the photo."""
    finest = min(logits)
    loss = mask_loss(logits[finest], functional.avg_pool2d(alphas, 2), overlap)
    for stage, guess in logits.items():
        if stage != finest:
            target = functional.avg_pool2d(alphas, alphas.shape[-1] // guess.shape[-1])
            loss = loss + 0.25 * functional.binary_cross_entropy_with_logits(guess, target)
    return loss


def decoder_loss(fine: Tensor, logits: Mapping[int, Tensor], alphas: Tensor, overlap: float) -> Tensor:
    """Of the masks at depth and the alpha's own logits, which are halved: as a sum of two they are twice as hard as they need be."""
    return depth_loss(logits, alphas, overlap) + mask_loss(fine / 2, alphas, overlap)
