"""ONNX Runtime: the default engine, fp32 on the CPU, bit for bit the same in a browser's WASM."""

from __future__ import annotations

import os
from typing import cast

import numpy as np
import onnxruntime

from liftout.engines import Float32, NetworkFile
from liftout.errors import (
    DeviceUnavailable,
    ModelMissing,
    NetworkRejected,
    OutOfMemory,
    UsageError,
    is_out_of_memory,
    one_line,
)
from liftout.machine import usable_cores
from liftout.options import RunOptions
from liftout.remedies import PullModel, UseOption

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
"""Device -> what serves it. Only the CPU is tested; the others are passed on, and refused where they do not start."""


class OnnxRuntimeNetwork:
    """A network in one ONNX Runtime session."""

    engine = "onnxruntime"

    def __init__(self, file: NetworkFile, options: RunOptions) -> None:
        provider = _provider(options.device)
        if options.precision not in ("auto", "fp32"):
            raise UsageError(
                f"is {options.precision}, but onnxruntime computes in what the graph holds",
                field="precision",
                remedy=(UseOption("precision", "fp32"), UseOption("engine", "openvino")),
            )
        self.device = "cpu" if options.device == "auto" else options.device
        self.precision = file.reduced or "fp32"
        self._file = file
        self._session: onnxruntime.InferenceSession | None = _open(file, options, provider)
        self._input, self._output = _signature(self._session, file)

    def run(self, tensor: Float32) -> Float32:
        """See `Network.run`. Raises OutOfMemory, or NetworkRejected with what ONNX Runtime says."""
        if self._session is None:
            raise UsageError("the network has been closed", subject=self._file.name)
        try:
            (prediction,) = self._session.run([self._output], {self._input: tensor})
        except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no narrower base
            raise _failure(self._file, error, "run") from None
        prediction = np.asarray(prediction, np.float32)
        if prediction.ndim == 3:
            prediction = prediction[:, None]
        if prediction.ndim != 4:
            raise NetworkRejected(
                f"output `{self._output}` has shape {list(prediction.shape)}, not [N, C, h, w]",
                subject=self._file.name,
                remedy="choose another output of the file",
            )
        return cast("Float32", prediction)

    def close(self) -> None:
        """See `Network.close`."""
        self._session = None


def settings(threads: int | None = None) -> onnxruntime.SessionOptions:
    """How sessions run here. threads: of the network; by default one for each core that the process may use."""
    session = onnxruntime.SessionOptions()
    session.log_severity_level = 4  # errors are raised; at 3 they are printed as well
    session.intra_op_num_threads = threads or usable_cores()  # itself it counts those of the machine
    session.inter_op_num_threads = 1
    # A second run with the pattern takes one block for all tensors and still keeps the first run's blocks: twice the memory.
    session.enable_mem_pattern = False
    # Spinning threads burn CPU between operators for a few per cent of speed; a photo tool shares its machine.
    session.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return session


def _open(file: NetworkFile, options: RunOptions, provider: str) -> onnxruntime.InferenceSession:
    if not file.path.is_file():
        raise ModelMissing(f"{file.path} is not there", subject=file.name, remedy=PullModel(file.name))
    providers = list(dict.fromkeys([provider, "CPUExecutionProvider"]))
    try:
        inference = onnxruntime.InferenceSession(os.fspath(file.path), settings(options.threads), providers=providers)
    except Exception as error:  # noqa: BLE001
        raise _failure(file, error, "load") from None
    if inference.get_providers()[0] != provider:
        # ONNX Runtime says so in a log line and goes on with the CPU.
        raise DeviceUnavailable(
            f"onnxruntime has {provider} but cannot use it on this machine",
            subject=file.name,
            remedy=("check its driver and libraries", UseOption("device", "cpu")),
        )
    return inference


def _provider(device: str) -> str:
    """The execution provider that serves a device. Raises DeviceUnavailable where this onnxruntime lacks it."""
    name = device.split(":")[0]
    provider = PROVIDERS.get("cpu" if name == "auto" else name)
    if provider is None:
        raise DeviceUnavailable(
            f"`{device}` is unknown to onnxruntime", field="device", remedy=f"there are {', '.join(PROVIDERS)}"
        )
    if provider not in onnxruntime.get_available_providers():
        have = ", ".join(key for key, value in PROVIDERS.items() if value in onnxruntime.get_available_providers())
        raise DeviceUnavailable(
            f"`{device}` needs {provider}, which this onnxruntime is built without; it runs on {have}",
            field="device",
            remedy=(UseOption("device", "cpu"), "install the build that has it"),
        )
    return provider


def _signature(session: onnxruntime.InferenceSession, file: NetworkFile) -> tuple[str, str]:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    height, width = file.size
    if len(inputs) != 1:
        names = ", ".join(item.name for item in inputs)
        raise NetworkRejected(
            f"the file has {len(inputs)} inputs ({names})",
            subject=file.name,
            remedy="a network here takes one photo tensor",
        )
    shape = inputs[0].shape
    expected_shape = (None, 3, height, width)
    fits = len(shape) == 4 and all(
        want is None or not isinstance(have, int) or have == want
        for have, want in zip(shape, expected_shape, strict=True)
    )
    if inputs[0].type != "tensor(float)" or not fits:
        raise NetworkRejected(
            f"the input `{inputs[0].name}` is {inputs[0].type} {shape}, not float32 [N, 3, {height}, {width}] as "
            "its catalogue entry says",
            subject=file.name,
        )
    if file.output is None and len(outputs) != 1:
        names = ", ".join(f"{i} {item.name}" for i, item in enumerate(outputs))
        raise NetworkRejected(
            f"the file has {len(outputs)} outputs ({names}) and the catalogue entry names none",
            subject=file.name,
            remedy="set output.index",
        )
    index = file.output or 0
    if index >= len(outputs):
        raise NetworkRejected(f"output {index} is asked for, the file has {len(outputs)}", subject=file.name)
    return inputs[0].name, outputs[index].name


def _failure(file: NetworkFile, error: Exception, act: str) -> Exception:
    if is_out_of_memory(error):
        return OutOfMemory(
            f"not enough memory to {act} it", subject=file.name, remedy="choose a smaller model or size, or free memory"
        )
    return NetworkRejected(f"onnxruntime cannot {act} it: {one_line(error, 300)}", subject=file.name)
