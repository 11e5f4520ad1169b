"""Build the pixel graphs: `python -m liftout.graphs.sources.build` writes each .onnx file beside its source.

Needs onnxscript (extra `dev`). The built files are committed, so that no user needs it.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx.inliner import inline_local_functions

GRAPHS = ("lanczos", "prepare", "finish", "guide", "refine", "coarse", "cutout", "plain")
FOLDER = Path(__file__).parent
IR_VERSION = 10  # the newest that onnxruntime 1.20 and onnxruntime-web 1.20 read


def build(name: str) -> onnx.ModelProto:
    """One of `GRAPHS` from its source, checked, with shapes inferred."""
    import importlib

    function = getattr(importlib.import_module(f"liftout.graphs.sources.{name}"), name)
    model: onnx.ModelProto = inline_local_functions(function.to_model_proto(ir_version=IR_VERSION))
    for opset in [opset for opset in model.opset_import if opset.domain]:  # that of the functions
        model.opset_import.remove(opset)
    del model.metadata_props[:]
    for graph in _graphs(model.graph):
        del graph.value_info[:]
        del graph.metadata_props[:]
        for node in graph.node:
            del node.metadata_props[:]
    model.producer_name = "liftout"
    onnx.checker.check_model(model, full_check=True)
    return model


def _graphs(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    branches = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return [graph, *(inner for branch in branches for inner in _graphs(branch))]


def main() -> None:
    """Write them all."""
    for name in GRAPHS:
        target = FOLDER / f"{name}.onnx"
        partial = target.with_suffix(".onnx.partial")
        partial.write_bytes(build(name).SerializeToString(deterministic=True))
        partial.replace(target)


if __name__ == "__main__":
    main()
