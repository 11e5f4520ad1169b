"""Published checkpoints as starts: U2-Net, U2NetP, IS-Net and BiRefNet with all that share their networks.

start = open_checkpoint("isnet-general-use", Path("isnet-general-use.pth"), size=512)
job = Job(Path("shop"), "shop", start)
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from liftout.convert import build_network, peak_bytes, write_network
from liftout.convert.from_onnx import READABLE, is_onnx, read_graph
from liftout.errors import DeviceUnavailable, ModelMissing, ModelUnavailable, UsageError
from liftout.machine import free_memory
from liftout.models.catalog import all_models, find
from liftout.models.download import fetch
from liftout.models.licence import consent
from liftout.models.spec import ModelSpec
from liftout.networks import ARCHITECTURES, load_network, read_checkpoint
from liftout.progress import Progress
from liftout.remedies import UseOption
from liftout.tuning.families import Family, family_of
from liftout.tuning.lessons import Lessons
from liftout.tuning.memory import Need, need
from liftout.tuning.published_learner import PublishedLearner
from liftout.tuning.recipe import Recipe

TuningPrecision = Literal["auto", "fp32", "bf16"]
SMALLEST = 256
"""Pixels of a side below which no smaller size is advised."""


def open_checkpoint(
    name: str,
    checkpoint: Path | None = None,
    *,
    size: int | None = None,
    device: str = "auto",
    precision: TuningPrecision = "auto",
    frozen_backbone: bool = False,
    accept_license: bool | Collection[str] = False,
    progress: Progress | None = None,
) -> Published:
    """The model called `name` as a start.

    checkpoint: its authors' file, or for U2-Net and IS-Net its published ONNX graph; by default what the catalogue names, downloaded
    where it is not here. size: of the sides of the input, by default the model's own. device: `auto` is `cuda` where there is one.
    precision: `auto` is bf16 on a GPU that has it, else fp32. frozen_backbone: only the decoder learns.
    Raises UnknownModel, LicenseNotAccepted, UsageError, DeviceUnavailable, ModelUnavailable.
    """
    spec = find(name)
    family = family_of(spec.architecture)
    if family is None:
        raise UsageError(f"{name} cannot be tuned", field="from", remedy=f"these can: pocket, {', '.join(tunable())}")
    consent(spec, accept=accept_license)
    if size is not None:
        multiple = ARCHITECTURES[spec.architecture].multiple_of
        if size % multiple:
            raise UsageError(f"{size} is not a multiple of {multiple}, which {name} needs", field="size")
        spec = spec.with_size((size, size))
    where = _device(device)
    bf16 = precision == "bf16" or (precision == "auto" and where.type == "cuda" and torch.cuda.is_bf16_supported())
    file = checkpoint or _fetched(spec, progress)
    if not file.is_file():
        raise ModelMissing("no such file", subject=file, remedy="check the path")
    state = read_graph(file, spec.architecture) if is_onnx(file) else read_checkpoint(file)
    return Published(spec, family, file, state, device=where, bf16=bf16, frozen_backbone=frozen_backbone)


def tunable() -> list[str]:
    """Names of the published models that can be tuned."""
    return [
        spec.name for spec in all_models().values() if family_of(spec.architecture) and spec.files and not spec.files_of
    ]


class Published:
    """See `liftout.tuning.start.Start`. state: its parameters, as its file has them."""

    def __init__(
        self,
        spec: ModelSpec,
        family: Family,
        file: Path,
        state: dict[str, Tensor],
        *,
        device: torch.device,
        bf16: bool,
        frozen_backbone: bool,
    ) -> None:
        self.spec, self.file, self.device = spec, file, device
        self._family, self._state, self._bf16, self._frozen_backbone = family, state, bf16, frozen_backbone
        self.recompute = False
        self.settings: list[object] = [
            f"size {spec.input.size[0]}x{spec.input.size[1]}",
            "bf16" if bf16 else "fp32",
            "frozen backbone" if frozen_backbone else "backbone learns",
        ]

    def check_memory(self, photos: int) -> None:
        """See `Start`. Decides as well whether units are computed again in the backward pass."""
        free = torch.cuda.mem_get_info(self.device)[0] if self.device.type == "cuda" else free_memory()
        height, width = self.spec.input.size
        step = self.need()
        self.recompute = step.total(recompute=False) + self._pictures((height, width), photos) > free

        def takes(size: tuple[int, int]) -> int:
            return step.scaled(size[0] * size[1] / (height * width)).total(recompute=True) + self._pictures(
                size, photos
            )

        if takes((height, width)) <= free:
            return
        multiple = max(32, ARCHITECTURES[self.spec.architecture].multiple_of)
        smaller = range((min(height, width) - 1) // multiple * multiple, SMALLEST - 1, -multiple)
        side = next((side for side in smaller if takes((side, side)) <= free), None)
        lower = (UseOption("size", side),) if side else ()
        freeze = () if self._frozen_backbone else (UseOption("frozen_backbone", True),)
        raise UsageError(
            f"tuning at {height}x{width} takes about {takes((height, width)) / 1e9:.1f} GB of memory on {self.device.type}, "
            f"{free / 1e9:.1f} GB are free",
            subject=self.spec.name,
            remedy=(*lower, *freeze, "choose a smaller model"),
        )

    def need(self) -> Need:
        """Memory of a step on the device."""
        return need(
            self.spec.architecture,
            self._family,
            self.spec.input.size,
            bf16=self._bf16,
            frozen_backbone=self._frozen_backbone,
        )

    def _pictures(self, size: tuple[int, int], photos: int) -> int:
        """Bytes of the photos and masks of a run, which are in the memory of the CPU."""
        return 4 * size[0] * size[1] * photos if self.device.type == "cpu" else 0

    def recipe(self, steps: int, seed: int) -> Recipe:
        """See `Start`."""
        return Recipe(depth_steps=0, decoder_steps=steps, decoder_rate=self._family.rate, seed=seed)

    def network(self) -> nn.Module:
        """See `Start`."""
        order = self.spec.patch_order or "cgw"
        return load_network(self.spec.architecture, self._state, patch_order=order, sigmoid=False).to(self.device)

    def learner(self, recipe: Recipe, lessons: Lessons) -> PublishedLearner:
        """See `Start`."""
        return PublishedLearner(
            self.network(),
            self._family,
            recipe,
            lessons,
            bf16=self._bf16,
            recompute=self.recompute,
            frozen_backbone=self._frozen_backbone,
        )

    def predictions(self, network: nn.Module, photos: Tensor) -> Tensor:
        """See `Start`."""
        logits: Tensor = network(photos.to(self.device))
        return (torch.sigmoid(logits) if self._ends_in_sigmoid else logits).cpu()

    def write(self, network: nn.Module, folder: Path, progress: Progress | None = None) -> int:
        """See `Start`."""
        lean = build_network(
            self.spec.architecture,
            {name: values.cpu() for name, values in network.state_dict().items()},
            size=self.spec.input.size,
            patch_order=self.spec.patch_order or "cgw",
            sigmoid=self._ends_in_sigmoid,
            progress=progress,
        )
        write_network(lean, folder, progress)
        return peak_bytes(lean)

    @property
    def _ends_in_sigmoid(self) -> bool:
        return self.spec.output.activation == "none"


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name != "cpu" and not (name.split(":")[0] == "cuda" and torch.cuda.is_available()):
        raise DeviceUnavailable(
            f"`{name}` cannot be used: torch sees no such device", field="device", remedy=UseOption("device", "cpu")
        )
    return torch.device(name)


def _fetched(spec: ModelSpec, progress: Progress | None) -> Path:
    """What the catalogue names, from the cache or downloaded."""
    usable = [file for file in spec.files if file.role == "checkpoint"]
    if ARCHITECTURES[spec.architecture].family in READABLE:
        usable += [file for file in spec.files if file.role == "onnx"]
    for file in usable:
        try:
            return fetch(spec, file, progress=progress)
        except ModelUnavailable:
            continue
    raise ModelMissing(
        "its checkpoint is not here and cannot be downloaded", subject=spec.name, remedy=UseOption("checkpoint", "FILE")
    )
