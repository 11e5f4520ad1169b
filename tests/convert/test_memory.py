"""The estimate follows ONNX Runtime's plan: worked out by hand here, measured in the long test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from liftout.convert import build_network, peak_bytes, write_network
from liftout.convert.graph import Graph
from liftout.convert.memory import buffer_bytes
from tests.networks import reference

KILO = 4 * 1000
"""Bytes of a tensor [1, 1, 1, 1000]."""


def test_a_chain_of_new_shapes_holds_two_tensors_at_a_time() -> None:
    graph = Graph()
    x = graph.input("input", (1, 1, 1, 1000))
    x = graph.pad(x, 3, 0, 1000)
    x = graph.pad(x, 3, 0, 1000)
    x = graph.pad(x, 3, 0, 1000)
    assert buffer_bytes(graph.finish(x, "output")) == (3 + 4) * KILO


def test_element_wise_nodes_write_over_their_input() -> None:
    graph = Graph()
    x = graph.pad(graph.input("input", (1, 1, 1, 1000)), 3, 0, 1000)
    for _ in range(3):
        x = graph.relu(x)
    assert buffer_bytes(graph.finish(x, "output")) == 2 * KILO


def test_an_input_that_is_read_again_is_not_written_over() -> None:
    graph = Graph()
    x = graph.pad(graph.input("input", (1, 1, 1, 1000)), 3, 0, 1000)
    assert buffer_bytes(graph.finish(graph.multiply(graph.relu(x), x), "output")) == 2 * 2 * KILO


def test_a_view_keeps_its_buffer_alive() -> None:
    graph = Graph()
    x = graph.pad(graph.input("input", (1, 1, 1, 1000)), 3, 0, 1000)
    view = graph.reshape(x, (1, 1, 2, 1000))
    once_more = graph.slice(view, 2, 0, 1)  # stands first and therefore runs last
    y = graph.pad(graph.pad(view, 2, 0, 1), 2, 0, 1)
    assert buffer_bytes(graph.finish(graph.add(y, once_more), "output")) == (2 + 3 + 4) * KILO


def test_a_shape_that_comes_back_late_is_held_all_the_time() -> None:
    """Two tensors of one shape with a large one between: the first one's buffer waits for the second."""
    graph = Graph()
    x = graph.pad(graph.input("input", (1, 1, 1, 1000)), 3, 0, 1000)
    x = graph.pad(x, 3, 0, 8000)
    x = graph.pad(x, 3, 0, 10000)
    x = graph.slice(x, 3, 0, 2000)
    assert buffer_bytes(graph.finish(x, "output")) == (2 + 10 + 20) * KILO


def test_weights_count() -> None:
    graph = Graph()
    x = graph.input("input", (1, 1, 1, 1000))
    x = graph.linear(x, np.zeros((1000, 1000), np.float32))
    network = graph.finish(x, "output")
    assert peak_bytes(network) > 2 * 4_000_000  # as stored, and packed for the kernel


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads the peak where Linux tells it")
@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(
    ("architecture", "size"), [("u2net", (320, 320)), ("isnet", (1024, 1024)), ("birefnet_swin_v1_t", (512, 512))]
)
def test_the_estimate_is_near_what_a_run_takes(architecture: str, size: tuple[int, int], tmp_path: Path) -> None:
    network = build_network(architecture, reference.state(architecture), size=size)
    path = write_network(network, tmp_path)[0]
    program = (
        "import pathlib, sys, numpy, onnxruntime\n"
        "options = onnxruntime.SessionOptions()\n"
        "options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC\n"
        "session = onnxruntime.InferenceSession(sys.argv[1], options, providers=['CPUExecutionProvider'])\n"
        "session.run(None, {'input': numpy.zeros((1, 3, *map(int, sys.argv[2:])), numpy.float32)})\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(1024 * int(status.split('VmHWM:')[1].split()[0]))\n"  # getrusage begins with the memory of this process
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), *map(str, size)], check=True, capture_output=True, text=True
    )
    assert 0.7 < int(done.stdout) / peak_bytes(network) < 1.3
