"""Reduced precision, measured: `python -m training.reduce RUN`.

Compares float16-stored weights and int8 (static, per channel, calibrated on training photos) with fp32: bytes, mean absolute
difference and IoU of the alphas to fp32, maxF and MAE on ECSSD, milliseconds. Calibration never sees a photo that is
measured.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

from training.cache import CACHE, ROOT, Cache, open_cache
from training.evaluate import DATA, Network, ecssd, measure, normalised, pocket
from training.export import load_run, store_as_half, to_onnx, write
from training.scores import summarise
from training.train import read_names, select


class CalibrationPhotos(CalibrationDataReader):
    """Photos of the cache as the network's input, one at a time."""

    def __init__(self, cache: Cache, rows: npt.NDArray[np.int64], side: int):
        self._tensors = self._read(cache, rows, side)

    def _read(
        self, cache: Cache, rows: npt.NDArray[np.int64], side: int
    ) -> Iterator[dict[str, npt.NDArray[np.float32]]]:
        for row in rows:
            photo = Image.fromarray(cache.photos[row]).resize((side, side), Image.Resampling.BILINEAR)
            yield {"input": normalised(np.asarray(photo, np.float32) / 255)}

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        return next(self._tensors, None)


def to_int8(model: onnx.ModelProto, photos: CalibrationPhotos) -> onnx.ModelProto:
    """int8 weights per channel, uint8 activations. The stem, which meets the photo's full range, and the last convolution,
    which decides the alpha, stay in float32."""
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, reduced = (Path(folder) / name for name in ("plain.onnx", "prepared.onnx", "int8.onnx"))
        onnx.save(model, plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            reduced,
            photos,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Add", "Relu"],
            nodes_to_exclude=[convolutions[0], convolutions[-1]],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(reduced)


def agreement(first: Path, second: Path, photos: list[Path]) -> tuple[float, float]:
    """Mean absolute difference of two networks' alphas in [0, 1], and IoU at one half over all photos together."""
    one, two = Network(first), Network(second)
    side = one.input.shape[2]
    differences, both, either = [], 0, 0
    for path in photos:
        photo = Image.open(path).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
        tensor = normalised(np.asarray(photo, np.float32) / 255)
        a, b = one(tensor)[0], two(tensor)[0]
        differences.append(float(np.abs(a - b).mean()))
        both += int(((a >= 0.5) & (b >= 0.5)).sum())
        either += int(((a >= 0.5) | (b >= 0.5)).sum())
    return float(np.mean(differences)), both / max(1, either)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument("--cache", type=Path, default=CACHE / "288")
    parser.add_argument("--calibrate", type=int, default=200, help="number of training photos to calibrate on")
    options = parser.parse_args()
    folder = options.runs / options.run
    full = to_onnx(load_run(folder))
    cache = open_cache(options.cache)
    selection = select(cache, read_names(ROOT / "no_subject.txt"), read_names(ROOT / "scenes.txt"))
    rows = np.random.default_rng(0).choice(
        selection.photos, min(options.calibrate, len(selection.photos)), replace=False
    )
    side = full.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    variants = {
        "fp32": full,
        "fp16 weights": store_as_half(full),
        "int8": to_int8(full, CalibrationPhotos(cache, rows, side)),
    }
    pairs = ecssd(DATA / "eval" / "ecssd")
    print(f"{'precision':14}{'bytes':>10}{'mean diff':>11}{'IoU':>9}{'maxF':>8}{'MAE':>8}{'ms':>7}")
    for name, model in variants.items():
        path = folder / f"{name.replace(' ', '-')}.onnx"
        write(model, path, largest=None)
        difference, iou = agreement(folder / "fp32.onnx", path, [photo for photo, _ in pairs])
        scores, milliseconds = measure(pocket(path), pairs)
        total = summarise(scores)
        print(
            f"{name:14}{path.stat().st_size:10}{difference:11.5f}{iou:9.4f}{total.max_f:8.4f}{total.mae:8.4f}{milliseconds:7.1f}"
        )


if __name__ == "__main__":
    main()
