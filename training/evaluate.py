"""Measure the pocket model beside others: `python -m training.evaluate`.

Prints, for the 200 ECSSD photos, maxF, MAE, S-measure, mIoU and milliseconds of the network alone, for pocket, U2NetP (the
recipe of its authors) and OpenCV's GrabCut started from a centred box; then pocket's mean alpha over the pictures without
a subject. `--pictures DIR` also draws the 24 worst and 24 random photos with their alphas.
"""

from __future__ import annotations

import argparse
import io
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image, ImageDraw

from liftout import graphs
from liftout.models.catalog import find
from liftout.tuning.network import MEAN, STD
from liftout.tuning.scores import Score, Summary, score, summarise
from training.export import SHIPPED
from training.photos import DATA, ROOT, read_names

UInt8Array = npt.NDArray[np.uint8]
Method = Callable[[Image.Image], tuple[UInt8Array, float]]


class Network:
    """An ONNX file; `time` holds the seconds that its last run took."""

    def __init__(self, path: Path, threads: int = 2):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0]
        self.output = self.session.get_outputs()[0].name
        self.side = int(self.input.shape[2])

    def __call__(self, tensor: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], float]:
        started = time.perf_counter()
        prediction = np.asarray(self.session.run([self.output], {self.input.name: tensor})[0])
        return prediction, time.perf_counter() - started


def pocket(path: Path) -> Method:
    """Photo -> alpha at its size by the file `path`, through the pixel graphs and the catalogue entry of the product."""
    network = Network(path)
    spec = find("pocket").with_size((network.side, network.side))

    def cut(photo: Image.Image) -> tuple[UInt8Array, float]:
        tensor, box = graphs.prepare(np.array(photo), spec.input)
        prediction, seconds = network(tensor)
        return graphs.finish(prediction, (photo.height, photo.width), spec.output, box=box), seconds

    return cut


def u2netp(path: Path) -> Method:
    """The authors' recipe: bilinear without antialias, divided by the maximum, result stretched to its full range."""
    import torch
    from torch.nn import functional

    network = Network(path)

    def cut(photo: Image.Image) -> tuple[UInt8Array, float]:
        pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None].float()
        small = functional.interpolate(pixels, size=(320, 320), mode="bilinear", align_corners=False)[0]
        scaled = (small / small.max().clamp(min=1e-6)).permute(1, 2, 0).numpy()
        prediction, seconds = network(normalised(scaled))
        low, high = float(prediction.min()), float(prediction.max())
        return _enlarge((prediction[0, 0] - low) / max(high - low, 1e-6), photo.size), seconds

    return cut


def grabcut(photo: Image.Image) -> tuple[UInt8Array, float]:
    """OpenCV's GrabCut (Rother et al. 2004, SIGGRAPH), five rounds from a box that leaves out a tenth at each side."""
    import cv2

    started = time.perf_counter()
    pixels = np.ascontiguousarray(np.asarray(photo)[:, :, ::-1])
    height, width = pixels.shape[:2]
    labels = np.zeros((height, width), np.uint8)
    box = (width // 10, height // 10, width - 2 * (width // 10), height - 2 * (height // 10))
    cv2.setRNGSeed(0)
    cv2.grabCut(pixels, labels, box, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_RECT)
    alpha = np.where((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD), 255, 0).astype(np.uint8)
    return alpha, time.perf_counter() - started


def measure(method: Method, pairs: list[tuple[Path, Path]]) -> tuple[list[Score], float]:
    """Scores of `method` over photo and mask files, and its median milliseconds."""
    scores, seconds = [], []
    for photo_path, mask_path in pairs:
        alpha, took = method(Image.open(photo_path).convert("RGB"))
        scores.append(score(alpha, np.asarray(Image.open(mask_path).convert("L"))))
        seconds.append(took)
    return scores, 1000 * float(np.median(seconds))


def ecssd(folder: Path = DATA / "eval" / "ecssd") -> list[tuple[Path, Path]]:
    photos = sorted((folder / "images").glob("*.jpg"))
    return [(photo, folder / "masks" / f"{photo.stem}.png") for photo in photos]


def bare_photos(list_file: Path = ROOT / "no_subject.txt", tars: Path = DATA / "train") -> list[Image.Image]:
    """The pictures without a subject, read from the training tars."""
    names = {f"{name}.photo.webp" for name in read_names(list_file)}
    photos = {}
    for tar in sorted(tars.glob("*.tar")):
        with tarfile.open(tar) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.name in names else None
                if stream is not None:
                    photos[member.name] = Image.open(io.BytesIO(stream.read())).convert("RGB")
    if missing := names - photos.keys():
        raise FileNotFoundError(f"{len(missing)} pictures of {list_file.name} are not in {tars}: {min(missing)}")
    return [photos[name] for name in sorted(photos)]


def draw(method: Method, pairs: list[tuple[Path, Path]], scores: list[Score], path: Path) -> None:
    """Photo, human mask and alpha of each pair, four to a row, captioned with name and error."""
    cell, caption = 150, 14
    rows = (len(pairs) + 3) // 4
    sheet = Image.new("RGB", (4 * (3 * cell + 8), rows * (cell + caption)), "white")
    pen = ImageDraw.Draw(sheet)
    for index, ((photo_path, mask_path), result) in enumerate(zip(pairs, scores, strict=True)):
        x, y = index % 4 * (3 * cell + 8), index // 4 * (cell + caption)
        photo = Image.open(photo_path).convert("RGB")
        pen.text((x + 2, y), f"{photo_path.stem}  MAE {result.mae:.3f}", fill="black")
        alpha = Image.fromarray(method(photo)[0])
        for place, picture in enumerate((photo, Image.open(mask_path).convert("L"), alpha)):
            fitted = picture.convert("RGB")
            fitted.thumbnail((cell - 2, cell - 2))
            sheet.paste(fitted, (x + place * cell, y + caption))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def normalised(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    scaled = (pixels - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def _enlarge(prediction: npt.NDArray[np.float32], size: tuple[int, int]) -> UInt8Array:
    alpha = np.asarray(Image.fromarray(prediction).resize(size, Image.Resampling.BILINEAR))
    return np.clip(np.round(alpha * 255), 0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path, default=SHIPPED, help="ONNX file of the pocket model")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--only-pocket", action="store_true")
    parser.add_argument("--pictures", type=Path, help="folder for worst.png and random.png")
    options = parser.parse_args()
    pairs = ecssd(options.data / "eval" / "ecssd")
    methods: dict[str, Method] = {"pocket": pocket(options.network)}
    if not options.only_pocket:
        methods["u2netp"] = u2netp(options.data / "weights" / "u2netp.onnx")
        methods["grabcut"] = grabcut
    print(f"{len(pairs)} photos of ECSSD\n{'method':10}{'maxF':>8}{'MAE':>8}{'S':>8}{'mIoU':>8}{'ms':>8}")
    results = {}
    for name, method in methods.items():
        results[name], milliseconds = measure(method, pairs)
        total: Summary = summarise(results[name])
        print(f"{name:10}{total.max_f:8.4f}{total.mae:8.4f}{total.s_measure:8.4f}{total.miou:8.4f}{milliseconds:8.1f}")
    bare = [float(methods["pocket"](photo)[0].mean()) / 255 for photo in bare_photos(tars=options.data / "train")]
    print(f"pocket over {len(bare)} pictures without a subject: mean alpha {np.mean(bare):.4f}, worst {max(bare):.3f}")
    if options.pictures:
        order = np.argsort([-s.mae for s in results["pocket"]])[:24]
        others = np.random.default_rng(0).choice(len(pairs), min(24, len(pairs)), replace=False)
        for name, chosen in (("worst", order), ("random", others)):
            some = [pairs[k] for k in chosen]
            draw(methods["pocket"], some, [results["pocket"][k] for k in chosen], options.pictures / f"{name}.png")


if __name__ == "__main__":
    main()
