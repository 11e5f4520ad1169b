"""Reduced precision, measured: `python -m training.reduce RUN`.

Stores a run's network with float32, float16 and int8 weights, and quantizes it with the product's own int8 (activations too;
calibrated on training photos). Compares them with float32 on the 200 ECSSD photos: bytes, mean absolute difference and IoU of
the alphas, maxF, MAE and milliseconds. Calibration never sees a photo that is measured.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from liftout import packs
from liftout.agreement import measure as measure_agreement
from liftout.catalog import find
from liftout.convert.precision import Photos, write_int8
from liftout.engines import EngineOptions, NetworkFile, open_network
from training.cache import CACHE, open_cache
from training.evaluate import DATA, ecssd, measure, pocket
from training.export import STORAGES, add_shape_options, network_of, write
from training.scores import summarise
from training.selection import select_by_lists


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shape_options(parser)
    parser.add_argument("--cache", type=Path, default=CACHE / "288")
    parser.add_argument("--calibrate", type=int, default=128, help="number of training photos to calibrate on")
    options = parser.parse_args()
    full = network_of(options)
    folder = options.runs / options.run / "reduced"
    cache = open_cache(options.cache)
    photos = select_by_lists(cache).photos
    rows = np.random.default_rng(0).choice(photos, min(options.calibrate, len(photos)), replace=False)
    pairs = ecssd(DATA / "eval" / "ecssd")
    seen = [(path.name, np.asarray(Image.open(path).convert("RGB"))) for path, _ in pairs]
    pictures = Photos([(cache.names[row], np.array(cache.photos[row])) for row in rows], seen, "training photos")
    spec, plain = find("pocket").with_size((options.size, options.size)), EngineOptions(precision="fp32")

    files = {name: folder / name / packs.NETWORK for name in (*STORAGES, "all int8")}
    for name, store in STORAGES.items():
        write(store(full), files[name], largest=None)
    source = NetworkFile(name="pocket", path=files["fp32"], size=spec.input.size)
    reference = open_network(source, engine="onnxruntime", options=plain)
    files["all int8"].parent.mkdir(exist_ok=True)
    write_int8(source, files["all int8"].parent, spec, pictures)

    print(f"{'weights':10}{'bytes':>10}{'mean diff':>11}{'IoU':>9}{'maxF':>8}{'MAE':>8}{'ms':>7}")
    for name in ("fp32", "fp16", "int8", "all int8"):
        file = NetworkFile(name="pocket", path=files[name], size=spec.input.size)
        network = open_network(file, engine="onnxruntime", options=plain)
        agreement = measure_agreement(network, reference, spec, pictures.measuring)
        network.close()
        scores, milliseconds = measure(pocket(files[name]), pairs)
        total = summarise(scores)
        print(
            f"{name:10}{files[name].stat().st_size:10}{agreement.difference:11.5f}{agreement.iou:9.4f}"
            f"{total.max_f:8.4f}{total.mae:8.4f}{milliseconds:7.1f}"
        )


if __name__ == "__main__":
    main()
