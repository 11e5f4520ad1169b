"""The folder that transformers.js loads: `pipeline("background-removal", FOLDER)`.

    config.json               the type under which transformers.js runs any graph whose first output is the mask
    preprocessor_config.json  size, mean and deviation
    onnx/model.onnx           fp32; `dtype: "fp32"`
    onnx/model_fp16.onnx      float16 weights; `dtype: "fp16"`
    onnx/model_quantized.onnx int8; `dtype: "q8"`, its default in WASM

The format has no setting for dividing by the largest level instead of 255 (U2-Net), min-max stretching of the mask, or resampling.
`config.json` carries our own facts beside its own, so that `liftout models add --from` reads the folder without loss.

Source of the format: the package @huggingface/transformers 4.3 (models/registry.js, image_processors_utils.js,
pipelines/image-segmentation.js).
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from liftout.errors import UsageError
from liftout.models.spec import ModelSpec
from liftout.remedies import UseOption

GRAPHS = {"fp32": "model.onnx", "fp16": "model_fp16.onnx", "int8": "model_quantized.onnx"}
CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"

_TYPES = {"birefnet": "birefnet", "isnet": "isnet"}
"""Our family -> a type that transformers.js registers for background removal; `isnet` for all others: it only says that the
first output is the mask."""

_DTYPES = {"fp32": "fp32", "fp16": "fp16", "int8": "q8"}


def check(spec: ModelSpec) -> None:
    """Raise UsageError where the layout cannot hold the model."""
    if spec.output.activation == "argmax":
        raise UsageError(
            "gives classes, not one mask, and transformers.js has no pipeline for that",
            subject=spec.name,
            remedy=UseOption("layout", "pack"),
        )
    if spec.input.fit != "stretch":
        raise UsageError(
            f"fits its photos by {spec.input.fit}, which transformers.js does not support",
            subject=spec.name,
            remedy=UseOption("layout", "pack"),
        )


def write_configs(folder: Path, spec: ModelSpec, precisions: list[str]) -> None:
    """Write `config.json` and `preprocessor_config.json` into `folder`, for the graphs of these precisions.

    spec: as the pipeline reads the graphs, whose sigmoid is inside.
    """
    kind = _TYPES.get(spec.family, "isnet")
    height, width = spec.input.size
    best = next(p for p in ("int8", "fp16", "fp32") if p in precisions)
    config = {
        "model_type": kind,
        "architectures": [kind],
        "transformers.js_config": {"dtype": _DTYPES[best]},
        "license": spec.license.weights,
        "liftout": {"model": spec.to_dict()},
    }
    preprocessor = {
        "image_processor_type": "ImageFeatureExtractor",
        "do_resize": True,
        "size": {"height": height, "width": width},
        "resample": 1 if spec.input.resample == "lanczos" else 2,  # numbers of Pillow's resamplers
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(spec.input.mean),
        "image_std": list(spec.input.std),
        "do_pad": False,
    }
    for name, content in ((CONFIG, config), (PREPROCESSOR, preprocessor)):
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def with_probabilities(spec: ModelSpec) -> ModelSpec:
    """The spec of a model after `append_sigmoid`: probabilities, one output, no files of its own."""
    return dataclasses.replace(spec, output=dataclasses.replace(spec.output, activation="none", index=None), files=())


def append_sigmoid(path: Path, output: int | None, activation: str) -> None:
    """Rewrite the ONNX file at `path` with one output, a probability.

    output: index of the output that stays; None for the first. activation: of the catalogue; `sigmoid` adds a Sigmoid node.
    """
    model = onnx.load(path)
    chosen = model.graph.output[output or 0]
    del model.graph.output[:]
    if activation == "sigmoid":
        model.graph.node.append(helper.make_node("Sigmoid", [chosen.name], ["mask"], name="mask"))
        shape: list[Any] = [d.dim_param or d.dim_value for d in chosen.type.tensor_type.shape.dim]
        chosen = helper.make_tensor_value_info("mask", TensorProto.FLOAT, shape)
    model.graph.output.append(chosen)
    onnx.save(model, path)
