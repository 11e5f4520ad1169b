"""ComfyUI's contract with a node pack, as far as it concerns one: loading, checking of inputs, running a graph.

Written from its documents (docs.comfy.org: lifecycle, datatypes, images and masks); none of its code is here.

* A pack is a folder with an `__init__.py`, imported under a name made of its path; what counts is `NODE_CLASS_MAPPINGS`.
* A node's `INPUT_TYPES()` gives `required` and `optional`: a type's name, or a list of values to choose from, and settings.
* A node is made without arguments; the method that `FUNCTION` names is called with the inputs by keyword and gives a tuple, one item
  for each of `RETURN_TYPES`.
* IMAGE is a float32 tensor [B, H, W, C] in 0..1, MASK a float32 tensor [B, H, W] in 0..1.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

SIMPLE = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
DIMENSIONS = {"IMAGE": 4, "MASK": 3}


def load_pack(folder: Path) -> dict[str, type]:
    """Import a folder as ComfyUI imports what lies in `custom_nodes`."""
    name = str(folder).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    nodes: dict[str, type] = module.NODE_CLASS_MAPPINGS
    assert set(module.NODE_DISPLAY_NAME_MAPPINGS) <= set(nodes)
    return nodes


class LoadImage:
    """ComfyUI's own node: a file as IMAGE, and a mask that is 1 where the file is transparent."""

    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "load"
    folder: Path

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": (sorted(path.name for path in cls.folder.iterdir()), {})}}

    def load(self, image: str) -> tuple[torch.Tensor, torch.Tensor]:
        with Image.open(self.folder / image) as opened:
            pixels = np.asarray(opened.convert("RGB"), np.float32) / 255
        return torch.from_numpy(pixels)[None], torch.zeros((1, 64, 64))


class SaveImage:
    """ComfyUI's own node: files of 8 bits, RGBA where there are four channels."""

    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True
    folder: Path

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"images": ("IMAGE",), "filename_prefix": ("STRING", {"default": "ComfyUI"})}}

    def save(self, images: torch.Tensor, filename_prefix: str) -> tuple[()]:
        for index, image in enumerate(images):
            pixels = np.clip(255.0 * image.cpu().numpy(), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(self.folder / f"{filename_prefix}_{index:05}.png")
        return ()


def run(workflow: dict[str, Any], nodes: dict[str, type]) -> dict[str, tuple[Any, ...]]:
    """Run a workflow in the API's format; gives the outputs of every node."""
    done: dict[str, tuple[Any, ...]] = {}

    def outputs(number: str) -> tuple[Any, ...]:
        if number not in done:
            step = workflow[number]
            cls = nodes[step["class_type"]]
            given = {}
            for name, value in step["inputs"].items():
                if isinstance(value, list):
                    source = nodes[workflow[value[0]]["class_type"]]
                    assert source.RETURN_TYPES[value[1]] == declared(cls)[name][0], f"{number}.{name}: types differ"
                    given[name] = outputs(value[0])[value[1]]
                else:
                    given[name] = value
            done[number] = call(cls, **given)
        return done[number]

    for number in workflow:
        outputs(number)
    return done


def declared(cls: type) -> dict[str, tuple[Any, ...]]:
    """All inputs of a node."""
    inputs = cls.INPUT_TYPES()
    assert set(inputs) <= {"required", "optional", "hidden"}
    return {**inputs["required"], **inputs.get("optional", {})}


def call(cls: type, **given: Any) -> tuple[Any, ...]:
    """Check the inputs, run the node, check the outputs."""
    known = declared(cls)
    assert set(given) <= set(known), set(given) - set(known)
    assert set(cls.INPUT_TYPES()["required"]) <= set(given), set(cls.INPUT_TYPES()["required"]) - set(given)
    for name, value in given.items():
        check_input(name, value, *known[name])
    found = getattr(cls(), cls.FUNCTION)(**given)
    assert isinstance(found, tuple)
    assert len(found) == len(cls.RETURN_TYPES)
    for kind, value in zip(cls.RETURN_TYPES, found, strict=True):
        check_tensor(kind, value)
    return found


def check_input(name: str, value: Any, kind: Any, settings: dict[str, Any] | None = None) -> None:
    settings = settings or {}
    if isinstance(kind, list):
        assert value in kind, f"{name}: {value!r} is not in the list"
    elif kind in SIMPLE:
        assert isinstance(value, SIMPLE[kind]), f"{name}: {value!r} is no {kind}"
        if "min" in settings:
            assert settings["min"] <= value <= settings["max"], f"{name}: {value} is out of range"
    else:
        check_tensor(kind, value)


def check_tensor(kind: str, value: Any) -> None:
    assert isinstance(value, torch.Tensor)
    assert value.dtype == torch.float32
    assert value.ndim == DIMENSIONS[kind]
    assert value.min() >= 0
    assert value.max() <= 1
    if kind == "IMAGE":
        assert value.shape[3] in (3, 4)
