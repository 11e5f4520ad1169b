"""Models that stay loaded: bounded by number and by memory, one load however many ask."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest

from liftout import Remover, loaded, remove, remover
from liftout.errors import ImageTooLarge
from liftout.loaded import LoadedModels
from liftout.options import RunOptions

POCKET = RunOptions(threads=1)
TWIN = dataclasses.replace(POCKET, device="cpu")
"""The built-in model a second time, as another choice."""


def test_idle_models_are_closed_until_a_further_one_fits_into_memory() -> None:
    free = iter([10**9, 1, 10**9])
    models = LoadedModels(5, Remover.from_options, free=lambda: next(free))
    with models.using(POCKET):
        pass
    with models.using(TWIN):
        pass
    assert models.loads == 2
    assert len(models.names()) == 1


def test_a_model_in_use_stays_however_little_memory_is_left(examples: Path) -> None:
    models = LoadedModels(5, Remover.from_options, free=lambda: 1)
    with models.using(POCKET) as first, models.using(TWIN):
        assert first(examples / "cat.jpg").alpha.any()
        assert len(models.names()) == 2


def test_where_nobody_waits_a_further_model_is_loaded_beside_those_in_use() -> None:
    models = LoadedModels(1, Remover.from_options, wait=False)
    with models.using(POCKET), models.using(TWIN):
        assert len(models.names()) == 2
    assert len(models.names()) == 1


def test_the_memory_of_a_model_is_found_out_while_others_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads files, which may take long."""
    models = LoadedModels(5, Remover.from_options)
    free: list[bool] = []

    def network_bytes(_: RunOptions) -> int:
        other = threading.Thread(target=models.names, daemon=True)
        other.start()
        other.join(5)
        free.append(not other.is_alive())
        return 0

    monkeypatch.setattr(loaded, "network_bytes", network_bytes)
    with models.using(POCKET):
        pass
    assert free == [True]


def test_remove_loads_a_model_once_for_all_edges_and_limits_on_pixels(examples: Path) -> None:
    photo = examples / "cat.jpg"
    remove(photo, threads=1)
    loads = remover.models.loads
    auto, plain = remove(photo, threads=1), remove(photo, threads=1, edges="plain")
    assert remover.models.loads == loads
    assert not np.array_equal(auto.rgba, plain.rgba)
    with pytest.raises(ImageTooLarge):
        remove(photo, threads=1, max_pixels=100)
    assert remover.models.loads == loads


def test_options_as_one_object_are_those_of_the_constructor(examples: Path) -> None:
    options = RunOptions(threads=1, edges="plain")
    with Remover.from_options(options) as whole, Remover(threads=1, edges="plain") as single:
        assert np.array_equal(whole(examples / "cat.jpg").rgba, single(examples / "cat.jpg").rgba)
