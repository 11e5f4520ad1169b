"""How fast a model is on this machine, for each engine and precision.

    for options in combinations(RunOptions(model="pocket")):
        print(label(options), run(options, [photo]))

Each is measured in a process of its own (`python -m liftout.measure`), so that its memory is its own and a crash is one line.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liftout.engines import Float32, Network
from liftout.engines.choice import choose, has_nvidia, installed, openvino_capabilities
from liftout.engines.precision_check import PHOTOS, verdict
from liftout.errors import LiftoutError, ModelMissing
from liftout.models.local import REDUCED, ResolvedModel, is_path
from liftout.models.resolve import locate
from liftout.options import EngineName, Precision, RunOptions

PHOTO_SIZE = (1632, 1224)
"""Width and height of the photo that is made where none is given: two megapixels."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Medians over photos, after one that is not counted."""

    load_seconds: float
    """Until the model is ready for its first photo, without importing liftout."""
    network_seconds: float
    photo_seconds: float
    """From the bytes of a photo to the bytes of a PNG."""
    photo_cpu_seconds: float
    """The same, in user and system time of all threads."""
    peak_bytes: int | None
    """Most memory resident in the process; None where the system does not tell."""


def combinations(options: RunOptions) -> list[RunOptions]:
    """The options with every engine, device and precision that is installed and may run here; a precision that needs a pack of its
    own where that is here."""
    capabilities = openvino_capabilities()
    choices: list[tuple[EngineName, str, Precision]] = [("onnxruntime", "cpu", "fp32")]
    if installed("openvino"):
        choices += [("openvino", "cpu", precision) for precision in ("fp32", *_reduced(capabilities))]
    if installed("torch"):
        choices.append(("torch", "cpu", "fp32"))
        if "BF16" in capabilities:
            choices.append(("torch", "cpu", "bf16"))
    if has_nvidia():
        import onnxruntime

        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            choices.append(("onnxruntime", "cuda", "fp32"))
        if installed("torch"):
            choices += [("torch", "cuda", "fp32"), ("torch", "cuda", "fp16")]
    for precision in () if is_path(options.model) else REDUCED:
        if _is_here(options.model, precision):
            choices.append(("onnxruntime", "cpu", precision))
            if installed("openvino"):
                choices.append(("openvino", "cpu", precision))
    return [
        dataclasses.replace(options, engine=engine, device=device, precision=precision)
        for engine, device, precision in dict.fromkeys(choices)
    ]


def label(options: RunOptions) -> str:
    """Engine, device (where it is not the CPU) and precision, as in `onnxruntime fp32`."""
    return " ".join((options.engine, *(() if options.device == "cpu" else (options.device,)), options.precision))


def automatic(resolved: ResolvedModel, options: RunOptions) -> tuple[RunOptions, str]:
    """The options with the engine, device and precision that `auto` takes for a model, and why."""
    choice = choose(options, resolved.spec.architecture)
    device = "cpu" if choice.device == "auto" else choice.device
    chosen_options = dataclasses.replace(options, engine=choice.engine, device=device, precision="fp32")
    if choice.faster is None:
        return chosen_options, choice.reason
    agrees = verdict(resolved.file, choice, choice.faster)
    if agrees:
        faster = dataclasses.replace(chosen_options, precision=choice.faster)
        return faster, f"{choice.reason}; {choice.faster} agreed with fp32 on the first photos"
    if agrees is None:
        return chosen_options, f"{choice.reason}; {choice.faster} is used once it agreed with fp32 on {PHOTOS} photos"
    return chosen_options, f"{choice.reason}; {choice.faster} did not agree with fp32"


def run(options: RunOptions, photos: Sequence[Path], *, repeats: int = 5) -> Figures | str:
    """Measure with these options; what went wrong, in one line, where they cannot run.

    options: the model is on this machine; engine, device and precision as `combinations` gives them. photos: files. repeats: how
    often each photo is cut.
    """
    request = {
        "options": dataclasses.asdict(options),
        "photos": [os.fspath(photo) for photo in photos],
        "repeats": repeats,
    }
    command = [sys.executable, "-m", "liftout.measure", json.dumps(request)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - this very program
    if process.returncode == 0:
        answer = json.loads(process.stdout.splitlines()[-1])
        return answer["error"] if "error" in answer else Figures(**answer)
    last_line = (process.stderr.strip().splitlines() or [""])[-1]
    how = f"killed by signal {-process.returncode}" if process.returncode < 0 else f"ended with {process.returncode}"
    return f"the process was {how}{': ' + last_line if last_line else '; it may need more memory than is free'}"


def made_photo() -> bytes:
    """A JPEG of two megapixels: a bright subject with soft edges over a darker ground, with the grain of a camera."""
    import numpy as np
    from PIL import Image

    width, height = PHOTO_SIZE
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.hypot((row - height / 2) / (0.36 * height), (column - width / 2) / (0.24 * width))
    subject = np.clip((1.02 - distance) * 25, 0, 1)[..., None]
    ground = np.stack((60 + 50 * row / height, 80 + 40 * column / width, 110 - 40 * row / height), axis=-1)
    colours = subject * np.array((225, 175, 140), np.float32) + (1 - subject) * ground
    grain = np.random.default_rng(0).normal(0, 3, colours.shape)
    stream = io.BytesIO()
    Image.fromarray(np.clip(colours + grain, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def _reduced(capabilities: tuple[str, ...]) -> Iterator[Precision]:
    if "BF16" in capabilities:
        yield "bf16"
    if "FP16" in capabilities:
        yield "fp16"


def _is_here(model: str, precision: str) -> bool:
    try:
        locate(model, precision)
    except ModelMissing:
        return False
    return True


class _Timed:
    """A network that keeps how long each run took."""

    def __init__(self, network: Network) -> None:
        self.engine, self.device, self.precision = network.engine, network.device, network.precision
        self._network = network
        self.seconds: list[float] = []

    def run(self, tensor: Float32) -> Float32:
        """See `Network.run`."""
        before = time.perf_counter()
        prediction = self._network.run(tensor)
        self.seconds.append(time.perf_counter() - before)
        return prediction

    def close(self) -> None:
        """See `Network.close`."""
        self._network.close()


def _measured(request: dict[str, Any]) -> Figures:
    """What the process of its own does."""
    from liftout.loading import load
    from liftout.remover import Remover

    photos = [Path(photo).read_bytes() for photo in request["photos"]]
    before = time.perf_counter()
    options = RunOptions(**request["options"])
    spec, network = load(options)
    timed = _Timed(network)
    remover = Remover.from_network(spec, timed, edges=options.edges, max_pixels=options.max_pixels)
    load_seconds = time.perf_counter() - before
    remover(photos[0]).to_bytes("png")
    timed.seconds.clear()
    walls, cpus = [], []
    for photo in photos * request["repeats"]:
        wall, cpu = time.perf_counter(), time.process_time()
        remover(photo).to_bytes("png")
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Figures(
        load_seconds=load_seconds,
        network_seconds=statistics.median(timed.seconds),
        photo_seconds=statistics.median(walls),
        photo_cpu_seconds=statistics.median(cpus),
        peak_bytes=_peak(),
    )


def _peak() -> int | None:
    """Of this process alone. On Linux from VmHWM: what getrusage tells begins with the memory of the program that started this one."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), None)
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def _main() -> None:
    try:
        answer = dataclasses.asdict(_measured(json.loads(sys.argv[1])))
    except LiftoutError as error:
        answer = {"error": error.what()}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    _main()
