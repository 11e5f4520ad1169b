"""Models that stay loaded: bounded by number and by memory, one load however many ask."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from liftout import Remover, remove, remover
from liftout.errors import ImageTooLarge
from liftout.loaded import LoadedModels
from liftout.options import RunOptions

POCKET = RunOptions(threads=1)
TWIN = dataclasses.replace(POCKET, device="cpu")
"""The built-in model a second time, as another choice."""


def test_idle_models_are_closed_until_a_further_one_fits_into_memory() -> None:
    free = iter([10**9, 1, 10**9])
    loaded = LoadedModels(5, Remover.from_options, free=lambda: next(free))
    with loaded.using(POCKET):
        pass
    with loaded.using(TWIN):
        pass
    assert loaded.loads == 2
    assert len(loaded.names()) == 1


def test_a_model_in_use_stays_however_little_memory_is_left(examples: Path) -> None:
    loaded = LoadedModels(5, Remover.from_options, free=lambda: 1)
    with loaded.using(POCKET) as first, loaded.using(TWIN):
        assert first(examples / "cat.jpg").alpha.any()
        assert len(loaded.names()) == 2


def test_where_nobody_waits_a_further_model_is_loaded_beside_those_in_use() -> None:
    loaded = LoadedModels(1, Remover.from_options, wait=False)
    with loaded.using(POCKET), loaded.using(TWIN):
        assert len(loaded.names()) == 2
    assert len(loaded.names()) == 1


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
