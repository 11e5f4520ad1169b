"""A graph run in float on the same terms on every machine; int8 in it is simulated.

ONNX Runtime runs a quantized graph with the processor's eight-bit units where it can. With those switched off, it rounds every tensor to
its levels, as eight bits would, and computes the sums in float. Those differ between processors by float rounding alone, which
is a thousandth of a level; so the loss of a layer in int8 can be measured on any machine.

The number of threads is fixed: into which blocks a sum is cut depends on it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from liftout.errors import NetworkRejected, one_line

_THREADS = 4


def session(path: Path, name: str) -> onnxruntime.InferenceSession:
    """The graph at `path`, opened to run in float. name: the model's, for messages. Raises NetworkRejected."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = _THREADS
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise NetworkRejected(f"onnxruntime cannot load the graph: {one_line(error, 300)}", subject=name) from error


class InFloat:
    """A network, quantized or not, run in float. Its graph has one input and one output."""

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        self._session: onnxruntime.InferenceSession | None = session(path, name)
        self._input = self._session.get_inputs()[0].name

    def run(self, tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """See `liftout.engines.Network.run`."""
        assert self._session is not None
        try:
            (prediction,) = self._session.run(None, {self._input: tensor})
        except Exception as error:
            raise NetworkRejected(
                f"onnxruntime cannot run the graph: {one_line(error, 300)}", subject=self._name
            ) from error
        logits = np.asarray(prediction, np.float32)
        return logits[:, None] if logits.ndim == 3 else logits

    def close(self) -> None:
        """Give its memory back."""
        self._session = None
