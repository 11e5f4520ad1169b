"""Speed and memory side by side with rembg 2.0.86 and PyTorch: import, help, first photo, steady state, four sizes of photo.

python -m benchmarks.speed [--short] [--only NAME...] [--sizes MP...] [--repeats N] [--resume] [--write docs/speed.md]

JPEG bytes in, PNG bytes out, the same photo and the same weights for all, each measurement in a process of its own
(`benchmarks/timed.py`). A round runs every way once, ours and theirs in turn, so that a slow minute of the machine touches all
alike; the tables hold medians over rounds. U2NetP has its published weights; the full-size networks have reproducible ones of
the same shape, for rembg in the form of the published graphs (`benchmarks/published.py`): how fast a network is does not
depend on what it has learnt.

`--short` compares in ten minutes what people run: U2NetP, U2-Net and the built-in model, with default edges and plain ones, the first
also in int8, and writes the table of this machine's class of processor. A published graph at `benchmarks/.speed/weights/MODEL.onnx` (for `u2net`)
is used in place of reproducible weights.

Every measurement is appended to a file at once; `--resume` goes on with it, so that the whole can be done in parts. Needs
`../shared`, the extras `convert` and `openvino`, 6 GB of memory, the package index the first time (for the peers' own
environments), and an hour; `--only u2netp --sizes 2 --repeats 1` takes two minutes.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import speed_page
from benchmarks.pages import write_part
from benchmarks.peers import REMBG, REMBG_WITH_COMMANDS, python_of

if TYPE_CHECKING:
    from liftout.models.catalog import ModelSpec

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
FOLDER = Path(__file__).parent / ".speed"
"""Weights, packs, photos and figures; can be deleted at any time."""

PHOTOS = {0.3: (640, 480), 2.0: (1632, 1224), 12.0: (4000, 3000), 50.0: (8160, 6120)}
"""Megapixels -> width and height."""

MODELS = {
    "u2netp": (0.3, 2.0, 12.0, 50.0),
    "u2net": (2.0, 12.0),
    "isnet-general-use": (2.0, 12.0),
    "birefnet-general-lite": (2.0, 12.0),
}
"""Model -> sizes that are measured unless `--sizes` says otherwise: around a large network, the rest hardly counts."""

SHORT = {"u2netp": (0.3, 2.0, 12.0), "u2net": (0.3, 2.0)}
"""Model -> sizes that `--short` measures."""

CLASSES = {"amx": ("amx_tile",), "vnni": ("avx512_vnni", "avx_vnni"), "avx2": ("avx2",)}
"""Class of processor -> flags of Linux, one of which it has; the first class that fits."""

STEPS = (("u2netp", 12.0), ("birefnet-general-lite", 2.0))
"""Where every step from rembg to the fastest way is measured."""

LAST = {"u2net": "outconv", "isnet": "side1", "birefnet": "decoder.conv_out1.0"}
"""The last convolution of each family."""

SURE = 100.0
"""Standard deviation of the logits after `decided`: a seventh of the pixels is soft."""

STARTS = ("import", "help")
STEADY_PHOTOS = 5
"""After the first, in one process; fewer where one takes seconds."""

NOWHERE = "http://127.0.0.1:9"
"""Proxy of the measured programs: one that would fetch anything fails."""


@dataclass(frozen=True)
class Way:
    """A tool with its options: asked, what `timed.py` is told; published, whether the model is here as its published graph."""

    asked: dict[str, Any]
    published: bool = False


@dataclass(frozen=True)
class Case:
    """What all ways are compared in. name: a model, `import` or `help`; megapixels: of the photo, 0 where there is none."""

    name: str
    megapixels: float
    ways: dict[str, Way] = field(compare=False)


def main() -> int:
    """Measure what is missing, print the tables; exit status 1 where a target is missed, 3 where something is not here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = (*STARTS, *MODELS)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help=", ".join(names))
    parser.add_argument("--short", action="store_true", help="ten minutes: the table of this class of processor")
    parser.add_argument("--sizes", nargs="+", metavar="MP", type=float, choices=list(PHOTOS), help="0.3, 2, 12, 50")
    parser.add_argument("--repeats", metavar="N", type=int, default=3, help="rounds; default 3")
    parser.add_argument("--resume", action="store_true", help="keep what has been measured, measure what is missing")
    parser.add_argument("--results", metavar="FILE", type=Path)
    parser.add_argument("--write", metavar="PAGE", type=Path, help="replace the tables and the charts of this page")
    asked = parser.parse_args()
    if asked.repeats < 0:
        parser.error("--repeats must be 0 or more")
    if not (SHARED / "reference" / "reference_weights.py").is_file():
        print(f"speed: {SHARED} does not hold reference/reference_weights.py; put it there", file=sys.stderr)
        return 3
    if not Path("/proc/self/status").is_file():
        print("speed: memory is read from /proc, which this system does not have; run it on Linux", file=sys.stderr)
        return 3
    FOLDER.mkdir(exist_ok=True)
    if asked.short:
        cases = [case for case in short_cases() if not asked.only or case.name in asked.only]
    else:
        cases = list(wanted(asked.only or list(names), asked.sizes))
    file = asked.results or FOLDER / ("short.jsonl" if asked.short else "measured.jsonl")
    try:
        measured = Results(file, resume=asked.resume)
        for number in range(asked.repeats):
            for case in cases:
                one_round(case, number, measured)
    except (Missing, subprocess.CalledProcessError) as error:
        print(f"speed: {error}", file=sys.stderr)
        return 3
    report = speed_page.Report(measured.rows, measured.machine)
    if asked.short:
        lines = report.short()
        print("\n".join(lines))
        if asked.write:
            write_part(asked.write, f"class-{processor_class()}", lines)
        return 0
    if asked.write:
        report.write(asked.write)
    print(report.text())
    return 0 if report.kept else 1


def wanted(names: list[str], sizes: list[float] | None) -> Iterator[Case]:
    """The cases that the call asks for."""
    for name in names:
        if name in STARTS:
            yield Case(name, 0.0, {tool: Way({"tool": tool, "does": name}) for tool in ("liftout", "rembg")})
            continue
        for megapixels in sizes or MODELS[name]:
            yield Case(name, megapixels, dict(ways(name, megapixels)))


def ways(model: str, megapixels: float) -> Iterator[tuple[str, Way]]:
    """Every way to cut this photo, by the name it has in the tables; ours and theirs in turn."""
    from liftout.engines.choice import installed, openvino_capabilities

    def ours(engine: str, precision: str, edges: str, **more: str) -> dict[str, Any]:
        return {"tool": "liftout", "engine": engine, "precision": precision, "edges": edges, **more}

    yield "onnxruntime", Way(ours("onnxruntime", "fp32", "plain"))
    yield "rembg", Way({"tool": "rembg"})
    if installed("openvino"):
        yield "openvino", Way(ours("openvino", "fp32", "plain"))
    yield "torch", Way({"tool": "torch"})
    yield "onnxruntime, edges auto", Way(ours("onnxruntime", "fp32", "auto"))
    if "BF16" in openvino_capabilities():
        yield "openvino bf16", Way(ours("openvino", "bf16", "plain"))
        yield "openvino bf16, edges auto", Way(ours("openvino", "bf16", "auto"))
    if (model, megapixels) in STEPS:
        yield "published graph, Pillow's PNG", Way(ours("onnxruntime", "fp32", "plain", encoder="pillow"), True)
        yield "published graph", Way(ours("onnxruntime", "fp32", "plain"), True)


def short_cases() -> Iterator[Case]:
    """What `--short` compares: rembg with a model, and what we run in its place."""
    from liftout.engines.choice import installed

    yield Case("import", 0.0, {tool: Way({"tool": tool, "does": "import"}) for tool in ("liftout", "rembg")})
    for model, sizes in SHORT.items():
        ours = {"tool": "liftout", "engine": "onnxruntime", "precision": "fp32", "edges": "auto"}
        ways = {"onnxruntime, edges auto": Way(ours), "rembg": Way({"tool": "rembg"})}
        ways["onnxruntime"] = Way({**ours, "edges": "plain"})
        if installed("openvino"):
            ways["openvino, edges auto"] = Way({**ours, "engine": "openvino"})
        if model == "u2netp":  # U2-Net's int8 form falls short of its bar and is not written
            ways["int8, edges auto"] = Way({**ours, "precision": "int8"})
            ways["pocket, edges auto"] = Way({**ours, "model": "pocket", "precision": "auto"})
            ways["pocket"] = Way({**ours, "model": "pocket", "precision": "auto", "edges": "plain"})
        yield from (Case(model, megapixels, ways) for megapixels in sizes)


def processor_class() -> str:
    """The first of CLASSES that this machine's processor is of, or `other`."""
    flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    return next((name for name, wanted in CLASSES.items() if flags.intersection(wanted)), "other")


class Missing(Exception):
    """Something that a measurement needs is not here; one line."""


class Results:
    """What has been measured: lines of JSON, the first of which says on which machine."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path, self.machine = path, machine()
        self.rows: list[dict[str, Any]] = []
        if resume and path.is_file():
            first, *rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            different = [key for key, value in self.machine.items() if first.get(key) != value and key != "date"]
            if different:
                raise Missing(f"{path} was measured with another {', '.join(different)}; begin anew without --resume")
            self.machine, self.rows = first, rows
        else:
            path.write_text(json.dumps(self.machine) + "\n", encoding="utf-8")

    def has(self, key: dict[str, Any]) -> bool:
        """Whether this has been measured, and did not fail."""
        return any(all(row[name] == value for name, value in key.items()) for row in self.rows if "error" not in row)

    def add(self, row: dict[str, Any]) -> None:
        """Keep a measurement."""
        self.rows.append(row)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def machine() -> dict[str, Any]:
    """Where it is measured, and with what."""
    told = dict(
        line.split(":", 1) for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if ":" in line
    )
    model = next((value.strip() for key, value in told.items() if key.strip() == "model name"), platform.processor())
    units = [
        name
        for name in ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
        if name in Path("/proc/cpuinfo").read_text()
    ]
    return {
        "cpu": f"{model} ({', '.join(units) or platform.machine()})",
        "cores": len(os.sched_getaffinity(0)),
        "memory": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()}, Python {platform.python_version()}",
        "liftout": ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "openvino", "torch", "pillow")),
        "rembg": ", ".join(peer_versions("rembg", "onnxruntime", "pillow")),
        "date": str(datetime.datetime.now(tz=datetime.UTC).date()),
    }


def peer_versions(*names: str) -> list[str]:
    """What the peers' environment holds."""
    code = f"from importlib.metadata import version\nfor name in {names!r}: print(name, version(name))"
    found = subprocess.run([python_of("rembg", REMBG), "-c", code], check=True, capture_output=True, text=True)
    return found.stdout.split("\n")[:-1]


def one_round(case: Case, number: int, measured: Results) -> None:
    """Run every way of a case once, unless that is done."""
    for name, way in case.ways.items():
        key = {"case": case.name, "megapixels": case.megapixels, "way": name, "round": number}
        if measured.has(key):
            continue
        try:
            command, environment = program(case, way)
        except subprocess.CalledProcessError as error:
            raise Missing(f"{name} of {case.name}: {(error.stderr or b'').decode().strip()[-300:] or error}") from None
        asked = {**command[-1], "started": time.monotonic()}
        ran = subprocess.run(
            [*command[:-1], json.dumps(asked)], capture_output=True, text=True, env=environment, check=False
        )
        if ran.returncode == 0:
            told = json.loads(ran.stdout.splitlines()[-1])
            shown = f"{told['cpu']:.2f} s CPU, {told['wall']:.2f} s, {told['peak'] / 1e6:.0f} MB"
        else:
            said = (ran.stderr.strip().splitlines() or ["nothing was said"])[-1]
            told = {"error": f"ended with {ran.returncode}: {said}"[:300]}
            shown = told["error"]
        size = f" {case.megapixels:g} MP" if case.megapixels else ""
        print(f"{case.name}{size}, {name}, round {number + 1}: {shown}", file=sys.stderr, flush=True)
        measured.add({**key, **told})


def program(case: Case, way: Way) -> tuple[list[Any], dict[str, str]]:
    """Command and environment of a measurement; what it needs is made the first time. The command's last item is for `timed.py`."""
    asked = dict(way.asked)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("LIFTOUT_", "PYTHON", "OMP_"))
    }
    environment |= {"HTTPS_PROXY": NOWHERE, "HTTP_PROXY": NOWHERE, "NO_PROXY": ""}
    if asked["tool"] == "rembg":
        python = python_of("rembg-commands", REMBG_WITH_COMMANDS) if case.name == "help" else python_of("rembg", REMBG)
        compiled(python)
        environment |= {"U2NET_HOME": str(FOLDER / "published")}
    else:
        python = Path(sys.executable)
        home = FOLDER / ("home-published" if way.published else "home")
        environment |= {"PYTHONPATH": str(installed()), "LIFTOUT_HOME": str(home), "LIFTOUT_OFFLINE": "1"}
    if case.megapixels:
        asked = {"model": case.name, "photo": str(photo(case.megapixels)), "photos": STEADY_PHOTOS, **asked}
        if asked["tool"] == "rembg":
            published(case.name)
        elif asked["tool"] == "torch":
            asked |= {"checkpoint": str(checkpoint(case.name)), "threads": len(os.sched_getaffinity(0))}
        elif way.published:
            environment |= {"LIFTOUT_CATALOG": str(published_home(case.name))}
        elif asked["model"] == case.name:
            pack(case.name, asked["precision"])
    return [python, "-P", Path(__file__).with_name("timed.py"), asked], environment


def compiled(python: Path) -> None:
    """Import rembg once: the first import compiles for most of a minute, and that is not what is compared."""
    done = python.parent.parent / "compiled.txt"
    if not done.is_file():
        subprocess.run([python, "-c", "import rembg"], check=True, capture_output=True)
        done.touch()


@functools.cache
def installed() -> Path:
    """A folder that holds this checkout as pip would install it, with byte code beside the source; rembg's was written by pip."""
    folder = FOLDER / "installed"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "src" / "liftout", folder / "liftout")
    subprocess.run([sys.executable, "-m", "compileall", "-q", folder], check=True)
    return folder


def photo(megapixels: float) -> Path:
    """The example photo at a size, with the grain of a camera, as JPEG."""
    path = FOLDER / f"photo-{megapixels:g}.jpg"
    if not path.is_file():
        from benchmarks import base

        path.write_bytes(base.photo(PHOTOS[megapixels]))
    return path


def checkpoint(model: str) -> Path:
    """The weights in a file that every tool here reads; a published ONNX file where one is here, as U2NetP's is."""
    import torch

    from benchmarks.models import reference_state
    from liftout.models.catalog import find

    for path in (FOLDER / "weights" / f"{model}.onnx", SHARED / "data" / "weights" / f"{model}.onnx"):
        if path.is_file():
            return path
    if model == "u2netp":
        raise Missing(f"{path} is not there; it is what rembg downloads for u2netp")
    path = FOLDER / "checkpoints" / f"{model}.pth"
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(".part")
        torch.save(
            decided(find(model), reference_state(model, find(model).architecture, SHARED / "reference")), partial
        )
        partial.replace(path)
    return path


def decided(spec: ModelSpec, state: dict[str, Any]) -> dict[str, Any]:
    """The same weights with a last convolution that is sure of most pixels of the photo, half of them subject.

    As they are, reference weights leave every pixel half transparent, which no photo does: PNGs and edges would cost more than
    they ever do.
    """
    import torch

    from liftout import graphs
    from liftout.images import decode
    from liftout.networks import load_network

    tensor, _ = graphs.prepare(decode(photo(2.0)).seen_by_network(), spec.input)
    order = spec.patch_order or "cgw"
    network = load_network(spec.architecture, dict(state), patch_order=order, sigmoid=False).eval()
    with torch.inference_mode():
        logits = network(torch.from_numpy(tensor))
    gain = SURE / float(logits.std())
    last = LAST[spec.architecture.split("_")[0]]
    state[f"{last}.weight"] = state[f"{last}.weight"] * gain
    state[f"{last}.bias"] = (state[f"{last}.bias"] - logits.median()) * gain
    return state


def pack(model: str, precision: str) -> None:
    """Convert the weights into the cache that our ways read: an int8 pack, or one that engines compute in any other precision."""
    kept = "int8" if precision == "int8" else "fp32"
    if (FOLDER / "home" / "packs" / (f"{model}-int8" if kept == "int8" else model) / "manifest.json").is_file():
        return
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "LIFTOUT_HOME": str(FOLDER / "home")}
    command = [
        sys.executable,
        "-m",
        "liftout",
        "convert",
        model,
        "--checkpoint",
        checkpoint(model),
        "--precision",
        kept,
    ]
    subprocess.run(command, check=True, capture_output=True, env=environment)


def published(model: str) -> Path:
    """The published graph, under the name by which rembg looks for it."""
    path = FOLDER / "published" / f"{model}.onnx"
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        if checkpoint(model).suffix == ".onnx":
            shutil.copyfile(checkpoint(model), path)
        else:
            environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
            partial = path.with_suffix(".part")
            command = [sys.executable, "-m", "benchmarks.published", model, checkpoint(model), partial]
            subprocess.run(command, check=True, capture_output=True, env=environment)
            partial.replace(path)
    return path


def published_home(model: str) -> Path:
    """A cache that holds the published graph only. Returns a folder with the catalogue entry of this very file."""
    from liftout.models.catalog import find

    home = FOLDER / "home-published"
    spec = find(model)
    name = next(file.name for file in spec.files if file.role == "onnx")
    path = home / "models" / spec.stored_as / name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(published(model), path)
    entry = home / "overlay" / f"{model}.toml"
    if not entry.is_file():
        entry.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        facts = f'role = "onnx"\nname = "{name}"\nbytes = {path.stat().st_size}\nsha256 = "{sha256}"\n'
        entry.write_text(f'[["{model}".files]]\n{facts}', encoding="utf-8")
    return entry.parent


if __name__ == "__main__":
    sys.exit(main())
