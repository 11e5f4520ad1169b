"""The pixel graphs, run by ONNX Runtime's CPU provider: small, exact, the same file in Python and in a browser.

What the browser repeats, in this order (inputs and outputs stand in each source under `sources/`):

    lanczos   once    the photo -> a small one in its place, for models that want it so
    prepare   once    the photo -> tensor, box; then the network gives `prediction`
    with edges other than plain, where box[2] < H or box[3] < W (the prediction is smaller than the photo):
      guide   once    prediction, box, the whole photo -> model, soft
      refine  strips  the photo's rows, model, soft -> the same rows of alpha
    else:
      finish  strips  prediction -> rows of alpha (twice where min-max comes after resizing: see `finish`)
    with edges other than plain:
      coarse  once    the whole photo, the whole alpha -> colours
      cutout  strips  rows of photo and alpha, colours -> the same rows of RGBA
    else:
      plain   strips  rows of photo and alpha -> the same rows of RGBA

A strip is the rows [first, last) that `strips` gives: max(1, STRIP_PIXELS // W) rows, the last strip what remains; for `finish`
WHOLE_STRIP_PIXELS // W where H <= box[2]. Strips do not overlap, each row of the result comes from one strip, and the height of
a strip changes no value. `rows` is [first, last) and `size` is [H, W], both int64. The photo of `guide` and `refine` is that of
`prepare` (sRGB, transparent parts grey); the photo of `coarse`, `cutout` and `plain` has the colours of the result.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from liftout.errors import EngineError, InputError, OutOfMemory, is_out_of_memory
from liftout.models.spec import InputSpec, OutputSpec
from liftout.remedies import UseOption

if TYPE_CHECKING:
    import onnxruntime

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

STRIP_PIXELS = 250_000
"""A strip holds about this many pixels, so that what a graph makes of it stays in a processor's cache; the browser uses the
same number."""

WHOLE_STRIP_PIXELS = 2_000_000
"""The same for `finish` where the photo is not higher than the prediction: there, each strip resizes all of it anew."""

_SMALL = ("guide", "coarse")
"""Graphs that work on cells, not on pixels: sharing such short steps among threads costs more than it saves."""

_ACTIVATION = {"none": 0, "sigmoid": 1, "argmax": 2}
_RESAMPLE = {"bilinear": 0, "bilinear-antialias": 1, "bicubic": 2, "bilinear-corners": 3}


def prepare(image: UInt8, spec: InputSpec) -> tuple[Float32, Int64]:
    """The network's input for a photo.

    image: uint8 [H, W, 3], sRGB.
    Returns float32 [1, 3, h, w], and int64 [4]: top, left, height and width of the photo within it (letterbox).
    Raises InputError where the image has another shape or type; EngineError where the graph fails on it.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"prepare needs uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
    if spec.resample == "lanczos":
        (image,) = _session("lanczos").run(None, {"image": image, "size": np.array(spec.size, np.int64)})
    tensor, box = _session("prepare").run(
        None,
        {
            "image": image,
            "size": np.array(spec.size, np.int64),
            "antialias": np.array(spec.resample != "bilinear"),
            "letterbox": np.array(spec.fit == "letterbox"),
            "truncate": np.array(spec.quantize == "truncate"),
            "by_max": np.array(spec.scale == "max"),
            "mean": np.array(spec.mean, np.float32),
            "std": np.array(spec.std, np.float32),
        },
    )
    return tensor, box


def photo_box(tensor: Float32, spec: InputSpec) -> Int64:
    """The box that `prepare` gave beside a tensor, found again from the tensor.

    tensor: float32 [1, 3, h, w]. spec: of the same model. Returns int64 [4]: top, left, height and width. A black border of a
    letterboxed photo itself is taken for padding.
    """
    height, width = tensor.shape[2:]
    if spec.fit == "letterbox":
        black = (-np.array(spec.mean) / np.array(spec.std)).astype(np.float32).reshape(1, 3, 1, 1)
        photo = (np.abs(tensor - black) > 1e-6).any(axis=(0, 1))
        rows, columns = np.flatnonzero(photo.any(axis=1)), np.flatnonzero(photo.any(axis=0))
        if len(rows):
            top, left = rows[0], columns[0]
            return np.array([top, left, rows[-1] + 1 - top, columns[-1] + 1 - left], np.int64)
    return np.array([0, 0, height, width], np.int64)


def finish(
    prediction: Float32,
    size: tuple[int, int],
    spec: OutputSpec,
    *,
    box: Int64 | None = None,
    image: UInt8 | None = None,
) -> UInt8:
    """The photo's alpha from a prediction.

    prediction: float32 [1, C, h, w]. size: height and width of the photo. box: from `prepare`, or the whole prediction.
    image: uint8 [H, W, 3] in sRGB, the photo that refines the edges; without it, and where the prediction is not smaller
    than the photo, the prediction is resized.
    Returns uint8 [H, W], 255 is subject. Empty under min-max where the prediction's range is below 0.05.
    Raises InputError for values that are not numbers, and where the image has another shape or type; EngineError where a graph
    fails on them.
    """
    if prediction.ndim != 4 or prediction.shape[0] != 1 or prediction.dtype != np.float32:
        raise InputError(f"finish needs float32 [1, C, h, w], not {prediction.dtype} {list(prediction.shape)}")
    if not np.isfinite(prediction).all():
        raise InputError("the network gave values that are not numbers", remedy=UseOption("precision", "fp32"))
    box = np.array([0, 0, *prediction.shape[2:]], np.int64) if box is None else box
    if image is not None:
        if image.dtype != np.uint8 or image.shape != (*size, 3):
            raise InputError(f"finish needs an image of uint8 {[*size, 3]}, not {image.dtype} {list(image.shape)}")
        if box[2] < size[0] or box[3] < size[1]:
            return _refine(prediction, image, spec, box)
    session = _session("finish")
    after = spec.rescale == "minmax" and spec.rescale_when == "after-resize"
    rescale = 0 if spec.rescale == "none" else 2 if after else 1
    fixed = {
        "prediction": prediction,
        "box": box,
        "size": np.array(size, np.int64),
        "activation": np.array(_ACTIVATION[spec.activation], np.int64),
        "classes": np.array(spec.classes, np.int64),
        "resample": np.array(_RESAMPLE[spec.resample], np.int64),
        "truncate": np.array(spec.quantize == "truncate"),
    }
    pixels = STRIP_PIXELS if box[2] < size[0] else WHOLE_STRIP_PIXELS
    span = np.array([0, 1], np.float32)
    if after:
        inputs = {**fixed, "rescale": np.array(0, np.int64), "span": span}
        reached = [session.run(["reached"], {**inputs, "rows": rows})[0] for rows in strips(size, pixels)]
        span = np.array([min(r[0] for r in reached), max(r[1] for r in reached)], np.float32)
    alpha = np.empty(size, np.uint8)
    inputs = {**fixed, "rescale": np.array(rescale, np.int64), "span": span}
    for rows in strips(size, pixels):
        alpha[rows[0] : rows[1]] = session.run(["alpha"], {**inputs, "rows": rows})[0]
    return alpha


def _refine(prediction: Float32, image: UInt8, spec: OutputSpec, box: Int64) -> UInt8:
    model, soft = _session("guide").run(
        None,
        {
            "prediction": prediction,
            "box": box,
            "image": image,
            "activation": np.array(_ACTIVATION[spec.activation], np.int64),
            "classes": np.array(spec.classes, np.int64),
            "rescale": np.array(spec.rescale == "minmax"),
        },
    )
    alpha = np.empty(image.shape[:2], np.uint8)
    fixed = {
        "size": np.array(alpha.shape, np.int64),
        "model": model,
        "soft": soft,
        "truncate": np.array(spec.quantize == "truncate"),
    }
    for rows in strips(alpha.shape):
        alpha[rows[0] : rows[1]] = _session("refine").run(
            None, {**fixed, "image": image[rows[0] : rows[1]], "rows": rows}
        )[0]
    return alpha


def cutout(image: UInt8, alpha: UInt8) -> UInt8:
    """Straight-alpha RGBA with the subject's own colours.

    image: uint8 [H, W, 3]. alpha: uint8 [H, W].
    Returns uint8 [H, W, 4]: the photo's colour where alpha is 255, zero where alpha is 0.
    Raises EngineError where a graph fails on them.
    """
    colours = _session("coarse").run(None, {"image": image, "alpha": alpha})[0]
    size = np.array(alpha.shape, np.int64)
    rgba = np.empty((*alpha.shape, 4), np.uint8)
    for rows in strips(alpha.shape):
        strip = slice(rows[0], rows[1])
        feed = {"image": image[strip], "alpha": alpha[strip], "size": size, "rows": rows, "colours": colours}
        rgba[strip] = _session("cutout").run(None, feed)[0]
    return rgba


def plain(image: UInt8, alpha: UInt8) -> UInt8:
    """Straight-alpha RGBA with the photo's colours: image uint8 [H, W, 3], alpha uint8 [H, W] -> uint8 [H, W, 4].

    Copies only: what the graph of this name gives a browser, in a third of its time.
    """
    rgba = np.empty((*alpha.shape, 4), np.uint8)
    for rows in strips(alpha.shape):
        strip = slice(*rows)
        block, levels = rgba[strip], alpha[strip]
        for channel in range(3):
            block[..., channel] = image[strip][..., channel]
        block[..., 3] = levels
        pixels = block.view(np.uint32)[..., 0]
        np.multiply(pixels, levels != 0, out=pixels)
    return rgba


def strips(size: tuple[int, ...], pixels: int | None = None) -> Iterator[Int64]:
    """[first, last) rows of every strip of a photo of `size` [H, W], top to bottom. pixels: of a strip; STRIP_PIXELS by default."""
    height, width = size[:2]
    rows = max(1, (pixels or STRIP_PIXELS) // max(1, width))
    for first in range(0, height, rows):
        yield np.array([first, min(first + rows, height)], np.int64)


def open_ahead(*, refined: bool) -> None:
    """Begin to load the graphs of a usual photo, in a thread of its own, while the caller loads the network and reads the photo: all
    that takes as long as a small network takes to run. refined: whether edges follow the photo and colours are cleaned.

    A graph that cannot be loaded says so when it is used.
    """

    def load() -> None:
        for name in ("prepare", "guide", "refine", "coarse", "cutout") if refined else ("prepare", "finish"):
            with contextlib.suppress(Exception):
                _session(name)

    threading.Thread(target=load, name="liftout-graphs").start()


_threads = 0


def use_threads(count: int) -> None:
    """Run the graphs with this many threads from now on; 0, the default, is one for each core of the machine.

    For processes that share the cores: there, threads that wait for each other waste a third of the time.
    """
    global _threads
    with _loading:
        _threads = count
        _sessions.clear()


class _Graph:
    """One pixel graph, loaded."""

    def __init__(self, name: str, session: onnxruntime.InferenceSession) -> None:
        self._name = name
        self._session = session

    def run(self, outputs: list[str] | None, inputs: dict[str, Any]) -> list[Any]:
        """The outputs. Raises OutOfMemory, or EngineError with what ONNX Runtime says."""
        try:
            results: list[Any] = self._session.run(outputs, inputs)
        except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no narrower base
            if is_out_of_memory(error):
                raise OutOfMemory(
                    "not enough memory for a photo of this size", remedy="use a smaller one, or free memory"
                ) from None
            text = " ".join(str(error).split())
            raise EngineError(
                f"onnxruntime cannot run the pixel graph `{self._name}` on this photo: {text[:300]}"
            ) from None
        return results


_sessions: dict[str, _Graph] = {}
_loading = threading.Lock()


def _session(name: str) -> _Graph:
    """The graph of this name, loaded once; who comes while another loads one waits."""
    graph = _sessions.get(name)
    if graph is None:
        with _loading:
            graph = _sessions.get(name) or _load(name)
            _sessions[name] = graph
    return graph


def _load(name: str) -> _Graph:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads would burn the cores
    options.enable_cpu_mem_arena = False  # an arena would keep the largest strip's memory for good
    options.log_severity_level = 4  # errors are raised; at 3 they are printed as well
    # Optimised they are no faster, and loading all of them takes half as long again.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1 if name in _SMALL else _threads
    graph = (Path(__file__).parent / "sources" / f"{name}.onnx").read_bytes()
    return _Graph(name, onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"]))
