"""Cutting in the browser: cancel, memory, many photos, and what a person is told."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from conftest import Visit
from hosting import Host, slow
from PIL import Image
from test_pixels import raw_png

SMALL_LIMIT = 60_000


def test_a_cancelled_run_ends_its_worker_and_the_next_call_works(visit: Callable[..., Visit]) -> None:
    page = visit()
    result = page.run(
        """
        const lifter = await Lifter.load("slow");
        const stop = new AbortController();
        const phases = [];
        const running = lifter.cut(new ImageData(20, 20), {
          signal: stop.signal,
          onProgress: ({ phase }) => {
            phases.push(phase);
            if (phase === "network") setTimeout(() => stop.abort(), 300);
          },
        }).catch((error) => [error.name, performance.now()]);
        const [name, at] = await running;
        const small = await Lifter.load("opaque");
        const { width } = await small.cut(new ImageData(5, 5));
        small.close();
        return { name, width, phases };
        """
    )
    assert result["name"] == "AbortError"
    assert result["phases"][-1] == "network"
    assert result["width"] == 5
    deadline_workers(page, 1)


def deadline_workers(page: Visit, most: int) -> None:
    """Playwright lists workers of a page that are alive, ended ones a moment later no more."""
    for _ in range(100):
        if len(page.page.workers) <= most:
            return
        page.page.wait_for_timeout(50)
    raise AssertionError(f"{len(page.page.workers)} workers are alive")


def test_after_a_cancel_the_same_lifter_cuts_again(visit: Callable[..., Visit], host: Host) -> None:
    result = visit().run(
        """
        const lifter = await Lifter.load("blocks");
        const stop = new AbortController();
        const first = lifter.cut(new ImageData(2000, 2000), { signal: stop.signal, onProgress: () => stop.abort("enough") });
        const reason = await first.catch((error) => error);
        const { width, height } = await lifter.cut(new ImageData(30, 20));
        return { reason, width, height };
        """
    )
    assert result == {"reason": "enough", "width": 30, "height": 20}


def test_cancelling_one_photo_leaves_the_others(visit: Callable[..., Visit]) -> None:
    result = visit().run(
        """
        const lifter = await Lifter.load("opaque");
        const stop = new AbortController();
        const jobs = [10, 11, 12, 13].map((width, i) =>
          lifter.cut(new ImageData(width, 9), i === 1 ? { signal: stop.signal } : {}).then((result) => result.width, (error) => error.name));
        stop.abort();
        return Promise.all(jobs);
        """
    )
    assert result == [10, "AbortError", 12, 13]


def test_a_load_is_cancelled_in_mid_download(visit: Callable[..., Visit], host: Host) -> None:
    host.faults["weights.bin.003"] = slow(60)
    page = visit()
    result = page.run(
        """
        const stop = new AbortController();
        setTimeout(() => stop.abort(), 800);
        return Lifter.load("blocks", { signal: stop.signal }).catch((error) => error.name);
        """
    )
    assert result == "AbortError"
    deadline_workers(page, 0)
    host.faults.clear()
    assert page.run('return (await Lifter.load("blocks")).model.name') == "blocks"


def test_an_aborted_signal_starts_nothing(visit: Callable[..., Visit], host: Host) -> None:
    result = visit().run('return Lifter.load("opaque", { signal: AbortSignal.abort() }).catch((error) => error.name)')
    assert result == "AbortError"
    assert not any("manifest" in path for path in host.requests)


def test_out_of_memory_names_model_need_and_alternative(visit: Callable[..., Visit]) -> None:
    page = visit()
    result = page.run(
        """
        const lifter = await Lifter.load("greedy");
        const error = await lifter.cut(new ImageData(20, 20)).catch((error) => error);
        const again = await lifter.cut(new ImageData(20, 20)).catch((error) => error);
        return { name: error.name, message: error.message, again: again.name };
        """
    )
    assert result["name"] == result["again"] == "OutOfMemory"
    assert result["message"].startswith("greedy: not enough memory to run it: it needs about 900 MB")
    assert "choose blocks" in result["message"]
    assert not re.fullmatch(r"\D*\d+\D*", result["message"])


def test_photos_come_in_their_order_and_a_bad_one_costs_only_itself(visit: Callable[..., Visit]) -> None:
    result = visit().run(
        """
        const lifter = await Lifter.load("opaque");
        const photos = [new ImageData(9, 1), new Blob(["no photo"]), new ImageData(7, 1), new Blob([]), new ImageData(5, 1)];
        const outcomes = [];
        for await (const { index, ok, cutout, error } of lifter.cutAll(photos, { concurrency: 3 })) {
          outcomes.push([index, ok ? cutout.width : error.name]);
        }
        return outcomes;
        """
    )
    assert result == [[0, 9], [1, "ImageUnreadable"], [2, 7], [3, "ImageUnreadable"], [4, 5]]


@pytest.mark.parametrize("count", [9, pytest.param(50, marks=pytest.mark.long)])
def test_many_photos_keep_the_heap_flat_and_leak_no_addresses(
    visit: Callable[..., Visit], put_photo: Callable[[str, bytes], str], examples: Path, count: int
) -> None:
    stream = io.BytesIO()
    Image.open(examples / "coffee.jpg").resize((480, 360)).save(stream, "JPEG")
    result = visit().run(
        """
        let addresses = 0;
        const create = URL.createObjectURL, revoke = URL.revokeObjectURL;
        URL.createObjectURL = (blob) => (addresses++, create(blob));
        URL.revokeObjectURL = (url) => (addresses--, revoke(url));
        const lifter = await Lifter.load("blocks");
        const file = await photo(argument.name);
        const heaps = [];
        for await (const { cutout } of lifter.cutAll(Array(argument.count).fill(file))) heaps.push(cutout.heapBytes);
        return { heaps, addresses };
        """,
        {"name": put_photo("many.jpg", stream.getvalue()), "count": count},
    )
    assert len(result["heaps"]) == count
    assert 0 < result["heaps"][-1] <= 1.2 * result["heaps"][4]  # photos overlap more or less, and do not add up
    assert result["addresses"] == 0


def test_a_preview_comes_before_the_chosen_model(visit: Callable[..., Visit]) -> None:
    result = visit().run(
        """
        const lifter = await Lifter.load("blocks", { preview: "opaque" });
        const seen = [];
        const cutout = await lifter.cut(new ImageData(Uint8ClampedArray.from([9, 9, 9, 255]), 1, 1), {
          onPreview: (preview) => seen.push(preview.alpha[0]),
        });
        return { seen, model: lifter.model.name, final: cutout.alpha[0] };
        """
    )
    assert result["seen"] == [255]
    assert result["model"] == "blocks"
    assert result["final"] != 255


NO_PHOTOS = {
    "new Blob([])": ("ImageUnreadable", "the photo: is empty"),
    'new File(["text"], "note.jpg")': ("ImageUnreadable", "note.jpg: not an image that this browser can read"),
    'await photo("half.png")': ("ImageUnreadable", "half.png: ends too early"),
    'await photo("half.jpg")': ("ImageUnreadable", "half.jpg: not an image that this browser can read, or incomplete"),
    'await photo("rows.png")': ("ImageUnreadable", "rows.png: cannot be decoded (rows are missing)"),
    'await photo("late.jpg")': ("ImageUnreadable", "late.jpg: not an image that this browser can read, or incomplete"),
    'await photo("line.png")': ("ImageTooLarge", "line.png: 1 x 20000000 pixels; a side may have at most 65535"),
    'await photo("strip.png")': (
        "ImageTooLarge",
        "strip.png: 4 x 804 pixels; one side may be at most 200 times as long",
    ),
    "new ImageData(1, 201)": ("ImageTooLarge", "the pixels: 1 x 201 pixels; one side may be at most 200 times as long"),
    'await photo("moving.gif")': ("ImageAnimated", "moving.gif: is animated (3 frames)"),
    'await photo("moving.png")': ("ImageAnimated", "moving.png: is animated"),
    '"photo.jpg"': ("ImageUnreadable", "/photo.jpg answered 404; check the URL"),
    "7": ("UsageError", "a photo is"),
    "new ImageData(40, 40), { maxPixels: 1000 }": ("ImageTooLarge", "above the limit of 0.001"),
}
WRONG_OPTIONS = {
    "{ backgruond: 'white' }": "there is no option `backgruond`",
    "{ background: 'whitish' }": "background `whitish` is not a colour",
    "{ background: new Blob(['x']) }": "this browser cannot read the background image",
    "{ format: 'gif' }": "it must be one of png, webp, avif, jpeg",
    "{ edges: 'sharp' }": "it must be one of auto, plain, refined",
    "{ margin: -1 }": "it must be at least 0",
    "{ quality: 0 }": "it must be from 1 to 100",
}


def test_what_cannot_be_cut_is_refused_in_plain_words(
    visit: Callable[..., Visit], put_photo: Callable[[str, bytes], str]
) -> None:
    bad_photos(put_photo)
    expected = {
        **NO_PHOTOS,
        **{f"new ImageData(4, 4), {options}": ("UsageError", words) for options, words in WRONG_OPTIONS.items()},
    }
    calls = ",\n".join(f"async () => lifter.cut({call})" for call in expected)
    found = visit().run(
        f"""
        const lifter = await Lifter.load("opaque");
        const errors = [];
        for (const call of [{calls}]) {{
          errors.push(await call().then(() => ["cut", ""], (error) => [error.name, error.message]));
        }}
        const {{ width }} = await lifter.cut(new ImageData(1, 200)); // as narrow as a photo may be
        return [...errors, width];
        """
    )
    for (call, (name, words)), (found_name, message) in zip(expected.items(), found[:-1], strict=True):
        assert found_name == name, (call, message)
        assert words in message
    assert found[-1] == 1


def bad_photos(put_photo: Callable[[str, bytes], str]) -> None:
    frames = [Image.fromarray(np.full((20, 20, 3), level, np.uint8)) for level in (0, 100, 200)]
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for kind in ("png", "jpg"):
        stream = io.BytesIO()
        noise.save(stream, "PNG" if kind == "png" else "JPEG")
        content = stream.getvalue()
        put_photo(f"half.{kind}", content[: len(content) // 2] if kind == "png" else content[:300])
    stream = io.BytesIO()
    noise.resize((640, 640)).save(stream, "JPEG")
    put_photo("late.jpg", stream.getvalue()[: len(stream.getvalue()) // 2])
    put_photo("rows.png", raw_png(64, 64, 8, 0, bytes(65 * 40)))
    put_photo("line.png", raw_png(1, 20_000_000, 8, 0, bytes(200)))
    put_photo("strip.png", raw_png(4, 804, 8, 0, bytes(5 * 804)))
    for kind in ("gif", "png"):
        stream = io.BytesIO()
        frames[0].save(stream, kind.upper(), save_all=True, append_images=frames[1:])
        put_photo(f"moving.{kind}", stream.getvalue())


def test_a_closed_lifter_refuses_and_holds_no_worker(visit: Callable[..., Visit]) -> None:
    page = visit()
    result = page.run(
        'const lifter = await Lifter.load("opaque"); lifter.close(); await lifter.cut(new ImageData(4, 4));'
    )
    assert result["error"] == "UsageError"
    deadline_workers(page, 0)


def test_module_and_worker_are_small() -> None:
    folder = files("liftout").joinpath("web")
    if not folder.joinpath("liftout.js").is_file():
        pytest.skip("needs the browser's files: make web")
    sizes = {
        name: len(gzip.compress(folder.joinpath(name).read_bytes())) for name in ("liftout.js", "liftout-worker.js")
    }
    assert sum(sizes.values()) <= SMALL_LIMIT, sizes
