"""liftout's rembg against rembg itself."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liftout.compat.rembg import new_session, remove
from liftout.compose.smoothing import smoothed

pytestmark = pytest.mark.long

MASKS = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from rembg import new_session, remove
from rembg.bg import post_process

photos, folder = Path(sys.argv[1]), Path(sys.argv[2])
session = new_session("u2netp")
for path in sorted(photos.glob("*.jpg")):
    photo = Image.open(path)
    for kind in ("raw", "smooth"):
        mask = remove(photo, session=session, only_mask=True, post_process_mask=kind == "smooth")
        mask.save(folder / f"{path.stem}-{kind}.png")
noise = np.random.default_rng(0).integers(0, 256, (300, 400)).astype(np.uint8)
Image.fromarray(noise).save(folder / "noise-raw.png")
Image.fromarray(post_process(noise)).save(folder / "noise-smooth.png")
"""


def test_a_mask_is_smoothed_as_rembg_smooths_it(run_rembg: Callable[..., None], examples: Path, tmp_path: Path) -> None:
    run_rembg(MASKS, examples, tmp_path)
    raw = sorted(tmp_path.glob("*-raw.png"))
    assert len(raw) > 5
    for path in raw:
        theirs = np.asarray(Image.open(path.with_name(path.name.replace("-raw", "-smooth"))))
        np.testing.assert_array_equal(smoothed(np.asarray(Image.open(path))), theirs, err_msg=path.stem)


CALLS = [
    {},
    {"only_mask": True},
    {"post_process_mask": True},
    {"putalpha": True},
    {"decontaminate": True},
    {"bgcolor": [255, 0, 0, 255]},
    {"bgcolor": [255, 0, 0, 128]},
]
TYPES = """
import io, json, sys
import numpy as np
from PIL import Image
from rembg import new_session, remove
session = new_session("u2netp")
rows = []
for options in json.loads(sys.argv[2]):
    photo = Image.open(sys.argv[1])
    image = remove(photo.copy(), session=session, **options)
    array = remove(np.asarray(photo), session=session, **options)
    file = Image.open(io.BytesIO(remove(open(sys.argv[1], "rb").read(), session=session, **options)))
    rows.append([image.mode, image.size, array.shape, str(array.dtype), file.format, file.mode, file.size])
open(sys.argv[3], "w").write(json.dumps(rows))
"""


def test_the_same_calls_give_the_same_types(run_rembg: Callable[..., None], examples: Path, tmp_path: Path) -> None:
    path = examples / "cat.jpg"
    run_rembg(TYPES, path, json.dumps(CALLS), tmp_path / "types.json")
    session, photo = new_session(), Image.open(path)
    for options, theirs in zip(CALLS, json.loads((tmp_path / "types.json").read_text()), strict=True):
        image = remove(photo, session=session, **options)
        array = remove(np.asarray(photo), session=session, **options)
        file = Image.open(io.BytesIO(remove(path.read_bytes(), session=session, **options)))
        ours = [image.mode, image.size, array.shape, str(array.dtype), file.format, file.mode, file.size]
        assert json.loads(json.dumps(ours)) == theirs, options
