"""`--on ray`: real Ray clusters on this machine."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from liftout.batch import Batch, Job, Outcome
from liftout.batch.payload import pack_payload, unpack_payload
from liftout.engines import run_once
from liftout.errors import DeviceUnavailable, ModelFileCorrupt
from liftout.models import packs
from liftout.models.add import add_onnx
from liftout.options import ResultOptions, RunOptions

ray = pytest.importorskip("ray", reason="needs Ray (extra ray)")

# Ray leaves files and sockets to the garbage collector and warns about its own plans.
pytestmark = pytest.mark.filterwarnings("ignore")


def started() -> Any:
    """Ray gives a node 30 seconds to start; a machine that is busy with other things may need a second try."""
    from ray.cluster_utils import Cluster

    for attempt in range(3):
        nodes = Cluster()
        try:
            nodes.add_node(num_cpus=0, include_dashboard=False)
            for _ in range(2):
                nodes.add_node(num_cpus=1, memory=2_000_000_000, object_store_memory=100_000_000)
            ray.init(address=nodes.address, log_to_driver=False)
        except Exception:
            ray.shutdown()
            nodes.shutdown()
            if attempt == 2:
                raise
        else:
            return nodes
    return None


@pytest.fixture
def cluster(own_home: Path) -> Iterator[Any]:
    """A cluster of three nodes, each with processes of its own, that this process is connected to."""
    nodes = started()
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.mark.long
def test_workers_killed_in_the_middle_cost_nothing(
    cluster: Any, tmp_path: Path, model: str, photo: Any, tree: Any, results: Any, expected: Callable[[bytes], bytes]
) -> None:
    count = 120
    photos = tree(tmp_path / "photos", {f"{i % 3}/{i:03}.jpg": photo(i, (400, 300)) for i in range(count)})
    job = Job(source=str(photos), target=str(tmp_path / "out"), run=RunOptions(model=model))
    killed: set[int] = set()
    outcomes: list[Outcome] = []
    for outcome in Batch(job, on="ray").outcomes():
        outcomes.append(outcome)
        if len(killed) < 2 and outcome.worker and (pid := int(outcome.worker.rpartition(":")[2])) not in killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    assert len(killed) == 2
    assert {outcome.status for outcome in outcomes} == {"done"}
    assert sorted(outcome.path for outcome in outcomes) == sorted(f"{i % 3}/{i:03}.jpg" for i in range(count))
    assert results(tmp_path / "out") == {
        f"{i % 3}/{i:03}.png": expected((photos / f"{i % 3}/{i:03}.jpg").read_bytes()) for i in range(count)
    }
    assert len(list((tmp_path / "out/.liftout/done").rglob("*-*"))) == count
    assert not list((tmp_path / "out").rglob("*.partial"))
    # Local workers find nothing left to do: the journal is one.
    assert not list(Batch(job, on="local").outcomes())


@pytest.mark.long
def test_a_command_line_starts_ray_by_itself_and_reports_bad_photos(
    tmp_path: Path, model: str, photo: Any, tree: Any, liftout: Any, results: Any, expected: Callable[[bytes], bytes]
) -> None:
    photos = tree(tmp_path / "photos", {"cat.jpg": photo(1), "a/dog.jpg": photo(2), "bad.jpg": b"bad"})
    status, _, err = liftout("batch", photos, tmp_path / "out", "-m", model, "--on", "ray", "--workers", "1")
    assert status == 1
    assert err.splitlines()[0].startswith("liftout: bad.jpg: not an image")
    assert "2 done, 1 failed" in err.splitlines()[-1]
    assert results(tmp_path / "out") == {"cat.png": expected(photo(1)), "a/dog.png": expected(photo(2))}
    status, _, err = liftout("batch", photos, tmp_path / "out", "-m", model, "--on", "ray", "--device", "cuda")
    assert status in (2, 3)
    assert len(err.splitlines()) == 1


def test_another_machine_gets_the_model_and_the_background_that_it_lacks(
    tmp_path: Path, network: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    background = tmp_path / "sky.png"
    background.write_bytes(b"any bytes")
    job = Job(source="", target="", run=RunOptions(model=model), result=ResultOptions(background=str(background)))
    payload = pack_payload(job)
    assert unpack_payload(job, payload) is job

    monkeypatch.setenv("LIFTOUT_HOME", str(tmp_path / "other-machine"))
    background.unlink()
    there = unpack_payload(job, payload)
    assert Path(str(there.result.background)).read_bytes() == b"any bytes"
    assert pack_payload(there).identity == payload.identity

    monkeypatch.setenv("LIFTOUT_HOME", str(tmp_path / "third-machine"))
    add_onnx(model, network, like="u2netp", run=run_once, overwrite=True)
    empty = type(payload)(files={}, background=None, background_name="", identity="another")
    with pytest.raises(ModelFileCorrupt, match="same version"):
        unpack_payload(there, empty)


def test_another_machine_gets_the_pack_that_was_given_by_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = tmp_path / "mine"
    shutil.copytree(Path(packs.__file__).parent / "built_in" / "pocket", pack)
    job = Job(source="", target="", run=RunOptions(model=str(pack)))
    payload = pack_payload(job)
    shutil.rmtree(pack)
    monkeypatch.setenv("LIFTOUT_HOME", str(tmp_path / "other-machine"))
    there = unpack_payload(job, payload)
    assert pack_payload(there).identity == payload.identity
    assert (Path(there.run.model) / packs.NETWORK).is_file()


@pytest.mark.long
def test_an_engine_that_refuses_is_one_error(cluster: Any, tmp_path: Path, model: str, photo: Any, tree: Any) -> None:
    cluster.add_node(num_cpus=2, num_gpus=1, memory=2_000_000_000, object_store_memory=100_000_000)
    cluster.wait_for_nodes()
    photos = tree(tmp_path / "photos", {"cat.jpg": photo(1)})
    job = Job(source=str(photos), target=str(tmp_path / "out"), run=RunOptions(model=model, device="cuda"))
    with pytest.raises(DeviceUnavailable, match="cpu"):
        list(Batch(job, on="ray").outcomes())
