"""Edges against the truth, against rembg 2.0.86 and pymatting: alpha, matting, colours, cost.

python benchmarks/edges.py [upsampling|matting|colours|cost ...] [--write docs/edges.md]

Needs `../shared/data` (14 photos of alphamatting.com with their true alphas; U2NetP), the extra `matting`, and the package index
the first time, for the peers' own environment. Takes a few minutes.

upsampling  the truth reduced to what a network predicts, and U2NetP's own predictions, taken back to full size
matting     from the trimaps of alphamatting.com: error, CPU seconds and memory of our solver and pymatting's
colours     pymatting's foregrounds over known backgrounds with the true alpha: how well the foreground is found again
cost        12 megapixels: finish and cutout, CPU seconds and memory
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.pages import write_part
from benchmarks.peers import REMBG, python_of

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"
PARTS = ("upsampling", "matting", "colours", "cost")
RUNS = 3
PEAK = """
def peak():  # of this program alone: what getrusage tells starts with what its parent held
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
"""

BLUR = 3.0
"""Standard deviation in cells: a prediction that saw the hair but not its strands, as networks give it."""


def main() -> int:
    """Print the tables; exit status 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    if not (asked.data / "eval" / "alphamatting").is_dir():
        print(f"edges: {asked.data} does not hold eval/alphamatting; give --data", file=sys.stderr)
        return 3
    kept = True
    for part in asked.parts or PARTS:
        lines, good = MEASURES[part](asked.data)
        kept &= good
        print("\n".join(lines), flush=True)
        if asked.write:
            write(asked.write, part, lines)
    return 0 if kept else 1


def write(page: Path, part: str, lines: list[str]) -> None:
    """Replace one table of the page."""
    today = datetime.datetime.now(tz=datetime.UTC).date()
    write_part(page, part, [*lines, "", f"Measured {today} on {platform.machine()}, {os.cpu_count()} cores."])


def photos(data: Path) -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Name, photo uint8 [H, W, 3], true alpha uint8 [H, W], trimap uint8 [H, W] (0, 128, 255)."""
    folder = data / "eval" / "alphamatting"
    found = []
    for path in sorted((folder / "input").glob("*.png")):
        photo = np.asarray(Image.open(path).convert("RGB"))
        alpha, trimap = (np.asarray(Image.open(folder / kind / path.name).convert("L")) for kind in ("alpha", "trimap"))
        trimap = np.where((trimap > 0) & (trimap < 255), 128, trimap).astype(np.uint8)
        found.append((path.stem, photo, alpha, trimap))
    return found


# Errors: over the whole photo, alpha in [0, 1]


def sad(made: np.ndarray, true: np.ndarray) -> float:
    """Sum of absolute differences, in thousands, as alphamatting.com gives it."""
    return float(np.abs(made.astype(np.float64) - true).sum() / 255 / 1000)


def gradient_error(made: np.ndarray, true: np.ndarray) -> float:
    """Sum of squared differences of gradient magnitudes (Gaussian derivatives, sigma 1.4), in thousands.

    Source: Rhemann et al. 2009, "A Perceptually Motivated Online Benchmark for Image Matting", CVPR.
    """
    from scipy import ndimage

    one, other = (ndimage.gaussian_gradient_magnitude(a.astype(np.float64) / 255, 1.4) for a in (made, true))
    return float(((one - other) ** 2).sum() / 1000)


# Upsampling


def upsampling(data: Path) -> tuple[list[str], bool]:
    """Alpha from small predictions: bilinear, rembg's two ways, ours."""
    from liftout import graphs, matting
    from liftout.models.catalog import find

    lines = [
        "| prediction | way | summed SAD | less than bilinear | worst photo against bilinear | MAE | gradient error |",
        "|---|---|---|---|---|---|---|",
    ]
    kept = True
    for label, bar, given in (
        ("truth at 320 x 320", 0.5, reduced(data, 320)),
        ("truth at 512 x 512", 0.4, reduced(data, 512)),
        ("truth at 320 x 320, blurred", None, [cv2.GaussianBlur(made, (0, 0), BLUR) for made in reduced(data, 320)]),
        ("U2NetP's own", 0.0, predictions(data)),
    ):
        rows: dict[str, list[np.ndarray]] = {}
        for (_, photo, _, _), prediction in zip(photos(data), given, strict=True):
            size = photo.shape[:2]
            rows.setdefault("bilinear", []).append(resized(prediction, size, Image.Resampling.BILINEAR))
            rows.setdefault("rembg (Lanczos)", []).append(resized(prediction, size, Image.Resampling.LANCZOS))
            output = find("pocket").output
            auto = graphs.finish(prediction[None, None].astype(np.float32), size, output, image=photo)
            rows.setdefault("`--edges auto`", []).append(auto)
            cell = max(size[0] / prediction.shape[0], size[1] / prediction.shape[1])
            rows.setdefault("`--edges refined`", []).append(matting.refine(auto, photo, cell=cell))
        rows["rembg (alpha matting)"] = rembg_matting(data, rows["rembg (Lanczos)"])
        truths = [alpha for _, _, alpha, _ in photos(data)]
        base = [sad(made, true) for made, true in zip(rows["bilinear"], truths, strict=True)]
        for way in ("bilinear", "rembg (Lanczos)", "rembg (alpha matting)", "`--edges auto`", "`--edges refined`"):
            errors = [sad(made, true) for made, true in zip(rows[way], truths, strict=True)]
            less = 1 - sum(errors) / sum(base)
            worst = max(error / one for error, one in zip(errors, base, strict=True)) - 1
            mean = np.mean([np.abs(m.astype(float) - t).mean() / 255 for m, t in zip(rows[way], truths, strict=True)])
            gradient = sum(gradient_error(made, true) for made, true in zip(rows[way], truths, strict=True))
            lines.append(
                f"| {label} | {way} | {sum(errors):.1f} | {less:.0%} | {worst:+.1%} | {mean:.4f} | {gradient:.2f} |"
            )
            if way == "`--edges auto`" and bar is not None:
                kept &= less >= bar and (worst <= 0.02 or not bar)
    return lines, kept


def reduced(data: Path, side: int) -> list[np.ndarray]:
    """The true alpha averaged over the areas of side x side cells, float32 [side, side]."""
    alphas = [alpha / np.float32(255) for _, _, alpha, _ in photos(data)]
    return [cv2.resize(alpha, (side, side), interpolation=cv2.INTER_AREA) for alpha in alphas]


def predictions(data: Path) -> list[np.ndarray]:
    """U2NetP's own, float32 [320, 320], stretched to the full range as its authors do."""
    from liftout import graphs
    from liftout.engines import NetworkFile, open_network
    from liftout.models.catalog import find
    from liftout.options import RunOptions

    spec = find("u2netp")
    file = NetworkFile(name="u2netp", path=data / "weights" / "u2netp.onnx", size=spec.input.size, output=0)
    network = open_network(file, RunOptions(engine="onnxruntime"))
    found = []
    for _, photo, _, _ in photos(data):
        tensor, _ = graphs.prepare(photo, spec.input)
        prediction = network.run(tensor)[0, 0]
        low, high = prediction.min(), prediction.max()
        found.append((prediction - low) / (high - low))
    return found


def resized(plane: np.ndarray, size: tuple[int, int], way: Image.Resampling) -> np.ndarray:
    """float32 [h, w] in [0, 1] at another size, uint8."""
    made = np.asarray(Image.fromarray(plane.astype(np.float32)).resize(size[::-1], way))
    return np.rint(np.clip(made, 0, 1) * 255).astype(np.uint8)


REMBG_MATTING = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from rembg.bg import alpha_matting_cutout
photos, masks, results = map(Path, sys.argv[1:])
for path in sorted(masks.glob("*.png")):
    image = Image.open(photos / path.name).convert("RGB")
    made = alpha_matting_cutout(image, Image.open(path), 240, 10, 10)
    made.getchannel("A").save(results / path.name)
"""


def rembg_matting(data: Path, masks: list[np.ndarray]) -> list[np.ndarray]:
    """rembg's alpha matting with its default thresholds, from its masks."""
    with tempfile.TemporaryDirectory() as folder:
        given, results = Path(folder) / "masks", Path(folder) / "results"
        given.mkdir()
        results.mkdir()
        names = [name for name, *_ in photos(data)]
        for name, mask in zip(names, masks, strict=True):
            Image.fromarray(mask).save(given / f"{name}.png")
        source = data / "eval" / "alphamatting" / "input"
        command = [python_of("rembg", REMBG), "-c", REMBG_MATTING, source, given, results]
        subprocess.run(command, check=True, capture_output=True)
        return [np.asarray(Image.open(results / f"{name}.png")) for name in names]


# Matting

SOLVE = (
    PEAK
    + """
import json, sys, time
from pathlib import Path
import numpy as np
from PIL import Image
way, folder, results = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
if way == "pymatting":
    from pymatting import estimate_alpha_cf
    solve = lambda image, trimap: estimate_alpha_cf(image / 255.0, trimap / 255.0)
else:
    from liftout.matting import solve
paths = sorted((folder / "input").glob("*.png"))
spent = 0.0
for index, path in enumerate([paths[0], *paths]):
    image = np.asarray(Image.open(path).convert("RGB"))
    trimap = np.asarray(Image.open(folder / "trimap" / path.name).convert("L"))
    trimap = np.where((trimap > 0) & (trimap < 255), 128, trimap).astype(np.uint8)
    before = time.process_time()
    made = solve(image, trimap)
    if index:  # the first one compiles and loads
        spent += time.process_time() - before
        np.save(results / (path.stem + ".npy"), np.asarray(made, np.float32))
print(json.dumps({"cpu": spent, "rss": peak()}))
"""
)


def solve_matting(data: Path) -> tuple[list[str], bool]:
    """From true trimaps: error, CPU and memory."""
    lines = ["| solver | summed SAD in the unknown | CPU s for 14 photos | peak RSS MB |", "|---|---|---|---|"]
    found: dict[str, tuple[float, float, float]] = {}
    for way, python in (("pymatting", python_of("rembg", REMBG)), ("liftout", Path(sys.executable))):
        cpu, rss, error = [], [], 0.0
        for _ in range(RUNS):
            with tempfile.TemporaryDirectory() as folder:
                command = [python, "-c", SOLVE, way, data / "eval" / "alphamatting", folder]
                told = json.loads(
                    subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
                )
                cpu.append(told["cpu"])
                rss.append(told["rss"])
                error = sum(
                    sad(np.load(Path(folder) / f"{name}.npy")[trimap == 128] * 255, alpha[trimap == 128])
                    for name, _, alpha, trimap in photos(data)
                )
        found[way] = (error, float(np.median(cpu)), float(np.median(rss)) / 1e6)
        name = "pymatting 1.1.16, `estimate_alpha_cf`" if way == "pymatting" else "`liftout.matting.solve`"
        lines.append(f"| {name} | {found[way][0]:.2f} | {found[way][1]:.2f} | {found[way][2]:.0f} |")
    ours, theirs = found["liftout"], found["pymatting"]
    lines.append(
        f"| ours in shares of theirs | {ours[0] / theirs[0]:.3f} | {ours[1] / theirs[1]:.3f} | {ours[2] / theirs[2]:.2f} |"
    )
    return lines, ours[0] <= 1.1 * theirs[0] and ours[1] <= theirs[1] / 4 and ours[2] <= theirs[2] / 4


# Colours

MULTILEVEL = "pymatting's multilevel method"
OURS = "liftout's `cutout` graph"

FOREGROUND = """
import json, sys, time
from pathlib import Path
import numpy as np
from PIL import Image
from pymatting import estimate_foreground_cf, estimate_foreground_ml
folder, mode = Path(sys.argv[1]), sys.argv[2]
spent = 0.0
paths = sorted(folder.glob("*.npz"))
for index, path in enumerate([paths[0], *paths]):
    if index == 0 and mode.startswith("cf"):
        continue
    with np.load(path) as given:
        image, alpha = given["image"], given["alpha"]
    before = time.process_time()
    estimate = estimate_foreground_cf if mode.startswith('cf') else estimate_foreground_ml
    made = estimate(image / 255.0, alpha / 255.0)
    made = np.rint(np.clip(made, 0, 1) * 255).astype(np.uint8)
    if index:
        spent += time.process_time() - before
        np.save(folder / (path.stem + "." + mode + ".npy"), made)
print(json.dumps({"cpu": spent}))
"""


def colours(data: Path) -> tuple[list[str], bool]:
    """Known foregrounds over known backgrounds, found again; the foregrounds are those of two methods of pymatting."""
    lines = [
        "| true foregrounds from | method | mean absolute colour error in the soft band (levels) | CPU s for 14 photos |",
        "|---|---|---|---|",
    ]
    kept = True
    for truth, label in (
        ("cf", "closed-form (`estimate_foreground_cf`)"),
        ("ml", "multilevel (`estimate_foreground_ml`)"),
    ):
        found = colour_errors(data, truth)
        for method, (error, cpu) in found.items():
            lines.append(f"| {label} | {method} | {error:.2f} | {cpu:.2f} |")
        (their_error, their_cpu), (our_error, our_cpu) = found[MULTILEVEL], found[OURS]
        # The multilevel method's own foregrounds are smooth in its own way, which favours it: shown, not asked for.
        kept &= our_cpu <= their_cpu / 5 and (our_error <= their_error or truth == "ml")
    return lines, kept


def colour_errors(data: Path, truth: str) -> dict[str, tuple[float, float]]:
    """For each method the mean absolute error and the CPU seconds."""
    from liftout import graphs

    python = python_of("rembg", REMBG)

    def estimate(folder: Path, mode: str) -> float:
        command = [python, "-c", FOREGROUND, folder, mode]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        return float(json.loads(told)["cpu"])

    given = photos(data)
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        for name, photo, alpha, _ in given:
            np.savez(Path(first) / f"{name}.npz", image=photo, alpha=alpha)
        estimate(Path(first), truth)
        truths = {name: np.load(Path(first) / f"{name}.{truth}.npy") for name, *_ in given}
        composites = {}
        for index, (name, _, alpha, _) in enumerate(given):
            behind = given[(index + 5) % len(given)][1]
            behind = np.asarray(Image.fromarray(behind).resize(alpha.shape[::-1], Image.Resampling.BICUBIC))
            share = alpha[..., None] / 255
            composites[name] = np.rint(share * truths[name] + (1 - share) * behind).astype(np.uint8)
            np.savez(Path(second) / f"{name}.npz", image=composites[name], alpha=alpha)
        theirs_cpu = [estimate(Path(second), "ml") for _ in range(RUNS)]
        theirs = {name: np.load(Path(second) / f"{name}.ml.npy") for name, *_ in given}
    ours_cpu = []
    ours: dict[str, np.ndarray] = {}
    for _ in range(RUNS):
        graphs.cutout(composites[given[0][0]], given[0][2])
        before = time.process_time()
        ours = {name: graphs.cutout(composites[name], alpha)[..., :3] for name, _, alpha, _ in given}
        ours_cpu.append(time.process_time() - before)
    errors = {}
    for method, made, cpu in (
        ("the photo's own colours", composites, [0.0]),
        (MULTILEVEL, theirs, theirs_cpu),
        (OURS, ours, ours_cpu),
    ):
        bands = {name: (alpha > 0) & (alpha < 255) for name, _, alpha, _ in given}
        apart = [np.abs(made[name][band].astype(float) - truths[name][band]) for name, band in bands.items()]
        errors[method] = (float(np.concatenate(apart).mean()), float(np.median(cpu)))
    return errors


# Cost

TWELVE_MEGAPIXELS = (
    PEAK
    + """
import json, sys, time
import numpy as np
from liftout import graphs
from liftout.models.catalog import find
with np.load(sys.argv[1]) as given:
    image, prediction = given["image"], given["prediction"]
spec = find("pocket").output
def once():
    alpha = graphs.finish(prediction, image.shape[:2], spec, image=image)
    return graphs.cutout(image, alpha)
before = time.process_time()
made = once()
print(json.dumps({"cpu": time.process_time() - before, "rss": peak()}))
"""
)


def cost(data: Path) -> tuple[list[str], bool]:
    """Twelve megapixels through finish and cutout, a process of its own each, loading the graphs included."""
    lines = ["| 12 MP, from a prediction of | CPU s | peak RSS MB |", "|---|---|---|"]
    kept = True
    name, photo, alpha, _ = photos(data)[0]
    large = np.asarray(Image.fromarray(photo).resize((4000, 3000), Image.Resampling.BICUBIC))
    for side in (320, 1024):
        prediction = cv2.resize(alpha / np.float32(255), (side, side), interpolation=cv2.INTER_AREA)[None, None]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "given.npz"
            np.savez(path, image=large, prediction=np.ascontiguousarray(prediction, dtype=np.float32))
            runs = [
                json.loads(
                    subprocess.run(
                        [sys.executable, "-c", TWELVE_MEGAPIXELS, path], check=True, capture_output=True, text=True
                    ).stdout
                )
                for _ in range(2 * RUNS - 1)
            ]
        cpu, rss = float(np.median([r["cpu"] for r in runs])), float(np.median([r["rss"] for r in runs])) / 1e6
        lines.append(f"| {side} x {side} ({name}) | {cpu:.2f} | {rss:.0f} |")
        kept &= cpu <= 1.0 and rss <= 500
    return lines, kept


MEASURES: dict[str, Callable[[Path], tuple[list[str], bool]]] = {
    "upsampling": upsampling,
    "matting": solve_matting,
    "colours": colours,
    "cost": cost,
}

if __name__ == "__main__":
    sys.exit(main())
