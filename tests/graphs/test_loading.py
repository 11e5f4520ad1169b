"""The pixel graphs are loaded once, ahead of their use where the caller says so."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from liftout import graphs

PHOTO = np.zeros((40, 40, 3), np.uint8)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each graph was loaded; none is before the test."""
    counts: Counter[str] = Counter()
    load = graphs._load

    def counting(name: str) -> graphs._Graph:
        counts[name] += 1
        return load(name)

    monkeypatch.setattr(graphs, "_sessions", {})
    monkeypatch.setattr(graphs, "_load", counting)
    return counts


def finish_loading() -> None:
    for thread in threading.enumerate():
        if thread.name == "liftout-graphs":
            thread.join()


@pytest.mark.parametrize(
    ("refined", "names"), [(True, {"prepare", "guide", "refine", "coarse", "cutout"}), (False, {"prepare", "finish"})]
)
def test_what_a_photo_needs_is_loaded_ahead(loaded: Counter[str], refined: bool, names: set[str]) -> None:
    graphs.open_ahead(refined=refined)
    finish_loading()
    assert set(loaded) == names


def test_threads_that_need_a_graph_at_once_load_it_once(loaded: Counter[str]) -> None:
    graphs.open_ahead(refined=True)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: graphs.cutout(PHOTO, PHOTO[..., 0]), range(4)))
    finish_loading()
    assert all((rgba == made[0]).all() for rgba in made)
    assert set(loaded.values()) == {1}


def test_a_graph_that_cannot_be_loaded_says_so_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> graphs._Graph:
        raise FileNotFoundError(name)

    monkeypatch.setattr(graphs, "_sessions", {})
    monkeypatch.setattr(graphs, "_load", broken)
    graphs.open_ahead(refined=True)
    finish_loading()
    with pytest.raises(FileNotFoundError, match="coarse"):
        graphs.cutout(PHOTO, PHOTO[..., 0])
