"""One tool does one thing in a process of its own and says what that took. `benchmarks/speed.py` runs this file with each tool's Python.

python benchmarks/timed.py '{"tool": "liftout", "model": "u2netp", "photo": "photo.jpg", "started": 0.0, ...}'

Only the standard library is imported before the tool, so that its own import is measured. CPU seconds are user and system time
of all threads, from the start of the process; the peak is VmHWM, which, unlike what getrusage tells, does not begin with the
memory of the program that started this one.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Cut = Callable[[bytes], bytes]
"""JPEG bytes -> PNG bytes."""

ENOUGH_SECONDS = 8
"""The steady state is not measured for longer than this, once it has been measured at all."""


def main() -> None:
    """Do what the JSON in the first argument asks for; the last line of output is JSON."""
    asked = json.loads(sys.argv[1])
    told = cutting(asked) if "photo" in asked else starting(asked)
    print(json.dumps({**told, "peak": peak()}))


def starting(asked: dict[str, Any]) -> dict[str, Any]:
    """Import the tool, or let its command line print its help."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        if asked["does"] == "help":
            sys.argv = [asked["tool"], "--help"]
            if asked["tool"] == "rembg":
                from rembg.cli import main as command
            else:
                from liftout.cli import main as command
            command()
        elif asked["tool"] == "rembg":
            from rembg import remove
        else:
            from liftout import remove  # noqa: F401
    return {"cpu": cpu(), "wall": time.monotonic() - asked["started"]}


def cutting(asked: dict[str, Any]) -> dict[str, Any]:
    """The first photo, from the start of the process, and the steady state after it."""
    photo = Path(asked["photo"]).read_bytes()
    cut = TOOLS[asked["tool"]](asked)
    cut(photo)
    told: dict[str, Any] = {"first": {"cpu": cpu(), "wall": time.monotonic() - asked["started"], "peak": peak()}}
    steady: list[tuple[float, float]] = []
    begun = time.monotonic()
    while len(steady) < asked["photos"] and (not steady or time.monotonic() - begun < ENOUGH_SECONDS):
        before, wall = cpu(), time.monotonic()
        cut(photo)
        steady.append((cpu() - before, time.monotonic() - wall))
    told["cpu"] = median([used for used, _ in steady])
    told["wall"] = median([seconds for _, seconds in steady])
    return told


def with_rembg(asked: dict[str, Any]) -> Cut:
    """rembg as its README uses it: a session, and its defaults."""
    from rembg import new_session, remove

    session = new_session(asked["model"])
    return lambda photo: remove(photo, session=session)


def with_liftout(asked: dict[str, Any]) -> Cut:
    """`Remover`; encoder `pillow` writes the PNG as Pillow does by default."""
    from liftout import Remover

    remover = Remover(
        asked["model"], engine=asked["engine"], precision=asked["precision"], edges=asked["edges"], device="cpu"
    )
    if asked.get("encoder") != "pillow":
        return lambda photo: remover(photo).to_bytes("png")

    def cut(photo: bytes) -> bytes:
        stream = io.BytesIO()
        remover(photo).image.save(stream, "PNG")
        return stream.getvalue()

    return cut


def with_torch(asked: dict[str, Any]) -> Cut:
    """The network eager in PyTorch float32 between Pillow's decoder and encoder, as the authors' own scripts do it."""
    import numpy as np
    import torch
    from PIL import Image

    from liftout.convert.from_onnx import is_onnx, read_graph
    from liftout.models.catalog import find
    from liftout.networks import load_network, read_checkpoint

    torch.set_num_threads(asked["threads"])
    spec = find(asked["model"])
    path = Path(asked["checkpoint"])
    state = read_graph(path, spec.architecture) if is_onnx(path) else read_checkpoint(path)
    network = load_network(spec.architecture, state, patch_order=spec.patch_order or "cgw").eval()
    mean, std = (np.array(values, np.float32) for values in (spec.input.mean, spec.input.std))

    def cut(photo: bytes) -> bytes:
        image = Image.open(io.BytesIO(photo)).convert("RGB")
        small = image.resize(spec.input.size[::-1], Image.Resampling.BILINEAR)
        tensor = ((np.asarray(small, np.float32) / 255 - mean) / std).transpose(2, 0, 1)[None]
        with torch.inference_mode():
            made = network(torch.from_numpy(np.ascontiguousarray(tensor)))[0, 0]
            mask = (made if spec.output.activation == "none" else made.sigmoid()).numpy()
        alpha = Image.fromarray(np.rint(mask * 255).astype(np.uint8)).resize(image.size, Image.Resampling.BILINEAR)
        image.putalpha(alpha)
        stream = io.BytesIO()
        image.save(stream, "PNG")
        return stream.getvalue()

    return cut


TOOLS: dict[str, Callable[[dict[str, Any]], Cut]] = {
    "rembg": with_rembg,
    "liftout": with_liftout,
    "torch": with_torch,
}


def cpu() -> float:
    """Seconds of user and system time of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak() -> int:
    """Most bytes resident so far."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def median(values: list[float]) -> float:
    """The middle value; `statistics` would be one import more."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


if __name__ == "__main__":
    main()
