"""What the teacher thinks on the way to its alpha: `python -m training.teacher`.

The alphas say what the teacher decided; its maps say how. A small network that must also predict the maps learns several times
as much from each photo (Romero et al. 2015, "FitNets: Hints for Thin Deep Nets", ICLR). The maps are read once per photo, from
the tensors that feed the teacher's coarse predictions, and stored beside the cached photos:

    teacher-32.npy, teacher-16.npy, teacher-8.npy   uint8 [N, h, w, 64], h and w the teacher's side (320) over 32, 16 and 8
    teacher.json                                    per map and channel: mean, and the value of a step of one

A value v stands for v * step; maps are not negative in U2-Net. Written last, teacher.json marks the maps as complete.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from PIL import Image

from training.cache import CACHE, ROOT, Cache, open_cache
from training.network import MEAN, STD

TEACHER = ROOT.parent.parent / "shared" / "data" / "weights" / "u2netp.onnx"
SIDE = 320
STRIDES = (32, 16, 8)
PREDICTIONS = {32: 5, 16: 4, 8: 3}
"""Which of the teacher's six coarse predictions, finest first and from 0, is made from the map of a stride."""

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TeacherMap:
    """One map of all cached photos. values: uint8 [N, h, w, C]. step, mean, spread: float32 [C]; of the values times step."""

    values: UInt8Array
    step: FloatArray
    mean: FloatArray
    spread: FloatArray


def open_teacher(folder: Path) -> dict[int, TeacherMap]:
    """The maps beside the cache in `folder`, by stride, read as a whole (1.4 GB). Raises FileNotFoundError, with the command that makes them."""
    if not (folder / "teacher.json").exists():
        raise FileNotFoundError(f"no teacher maps in {folder}; run `python -m training.teacher`")
    facts = json.loads((folder / "teacher.json").read_text())
    return {
        stride: TeacherMap(
            np.load(folder / f"teacher-{stride}.npy"),
            *[np.array(facts[str(stride)][key], np.float32) for key in ("step", "mean", "spread")],
        )
        for stride in STRIDES
    }


def teacher_graph(path: Path) -> onnx.ModelProto:
    """The teacher's graph, giving the maps behind its coarse predictions, in the order of STRIDES, instead of alphas."""
    model = onnx.load(path)
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    heads = [node for node in model.graph.node if node.op_type == "Conv" and weights[node.input[1]] == (1, 64, 3, 3)]
    if len(heads) != 6:
        raise SystemExit(f"{path} does not look like U2NetP: {len(heads)} coarse predictions instead of 6")
    names = [heads[PREDICTIONS[stride]].input[0] for stride in STRIDES]
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    return model


def prepare(photo: UInt8Array) -> FloatArray:
    """uint8 [h, w, 3] -> what the teacher sees, float32 [1, 3, SIDE, SIDE]: divided by the largest value, then ImageNet's."""
    resized = np.asarray(Image.fromarray(photo).resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)
    scaled = (resized / max(resized.max(), 1) - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def build_teacher(cache: Cache, folder: Path, teacher: Path) -> None:
    """Read the maps of every photo in `cache` and write them into `folder`."""
    import openvino

    core = openvino.Core()
    graph = core.read_model(onnx.ModelProto.SerializeToString(teacher_graph(teacher)))
    graph.reshape([1, 3, SIDE, SIDE])
    hints = {"PERFORMANCE_HINT": "THROUGHPUT"}
    if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        hints["INFERENCE_PRECISION_HINT"] = "bf16"
    compiled = core.compile_model(graph, "CPU", hints)
    count = len(cache.photos)
    sample = [compiled(prepare(cache.photos[row])) for row in range(0, count, max(1, count // 200))]
    (folder / "teacher.json").unlink(missing_ok=True)
    facts, values, steps = {}, [], []
    for index, stride in enumerate(STRIDES):
        seen = np.stack([maps[index][0] for maps in sample]).astype(np.float32)
        step = np.maximum(np.quantile(seen, 0.9995, axis=(0, 2, 3)), 1e-3) / 255
        facts[stride] = {
            "step": step.tolist(),
            "mean": seen.mean((0, 2, 3)).tolist(),
            "spread": seen.std((0, 2, 3)).tolist(),
        }
        steps.append(step.astype(np.float32)[:, None, None])
        shape = (count, SIDE // stride, SIDE // stride, len(step))
        values.append(np.lib.format.open_memmap(folder / f"teacher-{stride}.npy", "w+", np.uint8, shape))
    queue = openvino.AsyncInferQueue(compiled)

    def keep(request: openvino.InferRequest, row: int) -> None:
        for index in range(len(STRIDES)):
            scaled = request.get_output_tensor(index).data[0] / steps[index]
            values[index][row] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8).transpose(1, 2, 0)

    queue.set_callback(keep)
    for row in range(count):
        queue.start_async(prepare(cache.photos[row]), row)
        if row % 1000 == 0:
            print(f"{row} of {count}", flush=True)
    queue.wait_all()
    for written in values:
        written.flush()
    partial = folder / "teacher.json.part"
    partial.write_text(json.dumps(facts))
    partial.replace(folder / "teacher.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, default=TEACHER)
    parser.add_argument("--cache", type=Path, default=CACHE / "288")
    options = parser.parse_args()
    build_teacher(open_cache(options.cache), options.cache, options.teacher)


if __name__ == "__main__":
    main()
