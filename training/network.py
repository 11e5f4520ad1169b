"""How the built-in network starts from U2NetP; the network itself is `liftout.tuning.network`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from liftout.tuning.network import DEPTHS, DILATED, SIDES, WIDTHS, PocketNetwork, Stage, Unit


def from_u2netp(checkpoint: Path, widths: Mapping[int, int] = WIDTHS) -> PocketNetwork:
    """The network as U2NetP has it: its masks of stages 2d to 6. checkpoint: the authors' u2netp.pth. The new channels are
    random; seed torch before."""
    state = torch.load(checkpoint, map_location="cpu")
    network = PocketNetwork(widths)
    with torch.no_grad():
        for name in ("stage1", "stage2"):
            _take_stage(network.encoder.get_submodule(name), _read_stage(state, name))
        for number in SIDES:
            for name in (f"stage{number}", f"stage{number}d")[: 1 if number == SIDES[-1] else 2]:
                _take_stage(network.depth.get_submodule(name), _read_stage(state, name))
            side = network.depth.get_submodule(f"side{number}")
            side.weight.copy_(state[f"side{number}.weight"])  # type: ignore[operator]
            side.bias.copy_(state[f"side{number}.bias"])  # type: ignore[operator]
        _take_stage(network.fine.stage2d, _read_stage(state, "stage2d"))
        network.fine.side2.load_state_dict({name: state[f"side2.{name}"] for name in ("weight", "bias")})
    return network


def _read_stage(state: Mapping[str, Tensor], stage: str) -> Stage:
    """A stage of the checkpoint, its batch norms folded into its convolutions."""
    number = int(stage.removeprefix("stage")[0])
    inputs = 3 if stage == "stage1" else 128 if stage.endswith("d") else 64
    result = Stage(DEPTHS[number], inputs, 16, dilated=number in DILATED)
    names = {"rebnconvin": result.first}
    names |= {f"rebnconv{level}": unit for level, unit in enumerate(result.down, 1)}
    names |= {f"rebnconv{level}d": unit for level, unit in enumerate(result.up, 1)}
    for name, unit in names.items():
        conv, norm = f"{stage}.{name}.conv_s1", f"{stage}.{name}.bn_s1"
        scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + 1e-5).sqrt()
        unit.conv.weight.copy_(state[f"{conv}.weight"] * scale[:, None, None, None])
        unit.conv.bias.copy_((state[f"{conv}.bias"] - state[f"{norm}.running_mean"]) * scale + state[f"{norm}.bias"])
    return result


def _take_stage(large: nn.Module, small: Stage) -> None:
    """Make `large` compute what `small` does: the channels that it has more start at random and are read with weights of zero."""
    assert isinstance(large, Stage)
    wide, narrow = large.down[0].conv.out_channels, small.down[0].conv.out_channels
    assert isinstance(wide, int)
    assert isinstance(narrow, int)
    _widen(large.first, small.first, range(small.first.conv.in_channels))
    for mine, given in zip(large.down, small.down, strict=True):
        _widen(mine, given, range(given.conv.in_channels))  # type: ignore[union-attr, arg-type]
    for mine, given in zip(large.up, small.up, strict=True):
        _widen(mine, given, [*range(narrow), *range(wide, wide + narrow)])


def _widen(large: nn.Module, small: nn.Module, inputs: Sequence[int]) -> None:
    """inputs: which inputs of `large` are those of `small`."""
    assert isinstance(large, Unit)
    assert isinstance(small, Unit)
    weight, bias, given = large.conv.weight, large.conv.bias, small.conv.weight
    assert bias is not None
    nn.init.kaiming_normal_(weight, nonlinearity="relu").mul_(0.7)
    weight[: len(given)] = 0
    weight[: len(given), list(inputs)] = given
    nn.init.zeros_(bias)
    bias[: len(given)] = small.conv.bias
