"""The network that learns is the one that ships, read back from its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from liftout import graphs
from liftout.images import decode
from liftout.models import packs
from liftout.tuning.examples import shrunk
from liftout.tuning.graph import read_network, store_as_bytes, to_onnx, write
from liftout.tuning.start import BuiltIn, answers


def _built_in() -> packs.Pack:
    pack = packs.built_in("pocket")
    assert pack is not None
    return pack


def test_what_is_read_back_answers_what_the_file_answers(examples: Path) -> None:
    pack = _built_in()
    photos = np.stack([shrunk(decode(path).seen_by_network())[0] for path in sorted(examples.glob("*.jpg"))[:3]])
    ours = answers(BuiltIn(), BuiltIn().network(), photos)
    session = onnxruntime.InferenceSession(pack.network, providers=["CPUExecutionProvider"])
    for photo, alpha in zip(photos, ours, strict=True):
        tensor, box = graphs.prepare(photo, pack.spec.input)
        prediction = session.run(None, {"input": tensor})[0]
        theirs = graphs.finish(prediction, (320, 320), pack.spec.output, box=box)
        assert np.abs(alpha.astype(int) - theirs).max() <= 1


def test_written_again_it_is_the_same_file(tmp_path: Path) -> None:
    pack = _built_in()
    write(store_as_bytes(to_onnx(read_network(pack.network))), tmp_path / "network.onnx")
    ours, theirs = (
        {item.name: numpy_helper.to_array(item) for item in onnx.load(file).graph.initializer}
        for file in (tmp_path / "network.onnx", pack.network)
    )
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert np.allclose(ours[name], theirs[name], rtol=1e-5, atol=0), name


def test_another_network_is_refused(shared: Path) -> None:
    file = shared / "data" / "weights" / "u2netp.onnx"
    if not file.exists():
        pytest.skip(f"no {file}")
    with pytest.raises(ValueError, match=r"u2netp\.onnx holds no weights"):
        read_network(file)
