"""Real weights in the browser: U2-Net, which comes from the package registry."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Visit
from hosting import hosting
from test_pixels import cut

from liftout import Remover, site
from liftout.agreement import compare

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.weights import real

pytestmark = pytest.mark.long


def test_real_u2net_runs_in_the_browser_as_in_python(
    chromium: str, browser: Any, examples: Path, own_home: Path, tmp_path: Path
) -> None:
    path = real("u2net")
    target = own_home / "models" / "u2net" / path.name
    target.parent.mkdir(parents=True)
    target.symlink_to(path)
    public = tmp_path / "public"
    site.write(public, ["u2net"])
    (public / "blank.html").write_text("<!doctype html><title>blank</title><link rel=icon href=data:,>")
    (public / "photos").mkdir()
    shutil.copy(examples / "astronaut.jpg", public / "photos")
    with hosting(public) as host:
        context = browser.new_context()
        seen = cut(Visit(context.new_page(), host.address), "u2net", "astronaut.jpg")["alpha"]
        context.close()
    with Remover("u2net", engine="onnxruntime", precision="fp32") as remover:
        told = remover(examples / "astronaut.jpg").alpha
    agreement, _ = compare(seen, told, "")
    assert agreement.difference < 0.002
    assert agreement.iou > 0.995
