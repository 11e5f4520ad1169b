"""The page and the module in a real WebKit, the engine of Safari, also within what iOS leaves to a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import webkit
from hosting import hosting
from PIL import Image
from test_firefox import DOWNLOAD, GIVE, READY, SAVE, STAGE
from test_pixels import png

from liftout import remove

pytestmark = pytest.mark.long

PHOTO = "photos/coffee.png"

LIMIT = b"""
const Memory = WebAssembly.Memory;
WebAssembly.Memory = function ({ initial, maximum = 6144, ...rest }) {
  if (initial > 6144) throw new RangeError("Out of memory");
  return new Memory({ initial, maximum: Math.min(maximum, 6144), ...rest });
};
"""
"""In front of the worker's script: no WebAssembly memory above 384 MB, which is what old iPhones give a page."""

SAVED = f"""{DOWNLOAD}
  URL.createObjectURL = make;
  document.getElementById("notice").textContent = "";
  return Array.from(new Uint8Array(await file.arrayBuffer()), (byte) => String.fromCharCode(byte)).join("");
"""

CUT = """
  const { Lifter } = await import("/liftout.js");
  const lifter = await Lifter.load("pocket");
  const told = [lifter.engine.reason];
  for (const edges of ["auto", "refined"]) {
    const { alpha, heapBytes } = await lifter.cut("/photos/coffee.png", { edges });
    told.push(Array.from(alpha, (level) => String.fromCharCode(level)).join(""), heapBytes);
  }
  lifter.close();
  return told;
"""

THREADS = """
  const { Lifter } = await import("/liftout.js");
  const lifter = await Lifter.load("pocket");
  lifter.close();
  return [typeof SharedArrayBuffer, lifter.engine.threads, lifter.engine.reason];
"""

GREEDY = """
  const { Lifter } = await import("/liftout.js");
  const said = [];
  for (const checkMemory of [true, false]) {
    const lifter = await Lifter.load("greedy", { checkMemory }).catch((error) => error);
    const end = lifter instanceof Error ? lifter : await lifter.cut("/photos/coffee.png").catch((error) => error);
    said.push(`${end.name}: ${end.message}`);
  }
  const after = await (await Lifter.load("pocket")).cut("/photos/coffee.png");
  said.push(after.blob.type);
  return said;
"""


@pytest.fixture(scope="module")
def photo(place: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A photo on the site, as PNG: JPEG is decoded by each browser in its own way."""
    with Image.open(Path(__file__).parents[2] / "examples" / "coffee.jpg") as image:
        content = png(np.asarray(image.convert("RGB")))
    (place / PHOTO).parent.mkdir(exist_ok=True)
    (place / PHOTO).write_bytes(content)
    return content


@pytest.fixture
def visit(tmp_path: Path) -> Iterator[webkit.WebKit]:
    reason = webkit.missing()
    if reason:
        pytest.skip(reason)
    with webkit.webkit(tmp_path) as running:
        yield running


def levels(text: str, size: tuple[int, int]) -> np.ndarray:
    return np.frombuffer(text.encode("latin1"), np.uint8).reshape(size).astype(int)


def test_the_page_works_in_webkit(visit: webkit.WebKit, place: Path, photo: bytes, tmp_path: Path) -> None:
    with hosting(place) as host:
        visit.open(host.address)
        visit.run(READY)
        assert visit.run(GIVE.replace("samples/coffee.jpg", PHOTO)).startswith("done")
        visit.run("await new Promise((go) => setTimeout(go, 1500))")  # the stage draws
        saved = tmp_path / "cutout.png"
        saved.write_bytes(visit.run(SAVED).encode("latin1"))
        with Image.open(saved) as cutout:
            made = np.asarray(cutout.getchannel("A")).astype(int)
        assert np.abs(made - remove(photo).alpha).max() <= 1
        left, top, width, height = visit.run(STAGE)
        visit.drag((left + 0.4 * width, top + 0.5 * height), (left + 0.6 * width, top + 0.5 * height))
        assert visit.run(SAVE) == [0, 255]
        shared, threads, reason = visit.run(THREADS)
    if shared == "undefined":  # also where a page is isolated
        assert threads == 1
        assert "this browser has no SharedArrayBuffer" in reason


def test_a_page_within_the_limits_of_ios_has_the_alphas_of_python(
    visit: webkit.WebKit, place: Path, photo: bytes
) -> None:
    """No isolation, so no SharedArrayBuffer and one thread, and a heap of at most 384 MB."""
    with hosting(place, isolated=False) as host:
        host.faults["liftout-worker.js"] = lambda handler: handler.answer(LIMIT + handler.file().read_bytes())
        visit.open(f"{host.address}catalog.json")
        reason, auto, _, refined, heap_bytes = visit.run(CUT)
        refused, exhausted, after = visit.run(GREEDY)
    assert "1 thread: the page is not cross-origin isolated" in reason
    assert heap_bytes <= 384 * 2**20
    told = remove(photo)
    assert np.abs(levels(auto, told.size) - told.alpha).max() <= 1
    away = np.abs(levels(refined, told.size) - remove(photo, edges="refined").alpha)
    assert (away > 1).mean() < 1e-3
    assert refused.startswith("OutOfMemory: greedy needs 900 MB of memory, more than this browser can provide; choose")
    assert exhausted.startswith("OutOfMemory: greedy: not enough memory to run it")
    assert after == "image/png"
