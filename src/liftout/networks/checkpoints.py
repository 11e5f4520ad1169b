"""Read the authors' checkpoints without running code from them, and fit them to an architecture.

state = read_checkpoint(path)
network = load_network("isnet", state)
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from liftout.errors import CheckpointMismatch, CheckpointUnreadable
from liftout.networks.architectures import ARCHITECTURES, Architecture
from liftout.networks.birefnet import PatchOrder
from liftout.remedies import InstallExtra

_WRAPPERS = ("state_dict", "model_state_dict")
"""Keys under which training frameworks keep the parameters, beside optimizer state and counters."""

_PREFIXES = ("module.", "_orig_mod.", "net.")
"""Left by DistributedDataParallel, torch.compile and isnet-anime's training wrapper; they occur in any order."""

_COMPANIONS = ("gt_encoder.",)
"""A second network that isnet-anime's checkpoint carries; it encodes ground truth in training."""

_MOST_NAMES = 3
"""Names that an error message lists before it counts the rest."""


def load_network(
    architecture: str,
    state: Mapping[str, Tensor],
    *,
    patch_order: PatchOrder = "cgw",
    sigmoid: bool | None = None,
) -> nn.Module:
    """The network with these weights, float32, in evaluation mode.

    state: as `read_checkpoint` gives it. Tensors that need no cast are shared, not copied.
    patch_order, sigmoid: as for `Architecture.build`.
    Raises CheckpointMismatch where names or shapes are not the architecture's.
    """
    known = ARCHITECTURES[architecture]
    with torch.device("meta"):
        network = known.build(patch_order=patch_order, sigmoid=sigmoid)
    network.load_state_dict(fit_state(known, state), strict=True, assign=True)
    return network.eval().requires_grad_(False)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Parameters by name, as the file has them: safetensors or any format of torch.save, told apart by content.

    Raises CheckpointUnreadable where the file is neither, is cut short, or wants code to run.
    """
    try:
        if _is_safetensors(path):
            return _read_safetensors(path)
        return _read_torch(path)
    except OSError as error:
        raise CheckpointUnreadable(str(error.strerror or error), subject=path, remedy="check the path") from None


def fit_state(architecture: Architecture, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` under the architecture's names and in its order: prefixes stripped, half precision cast to float32.

    Raises CheckpointMismatch where a name is missing, unexpected or ambiguous, a shape differs, or a value is not finite.
    """
    stripped = _strip(state)
    with torch.device("meta"):
        expected = architecture.build().state_dict()
    missing = [name for name in expected if name not in stripped]
    unexpected = [name for name in stripped if name not in expected]
    reshaped = [
        f"{name} is {_shape(stripped[name])}, not {_shape(tensor)}"
        for name, tensor in expected.items()
        if name in stripped and stripped[name].shape != tensor.shape
    ]
    problems = [
        f"{len(names)} {kind} ({_some(names)})"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", reshaped))
        if names
    ]
    if problems:
        raise CheckpointMismatch(
            f"the checkpoint is not of architecture {architecture.name}: of {len(expected)} tensors "
            f"{', '.join(problems)}",
            remedy="check that the file belongs to the model",
        )
    fitted = {name: stripped[name].to(tensor.dtype) for name, tensor in expected.items()}
    broken = [name for name, tensor in fitted.items() if tensor.is_floating_point() and not _finite(tensor)]
    if broken:
        raise CheckpointMismatch(
            f"the checkpoint holds values that are not finite numbers in {_some(broken)}; it would give no alpha",
            remedy="fetch it again or use another file",
        )
    return fitted


def _finite(tensor: Tensor) -> bool:
    # One sum instead of a mask as large as the tensor; only a sum that overflowed needs the second look.
    return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())


def _strip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    stripped: dict[str, Tensor] = {}
    for name, tensor in state.items():
        bare = name
        while prefix := next((p for p in _PREFIXES if bare.startswith(p)), None):
            bare = bare.removeprefix(prefix)
        if bare.startswith(_COMPANIONS):
            continue
        if bare in stripped:
            raise CheckpointMismatch(
                f"the checkpoint holds {bare} twice, under different prefixes", remedy="check the file"
            )
        stripped[bare] = tensor
    return stripped


def _is_safetensors(path: Path) -> bool:
    """A safetensors file opens with the length of its JSON header, then the header."""
    with path.open("rb") as file:
        start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    return len(start) == 9 and start[8:] == b"{" and length <= path.stat().st_size - 8


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise CheckpointUnreadable(
            "is a safetensors file and `safetensors` is not installed",
            subject=path,
            remedy=InstallExtra("convert"),
        ) from None
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointUnreadable(
            f"is not a whole safetensors file ({error})", subject=path, remedy="fetch it again"
        ) from None


def _read_torch(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    try:
        with warnings.catch_warnings():
            # A plain pickle makes torch warn of its protocol before it fails, which says less than the error below.
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        if "unsupported global" in str(error).lower():
            raise CheckpointUnreadable(
                "holds Python objects beside tensors, and loading them would run code from the file",
                subject=path,
                remedy="use a file that holds only tensors",
            ) from None
        raise CheckpointUnreadable(
            "is not a checkpoint that torch can read", subject=path, remedy="check that it is the right file"
        ) from None
    except Exception as error:
        if isinstance(error, MemoryError):
            raise
        raise CheckpointUnreadable("is not a whole torch checkpoint", subject=path, remedy="fetch it again") from None
    return _tensors(path, content)


def _tensors(path: Path, content: object) -> dict[str, Tensor]:
    while isinstance(content, Mapping) and (key := next((k for k in _WRAPPERS if k in content), None)):
        content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise CheckpointUnreadable(
            "holds no parameters by name", subject=path, remedy="check that it is the right file"
        )
    strange = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if strange:
        raise CheckpointUnreadable(
            f"holds entries that are not tensors ({_some(strange)})", subject=path, remedy="check the file"
        )
    return {str(name): tensor for name, tensor in content.items()}


def _some(names: Iterable[str]) -> str:
    all_names = list(names)
    more = f" and {len(all_names) - _MOST_NAMES} more" if len(all_names) > _MOST_NAMES else ""
    return ", ".join(all_names[:_MOST_NAMES]) + more


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"
