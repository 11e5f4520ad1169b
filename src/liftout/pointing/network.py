"""The prompted network's two files: `encode.onnx`, which sees the photo, and `prompt.onnx`, which reads the prompts.

    encode    input float32 [1, 3, 320, 320]                  -> details float32 [1, 64, 160, 160]
    prompt    details, keep float32 [K, 2, 1, 1], drop float32 [D, 2, 1, 1], box float32 [1, 4, 1, 1],
              start float32 [1, 1, 160, 160], started float32 [1, 1, 1, 1]   -> output float32 [1, 1, 320, 320] in [0, 1]

Points are x, y as shares of the photo's width and height, and one at (-1, -1) stands for none; a box is left, top, right, bottom as such
shares, all zero for none; `started` is 1 where there is a start, else 0, and the start then zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from liftout.errors import EngineError, NetworkRejected, OutOfMemory, is_out_of_memory, one_line
from liftout.graphs import Float32
from liftout.prompts import Prompts

if TYPE_CHECKING:
    import onnxruntime

NAME = "points"
"""Of the pack inside the package."""
ENCODE = "encode.onnx"
PROMPT = "prompt.onnx"
MAP = 160
"""Side of the maps that the network works on, in cells."""
MOST_READ = 48
"""Points of one kind that the network reads; of more, such as those of strokes, so many are taken evenly, the last one always."""


@dataclass(frozen=True, eq=False)
class Marks:
    """Prompts as the network's inputs."""

    keep: Float32
    drop: Float32
    box: Float32
    start: Float32
    started: Float32

    @classmethod
    def of(cls, prompts: Prompts, size: tuple[int, int], start: Float32 | None = None) -> Marks:
        """size: height and width of the photo. start: float32 [1, 1, 160, 160], the start that the network sees."""
        height, width = size
        box = np.zeros(4) if prompts.box is None else np.array(prompts.box) / (width, height, width, height)
        return cls(
            keep=_shares(prompts.keep, size),
            drop=_shares(prompts.drop, size),
            box=box.astype(np.float32).reshape(1, 4, 1, 1),
            start=np.zeros((1, 1, MAP, MAP), np.float32) if start is None else start,
            started=np.full((1, 1, 1, 1), start is not None, np.float32),
        )


class PromptedNetwork:
    """Both files in ONNX Runtime's CPU provider."""

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self._encode, self._prompt = (_open(folder / name, threads) for name in (ENCODE, PROMPT))

    def encode(self, tensor: Float32) -> Float32:
        """float32 [1, 3, 320, 320], normalised -> float32 [1, 64, 160, 160]."""
        return _run(self._encode, {"input": tensor})

    def predict(self, details: Float32, marks: Marks) -> Float32:
        """details: from `encode`. Returns float32 [1, 1, 320, 320] in [0, 1]."""
        return _run(self._prompt, {"details": details, **vars(marks)})


def places(points: tuple[tuple[float, float], ...], size: tuple[int, int]) -> Float32:
    """x, y of the middle of each point's pixel, as shares of the photo's width and height: float32 [N, 2]."""
    height, width = size
    at = np.array(points, np.float64).reshape(-1, 2)
    inside = np.minimum(np.floor(at), (width - 1, height - 1)) + 0.5
    return (inside / (width, height)).astype(np.float32)


def _shares(points: tuple[tuple[float, float], ...], size: tuple[int, int]) -> Float32:
    if not points:
        return np.full((1, 2, 1, 1), -1, np.float32)
    at = places(points, size)
    if len(at) > MOST_READ:
        at = at[np.rint(np.linspace(0, len(at) - 1, MOST_READ)).astype(int)]
    return at.reshape(-1, 2, 1, 1)


def _open(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    import onnxruntime

    from liftout.engines.onnxruntime import settings

    try:
        return onnxruntime.InferenceSession(str(path), settings(threads), providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no narrower base
        raise _failure(error, "load") from None


def _run(session: onnxruntime.InferenceSession, inputs: dict[str, Float32]) -> Float32:
    try:
        result: Float32 = session.run(None, inputs)[0]
    except Exception as error:  # noqa: BLE001
        raise _failure(error, "run") from None
    return result


def _failure(error: Exception, act: str) -> EngineError:
    if is_out_of_memory(error):
        return OutOfMemory(f"not enough memory to {act} it", subject=NAME, remedy="free memory")
    return NetworkRejected(f"onnxruntime cannot {act} it: {one_line(error, 300)}", subject=NAME)
