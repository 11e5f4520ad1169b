"""Every model from a checkpoint on a server to a pack that runs: the table of docs/models.md.

python benchmarks/models.py [NAME...] [--write docs/models.md] [--packs DIR] [--reference DIR]

The real weights are large and lie on hubs. Here each model gets reproducible weights of full size under the authors' names,
in a file of the authors' format, served by a mirror on loopback; everything after that is what a user's first `liftout cut
-m NAME` does: fetched, verified against the catalogue (an overlay holds these files' hashes), converted, run at full size in
ONNX Runtime in a process of its own, compared with the same weights in PyTorch. `--packs` keeps the packs.
Needs the extra `convert`, the reference folder, 6 GB of disk and 16 GB of memory; takes a quarter of an hour.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import hashlib
import http.server
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
MEGABYTE = 10**6
MODELS = (
    "u2netp", "u2net", "u2net_human_seg", "u2net_cloth_seg", "silueta", "isnet-general-use", "isnet-anime", "rmbg-1.4",
    "birefnet-general-lite", "birefnet-general", "birefnet-portrait", "birefnet-dis", "birefnet-hrsod", "birefnet-cod",
    "birefnet-massive",
)  # fmt: skip
ONE_FOR_ALL = "birefnet-general"
"""The six large BiRefNets are one architecture with one set of facts; this one is run."""

BAR = 1e-4
"""Largest difference between a pack in ONNX Runtime and the same weights in PyTorch."""

RUN = """
import json, statistics, sys, time
import numpy as np
from liftout.options import RunOptions
from liftout.models.catalog import find
from liftout.engines import open_network
from liftout.models.resolve import locate
network = open_network(locate(sys.argv[1]).file, RunOptions(engine="onnxruntime"))
tensor = np.load(sys.argv[2])
network.run(tensor)
seconds = []
for _ in range(int(sys.argv[4])):
    start = time.perf_counter()
    made = network.run(tensor)
    seconds.append(time.perf_counter() - start)
np.save(sys.argv[3], made)
print(json.dumps({"seconds": statistics.median(seconds)}))
"""

COMPARE = """
import sys
from pathlib import Path
import numpy as np, torch
from liftout.models.catalog import find
from liftout.networks import load_network, read_checkpoint
spec = find(sys.argv[1])
network = load_network(
    spec.architecture, read_checkpoint(Path(sys.argv[2])), patch_order=spec.patch_order or "cgw",
    sigmoid=spec.output.activation == "none",
)
with torch.inference_mode():
    made = network(torch.from_numpy(np.load(sys.argv[3])))
made = made[0] if isinstance(made, (tuple, list)) else made
np.save(sys.argv[4], made.numpy())
"""


@dataclass(frozen=True)
class Ran:
    """A process that ended well. peak: bytes resident at most."""

    output: str
    seconds: float
    peak: int


def main() -> int:
    """Print a line per model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--reference", type=Path, default=ROOT.parent / "shared" / "reference")
    parser.add_argument("--packs", type=Path, help="keep the packs in this folder")
    parser.add_argument("--write", type=Path, help="replace the table in this page")
    asked = parser.parse_args()
    if not (asked.reference / "reference_weights.py").is_file():
        print(f"models: {asked.reference} does not hold reference_weights.py; give --reference", file=sys.stderr)
        return 3
    lines = [
        "| model | weights | fetched MB | fetch and convert s | its peak RSS MB | pack MB | size | run s | run's peak RSS MB | estimate MB | largest difference |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for name in asked.names or MODELS:
        with tempfile.TemporaryDirectory(prefix="liftout-models-") as folder:
            lines.append(row(name, asked.reference, Path(folder), asked.packs))
        print(lines[-1], flush=True)
    wrong = [line for line in lines[2:] if "DIFFERS FROM" in line or difference_of(line) > BAR]
    today = datetime.datetime.now(tz=datetime.UTC).date()
    lines += ["", f"Measured {today} on {platform.machine()}, {os.cpu_count()} cores, ONNX Runtime on the CPU, fp32."]
    if asked.write:
        text = asked.write.read_text(encoding="utf-8")
        block = "<!-- models -->\n" + "\n".join(lines) + "\n<!-- /models -->"
        new, count = re.subn(r"<!-- models -->.*<!-- /models -->", lambda _: block, text, flags=re.DOTALL)
        if count != 1:
            print(f"models: {asked.write} has no place for the table", file=sys.stderr)
            return 1
        partial = asked.write.with_name(asked.write.name + ".part")
        partial.write_text(new, encoding="utf-8")
        partial.replace(asked.write)
    for line in wrong:
        print(f"models: this line is not as it should be: {line}", file=sys.stderr)
    return 1 if wrong else 0


def difference_of(line: str) -> float:
    """The last column of a line of the table; 0 where nothing was compared."""
    last = line.rstrip(" |").rsplit("|", 1)[1].strip()
    return float(last) if re.fullmatch(r"[0-9.]+e[-+][0-9]+|nan|inf", last) else 0.0


def row(name: str, reference: Path, folder: Path, kept: Path | None) -> str:
    """One line of the table: the model goes all the way in `folder`, which may be thrown away afterwards."""
    from liftout.models import packs
    from liftout.models.catalog import find

    spec = find(name)
    if name != ONE_FOR_ALL and spec.architecture == find(ONE_FOR_ALL).architecture:
        one = find(ONE_FOR_ALL)
        same = (spec.input, spec.output, spec.patch_order) == (one.input, one.output, one.patch_order)
        return f"| {name} | - | | | | | | | | | {'architecture and facts are those of' if same else 'DIFFERS FROM'} {ONE_FOR_ALL} |"
    file = next(item for item in spec.files if item.role == ("onnx" if name == "silueta" else "checkpoint"))
    path = folder / "mirror" / name / file.name
    path.parent.mkdir(parents=True)
    weights = "reference, of full size"
    if name == "silueta":
        write_stand_in(path, reference)
        weights = "stand-in: a graph of u2netp's architecture"
    else:
        write_checkpoint(path, name, spec.architecture, reference)
    overlay = folder / "overlay"
    overlay.mkdir()
    facts = f'role = "{file.role}"\nname = "{file.name}"\nbytes = {path.stat().st_size}\nsha256 = "{sha256(path)}"\n'
    (overlay / "reference.toml").write_text(f'[["{name}".files]]\n{facts}', encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LIFTOUT_")}
    environment |= {"LIFTOUT_HOME": str(folder / "home"), "LIFTOUT_CATALOG": str(overlay)}
    with mirror(folder / "mirror") as address:
        command = ("-m", "liftout", "models", "pull", name, "--accept-license", name, "--quiet")
        pulled = run(*command, environment=environment | {"LIFTOUT_MIRROR": address})
    height, width = spec.input.size
    np.save(folder / "input.npy", tensor(spec.architecture, height, width, reference))
    repeats = "1" if max(height, width) > 512 and name.startswith("birefnet") else "3"
    ran = run("-c", RUN, name, str(folder / "input.npy"), str(folder / "made.npy"), repeats, environment=environment)
    pack = folder / "home" / "packs" / name
    if name == "silueta":
        difference, size, estimate = "not converted", path.stat().st_size, ""
    else:
        run(
            "-c", COMPARE, name, str(path), str(folder / "input.npy"), str(folder / "true.npy"), environment=environment
        )
        one, other = np.load(folder / "made.npy"), np.load(folder / "true.npy")
        if spec.output.activation != "none":
            one, other = probability(one), probability(other)
        difference = f"{np.abs(one - other).max():.1e}"
        size = sum(item.stat().st_size for item in pack.iterdir())
        estimate = f"{(packs.read(pack).manifest.peak_bytes or 0) / MEGABYTE:.0f}"
        if kept:
            shutil.rmtree(kept / name, ignore_errors=True)
            shutil.copytree(pack, kept / name)
    seconds = json.loads(ran.output)["seconds"]
    return (
        f"| {name} | {weights} | {path.stat().st_size / MEGABYTE:.1f} | {pulled.seconds:.1f} | {pulled.peak / MEGABYTE:.0f} | "
        f"{size / MEGABYTE:.1f} | {height} x {width} | {seconds:.2f} | {ran.peak / MEGABYTE:.0f} | {estimate} | {difference} |"
    )


def write_checkpoint(path: Path, name: str, architecture: str, reference: Path) -> None:
    """Full-size weights, other ones for each model, in the format in which its authors publish theirs."""
    import torch
    from safetensors.torch import save_file

    state = reference_state(name, architecture, reference)
    if path.suffix == ".safetensors":
        save_file(state, path, metadata={"format": "pt"})
    elif path.suffix == ".ckpt":
        inner = {f"net.{key}": value for key, value in state.items()}
        inner |= {f"gt_encoder.{key}": value for key, value in list(state.items())[:4]}
        torch.save({"epoch": 1, "state_dict": inner}, path)
    elif name == "u2net_cloth_seg":
        torch.save(OrderedDict((f"module.{key}", value) for key, value in state.items()), path)
    else:
        torch.save(OrderedDict(state), path, _use_new_zipfile_serialization=architecture != "u2net")


def write_stand_in(path: Path, reference: Path) -> None:
    """One plain ONNX file with the input and output that silueta has."""
    from liftout.convert import build_network
    from liftout.convert.files import write_single_file

    state = reference_state("silueta", "u2netp", reference)
    write_single_file(build_network("u2netp", state, size=(320, 320), batch=1), path)


def reference_state(name: str, architecture: str, reference: Path) -> dict[str, Any]:
    """Tensors by the authors' names; see the README of the reference folder."""
    import torch

    from liftout.networks.swin import relative_position_index

    listed = json.loads((reference / "keys" / f"{architecture}.json").read_text(encoding="utf-8"))["keys"]
    gain = 1.0 if architecture.startswith("birefnet") else 1.5
    floats = recipe(reference).reference_state(listed, gain=gain, seed=zlib.crc32(name.encode()) % 1000)
    state = {}
    for key, shape, _ in listed:
        if key in floats:
            state[key] = torch.from_numpy(floats[key])
        elif key.endswith("relative_position_index"):
            state[key] = relative_position_index(round(shape[0] ** 0.5))
        else:
            state[key] = torch.zeros(shape, dtype=torch.int64)
    return state


def tensor(architecture: str, height: int, width: int, reference: Path) -> np.ndarray:
    """A smooth picture as the network takes it, float32 [1, 3, height, width]."""
    levels = recipe(reference).reference_image(height, width) / 255
    return np.ascontiguousarray(((levels - 0.45) / 0.25).transpose(2, 0, 1)[None], dtype=np.float32)


@functools.cache
def recipe(reference: Path) -> ModuleType:
    """The module that makes the weights."""
    module = ModuleType("reference_weights")
    exec((reference / "reference_weights.py").read_text(encoding="utf-8"), module.__dict__)  # noqa: S102
    return module


@contextlib.contextmanager
def mirror(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(*arguments: str, environment: dict[str, str]) -> Ran:
    """Python with these arguments, in a process of its own."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, *arguments], stdout=output, stderr=errors, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise SystemExit(f"models: {' '.join(arguments)[:80]} ended with {process.returncode}: {errors.read()}")
        return Ran(output.read(), seconds, used.ru_maxrss * 1024)


def probability(logits: np.ndarray) -> np.ndarray:
    """Sigmoid."""
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def sha256(path: Path) -> str:
    """Of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
