"""OpenVINO: often faster than ONNX Runtime on Intel and ARM CPUs, and in bf16 where the CPU has matrix units for it.

Extra `openvino`. Its fp32 differs from ONNX Runtime's by rounding only; `tests/engines` holds the bar.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from liftout.engines import Float32, NetworkFile
from liftout.errors import DeviceUnavailable, ExtraMissing, ModelMissing, NetworkRejected, UsageError, one_line
from liftout.options import RunOptions
from liftout.remedies import InstallExtra, PullModel, UseOption

try:
    import openvino
except ImportError:
    raise ExtraMissing("openvino is not installed", field="engine", remedy=InstallExtra("openvino")) from None

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_DEVICES = {"auto": "CPU", "cpu": "CPU", "gpu": "GPU", "npu": "NPU"}


class OpenVinoNetwork:
    """A network compiled by OpenVINO."""

    engine = "openvino"

    def __init__(self, file: NetworkFile, options: RunOptions) -> None:
        compute_precision = "fp32" if options.precision == "auto" else options.precision
        self.precision: str = file.reduced or compute_precision
        self.device = "cpu" if options.device == "auto" else options.device
        self._file = file
        core = openvino.Core()
        target = _DEVICES.get(options.device)
        if target is None or target not in {name.split(".")[0] for name in core.available_devices}:
            have = ", ".join(sorted({name.split(".")[0].lower() for name in core.available_devices}))
            raise DeviceUnavailable(
                f"`{options.device}` is not there; openvino finds only {have}",
                field="device",
                remedy="choose one of them",
            )
        hint = _HINTS.get(compute_precision)
        offered = core.get_property(target, "OPTIMIZATION_CAPABILITIES")
        if hint is None or (hint != "f32" and {"bf16": "BF16", "f16": "FP16"}[hint] not in offered):
            raise UsageError(
                f"is {compute_precision}, in which openvino does not compute on this {self.device}",
                field="precision",
                remedy=UseOption("precision", "fp32"),
            )
        if not file.path.is_file():
            raise ModelMissing(f"{file.path} is not there", subject=file.name, remedy=PullModel(file.name))
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
        if options.threads:
            settings["INFERENCE_NUM_THREADS"] = options.threads
        try:
            model = core.read_model(os.fspath(file.path))
            self._output = _signature(model, file)
            model.reshape([-1 if model.inputs[0].partial_shape[0].is_dynamic else 1, 3, *file.size])
            self._compiled: Any = core.compile_model(model, target, settings)
        except RuntimeError as error:
            raise NetworkRejected(f"openvino cannot load it: {one_line(error, 300)}", subject=file.name) from None

    def run(self, tensor: Float32) -> Float32:
        """See `Network.run`."""
        if self._compiled is None:
            raise UsageError("the network has been closed", subject=self._file.name)
        request = self._compiled.create_infer_request()  # one for each call: requests are not shared between threads
        try:
            request.infer([tensor])
        except RuntimeError as error:
            raise NetworkRejected(f"openvino cannot run it: {one_line(error, 300)}", subject=self._file.name) from None
        prediction = np.array(request.get_output_tensor(self._output).data, np.float32)
        return prediction[:, None] if prediction.ndim == 3 else prediction

    def close(self) -> None:
        """See `Network.close`."""
        self._compiled = None


def _signature(model: Any, file: NetworkFile) -> int:
    if len(model.inputs) != 1:
        raise NetworkRejected(
            f"the file has {len(model.inputs)} inputs",
            subject=file.name,
            remedy="a network here takes one photo tensor",
        )
    if file.output is None and len(model.outputs) != 1:
        raise NetworkRejected(
            f"the file has {len(model.outputs)} outputs and the catalogue entry names none",
            subject=file.name,
            remedy="set output.index",
        )
    index = file.output or 0
    if index >= len(model.outputs):
        raise NetworkRejected(f"output {index} is asked for, the file has {len(model.outputs)}", subject=file.name)
    return index
