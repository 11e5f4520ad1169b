"""Packs of reduced precision in the browser: what `liftout convert --precision` makes and `liftout site` publishes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Visit
from hosting import Host, hosting
from test_pixels import cut

from liftout import Remover, find, site
from liftout.agreement import BARS, compare
from liftout.convert import convert_model
from liftout.models.resolve import locate


@pytest.fixture
def reduced(
    chromium: str, examples: Path, tmp_path_factory: pytest.TempPathFactory, precision: str
) -> Iterator[tuple[Host, Path]]:
    """A site with the built-in model in a reduced precision, and the LIFTOUT_HOME that it lies in."""
    home, public = tmp_path_factory.mktemp("reduced-home"), tmp_path_factory.mktemp("reduced-public")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFTOUT_HOME", str(home))
        convert_model(find("pocket"), locate("pocket"), precision=precision, out_dir=home / "packs")  # type: ignore[arg-type]
        site.write(public, [f"pocket-{precision}"])
    (public / "blank.html").write_text("<!doctype html><title>blank</title><link rel=icon href=data:,>")
    (public / "photos").mkdir()
    shutil.copy(examples / "astronaut.jpg", public / "photos")
    with hosting(public) as running:
        yield running, home


@pytest.mark.long
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_reduced_pack_runs_in_the_browser_as_in_python(
    browser: Any, reduced: tuple[Host, Path], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, home = reduced
    monkeypatch.setenv("LIFTOUT_HOME", str(home))
    context = browser.new_context()
    seen = cut(Visit(context.new_page(), host.address), f"pocket-{precision}", "astronaut.jpg")["alpha"]
    context.close()
    photo = host.folder / "photos" / "astronaut.jpg"
    with Remover(precision=precision, engine="onnxruntime") as remover:  # type: ignore[arg-type]
        told = remover(photo).alpha
    assert remover.precision == precision
    with Remover(engine="onnxruntime") as remover:
        whole = remover(photo).alpha
    assert isinstance(seen, np.ndarray)
    assert compare(seen, told, "")[0].difference < (0.001 if precision == "fp16" else 0.004)
    agreement, bar = compare(seen, whole, "")[0], BARS[precision]
    assert agreement.difference <= bar.mean
    assert agreement.iou >= bar.iou
