"""The pixel graphs: onnxscript sources beside the built .onnx files. `python -m liftout.graphs.sources.build` writes the latter."""
