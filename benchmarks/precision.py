"""What fp16 and int8 packs cost and gain: bytes, milliseconds, alpha.

python -m benchmarks.precision [agreement|real|large ...] [--models NAME ...] [--untimed] [--packs DIR] [--write docs/precision.md]

Needs `../shared/data` (real U2NetP weights, training photos, ECSSD) and `../shared/reference` (weights of the large networks, which
nobody trained), the extras `convert` and `openvino`.

agreement  u2netp's real weights, in fp16 and in int8 as `liftout convert` makes it where nothing else is asked for: agreement with fp32
        on the 200 photos of ECSSD, the average and the worst photo; packs that are in DIR already are not made again
real    u2netp and pocket with their real weights, int8 calibrated on training photos: agreement with fp32, and maxF and MAE on
        ECSSD through the whole pipeline
large   U2-Net, IS-Net and BiRefNet-lite with reference weights: bytes, milliseconds and agreement; real weights decide
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.models import write_checkpoint
from benchmarks.pages import write_part
from liftout import Remover, find
from liftout.agreement import measure
from liftout.convert import convert_model
from liftout.engines import NetworkFile, open_network
from liftout.machine import processor
from liftout.models import packs
from liftout.options import RunOptions
from liftout.tuning.scores import score, summarise

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
REAL = ("u2netp", "pocket")
LARGE = ("u2net", "isnet-general-use", "birefnet-general-lite")
PRECISIONS = ("fp32", "fp16", "int8")
CALIBRATED_ON = 128
"""Training photos; a quarter of them measures the agreement."""

TIMED = """
import json, sys, time
from pathlib import Path
import numpy as np
from liftout.models import packs
from liftout.engines import open_network
from liftout.errors import LiftoutError
from liftout.options import RunOptions
from liftout.models.local import from_pack
pack = packs.read(Path(sys.argv[1]))
file = from_pack(pack, pack.spec, "pack").file
network = open_network(file, RunOptions(engine=sys.argv[2], precision="fp32"))
tensor = np.random.default_rng(0).normal(size=(1, 3, *file.size)).astype(np.float32)
network.run(tensor)
took = []
while len(took) < 5 or (sum(took) < 3 and len(took) < 40):
    started = time.perf_counter()
    network.run(tensor)
    took.append(time.perf_counter() - started)
print(json.dumps(1000 * float(np.median(took))))
"""


def main() -> int:
    """Print the tables; exit status 1 where a real model falls below its bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="agreement, real, large")
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument(
        "--untimed", action="store_true", help="leave the milliseconds out, on a machine with other work"
    )
    parser.add_argument("--packs", type=Path, metavar="DIR", help="where to keep the packs of `agreement`")
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    if not (SHARED / "data" / "eval" / "ecssd").is_dir():
        print(f"precision: {SHARED} does not hold data/eval/ecssd", file=sys.stderr)
        return 3
    below = False
    for part in asked.parts or ("agreement", "real", "large"):
        if part == "agreement":
            lines = u2netp_beside_itself(asked.packs)
            print("\n".join(lines), flush=True)
            if asked.write:
                write(asked.write, part, lines, timed=False)
            continue
        names = [name for name in {"real": REAL, "large": LARGE}[part] if not asked.models or name in asked.models]
        rows = []
        with made_packs(names, part) as folders:
            for name, folder in folders:
                rows += [row(name, folder, precision, part, timed=not asked.untimed) for precision in PRECISIONS]
                below |= part == "real" and any(line[-1] for line in rows)
        lines = table(part, [line[0] for line in rows], timed=not asked.untimed)
        print("\n".join(lines), flush=True)
        if asked.write:
            write(asked.write, part, lines, timed=not asked.untimed)
    return 1 if below else 0


def u2netp_beside_itself(kept: Path | None) -> list[str]:
    """Lines of Markdown: U2NetP in fp16 and int8 compared with fp32 on ECSSD. kept: a folder for its packs."""
    spec, found = find("u2netp"), []
    with tempfile.TemporaryDirectory() as name:
        folders, networks = {}, {}
        for precision in PRECISIONS:
            target = (kept or Path(name)) / ("u2netp" if precision == "fp32" else f"u2netp-{precision}")
            if not target.is_dir():
                source = SHARED / "data" / "weights" / "u2netp.pth"
                convert_model(spec, source, precision=precision, out_dir=target.parent, keep_below_bar=True)
            folders[precision], networks[precision] = packs.read(target), Remembering(target)
        for precision in PRECISIONS[1:]:
            told = measure(networks[precision], networks["fp32"], spec, ecssd())
            layers = folders[precision].manifest.agreement.get("layers_in_float")
            cells = [
                precision,
                f"{folders[precision].bytes / 1e6:.1f}",
                "" if layers is None else f"{len(layers)} of 118",
            ]
            cells += [f"{told.difference:.5f}", f"{told.worst.difference:.5f}"]
            cells += [f"{told.iou:.4f}", f"{told.worst_iou.iou:.4f}"]
            found.append(cells)
    head = ["u2netp in", "MB", "layers in float", "mean difference", "worst photo", "IoU at 128", "worst photo"]
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *found)]


class Remembering:
    """The network of a pack; what it said of a photo is said again."""

    def __init__(self, folder: Path) -> None:
        pack = packs.read(folder)
        file = NetworkFile(name=pack.spec.name, path=pack.network, size=pack.spec.input.size)
        self._network = open_network(file, RunOptions(engine="onnxruntime", precision="fp32"))
        self._said: dict[bytes, Any] = {}

    def run(self, tensor: Any) -> Any:
        """See `Network.run`."""
        key = hashlib.blake2b(tensor.tobytes(), digest_size=16).digest()
        if key not in self._said:
            self._said[key] = self._network.run(tensor)
        return self._said[key]


def ecssd() -> Iterator[tuple[str, Any]]:
    """Names and pixels of the 200 photos."""
    for path in sorted((SHARED / "data" / "eval" / "ecssd" / "images").glob("*.jpg")):
        yield path.name, np.asarray(Image.open(path).convert("RGB"))


@contextmanager
def made_packs(names: list[str], part: str) -> Iterator[Iterator[tuple[str, Path]]]:
    """Name and LIFTOUT_HOME of each model, one after the other, with its packs of all precisions in it."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        photos = training_photos(work / "photos") if part == "real" else None
        yield (made(model, part, photos, work / model) for model in names)


def made(name: str, part: str, photos: Path | None, home: Path) -> tuple[str, Path]:
    """Make all packs of a model in an empty LIFTOUT_HOME."""
    spec, folder = find(name), home / "packs"
    os.environ["LIFTOUT_HOME"] = str(home)
    folder.mkdir(parents=True)
    if name == "pocket":
        (folder / "pocket").symlink_to(packs.built_in("pocket").folder)
        source: Any = folder / "pocket"
    elif part == "real":
        source = SHARED / "data" / "weights" / f"{name}.pth"
    else:
        source = home / "checkpoint.pth"
        write_checkpoint(source, name, spec.architecture, SHARED / "reference")
    for precision in PRECISIONS:
        if (name, precision) == ("pocket", "fp32"):
            continue
        given = located(source) if name == "pocket" else source
        started = time.perf_counter()
        convert_model(spec, given, precision=precision, calibrate=photos, out_dir=folder, keep_below_bar=True)
        print(f"{name} in {precision}: made in {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return name, home


def located(folder: Path) -> Any:
    """The network of a pack, as `convert_model` takes one that is here."""
    from liftout.models.local import from_pack

    pack = packs.read(folder)
    return from_pack(pack, pack.spec, "pack")


def training_photos(folder: Path) -> Path:
    """Some training photos, evenly from every source."""
    folder.mkdir()
    tars = sorted((SHARED / "data" / "train").glob("*.tar"))
    for tar in tars:
        with tarfile.open(tar) as archive:
            members = [member for member in archive.getmembers() if member.name.endswith(".photo.webp")]
            for member in members[:: max(1, len(members) * len(tars) // CALIBRATED_ON)]:
                if "BACKGROUND_Google" not in member.name and (stream := archive.extractfile(member)):
                    (folder / Path(member.name).name).write_bytes(stream.read())
    return folder


def row(name: str, home: Path, precision: str, part: str, *, timed: bool) -> tuple[list[str], bool]:
    """Cells of the table, and whether the pack is below its bar."""
    folder = home / "packs" / (name if precision == "fp32" else f"{name}-{precision}")
    size = sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".onnx", ".bin"))
    agreement: dict[str, Any] = dict(packs.read(folder).manifest.agreement) if precision != "fp32" else {}
    quantization = agreement.get("quantization") or agreement
    kept = quantization.get("layers_in_float")
    cells = [name, precision, f"{size / 1e6:.1f}"]
    for engine in ("onnxruntime", "openvino") if timed else ():
        ended = subprocess.run(
            [sys.executable, "-c", TIMED, str(folder), engine], capture_output=True, text=True, check=False
        )
        cells.append(f"{json.loads(ended.stdout):.0f}" if ended.returncode == 0 else "-")
    if precision == "fp32":
        cells += [""] * 5
    else:
        cells += [f"{agreement['mean_difference']:.5f}", f"{agreement['worst']['mean_difference']:.5f}"]
        cells += [f"{agreement['iou_at_128']:.4f}", f"{agreement['worst_iou']['iou_at_128']:.4f}"]
        cells.append("" if kept is None else f"{len(kept)} of {quantization['layers']}")
    if part == "real":
        cells += quality(name, precision)
    return cells, bool(agreement.get("below_bar"))


def quality(name: str, precision: str) -> list[str]:
    """maxF and MAE on the 200 photos of ECSSD."""
    folder = SHARED / "data" / "eval" / "ecssd"
    with Remover(name, engine="onnxruntime", precision=precision) as remover:  # type: ignore[arg-type]
        if remover.precision != precision:
            raise SystemExit(f"{name} ran in {remover.precision} instead of {precision}")
        scores = [
            score(remover(path).alpha, np.asarray(Image.open(folder / "masks" / f"{path.stem}.png").convert("L")))
            for path in sorted((folder / "images").glob("*.jpg"))
        ]
    total = summarise(scores)
    return [f"{total.max_f:.4f}", f"{total.mae:.4f}"]


def table(part: str, rows: list[list[str]], *, timed: bool) -> list[str]:
    """Lines of Markdown."""
    head = ["model", "precision", "MB", *(["ONNX Runtime, ms", "OpenVINO, ms"] if timed else [])]
    head += ["mean difference", "its worst", "IoU", "its worst", "layers in float"]
    head += ["maxF", "MAE"] if part == "real" else []
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def write(page: Path, part: str, lines: list[str], *, timed: bool) -> None:
    """Replace one table of the page."""
    today = datetime.datetime.now(tz=datetime.UTC).date()
    where = f"Measured {today} on {processor()}, {os.cpu_count()} cores{'; network alone, median' if timed else ''}."
    write_part(page, part, [*lines, "", where])


if __name__ == "__main__":
    sys.exit(main())
