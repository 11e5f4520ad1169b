"""A site with real packs, and a real Chromium to visit it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import networks
import npm
from hosting import Host, hosting
from visiting import Page

from liftout import site
from liftout.models import packs

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
]
VIEWPORT = {"width": 1280, "height": 860}
BLOCK_BYTES = 64 * 1024
"""Of the packs here: many blocks without many bytes."""


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Chromium; without it, Playwright or the built files the browser's tests skip."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("needs Playwright: pip install playwright")
    if not files("liftout").joinpath("web/liftout.js").is_file():
        pytest.skip("needs the browser's files: make web")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    return found


@pytest.fixture(scope="session")
def playwright(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Any, chromium: str) -> Iterator[Any]:
    running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
    yield running
    running.close()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LIFTOUT_HOME with small packs of every kind that the tests need."""
    home = tmp_path_factory.mktemp("web-home")
    held = packs.BLOCK_BYTES
    packs.BLOCK_BYTES = BLOCK_BYTES
    try:
        folder = home / "packs"
        networks.pack(
            folder / "blocks",
            networks.smooth(weights=8 * BLOCK_BYTES),
            networks.spec("blocks"),
            external=True,
            peak_bytes=60 * 2**20,
        )
        networks.pack(folder / "lanczos", networks.smooth(), networks.spec("lanczos", resample="lanczos"))
        networks.pack(folder / "opaque", networks.opaque(), networks.spec("opaque"), peak_bytes=40 * 2**20)
        networks.pack(folder / "slow", networks.slow(steps=100_000), networks.spec("slow"))
        networks.pack(folder / "greedy", networks.greedy(), networks.spec("greedy"), peak_bytes=900 * 2**20)
        networks.pack(folder / "paid", networks.opaque(), networks.spec("paid", weights="CC-BY-NC-4.0"))
        networks.pack(folder / "unlicensed", networks.opaque(), networks.spec("unlicensed", weights="unknown"))
        networks.pack(folder / "giant", networks.opaque(), networks.spec("giant"), peak_bytes=9 * 2**30)
    finally:
        packs.BLOCK_BYTES = held
    return home


@pytest.fixture(scope="session")
def public(home: Path, shared_u2netp: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site, as `liftout site` writes it, and a blank page on it."""
    folder = tmp_path_factory.mktemp("public")
    held, before = packs.BLOCK_BYTES, os.environ.get("LIFTOUT_HOME")
    packs.BLOCK_BYTES = BLOCK_BYTES
    os.environ["LIFTOUT_HOME"] = str(home)
    try:
        site.write(folder, sorted(path.name for path in (home / "packs").iterdir()))
    finally:
        packs.BLOCK_BYTES = held
        os.environ.pop("LIFTOUT_HOME")
        if before is not None:
            os.environ["LIFTOUT_HOME"] = before
    if shared_u2netp:
        shutil.copyfile(shared_u2netp, folder / "u2netp.onnx")
    built_in = packs.built_in("pocket")
    if built_in:
        shutil.copyfile(built_in.network, folder / "pocket.onnx")
    (folder / "blank.html").write_text("<!doctype html><title>blank</title><link rel=icon href=data:,>")
    return folder


@pytest.fixture(scope="session")
def shared_u2netp() -> Path | None:
    path = Path(__file__).parents[3] / "shared" / "data" / "weights" / "u2netp.onnx"
    return path if path.is_file() else None


@pytest.fixture
def host(chromium: str, public: Path) -> Iterator[Host]:
    """The site on a fresh port, so with a storage of its own."""
    with hosting(public) as running:
        yield running


class Visit:
    """A page on a host; `run` evaluates the body of an async function with `Lifter` and `load` at hand."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.address = address
        page.goto(f"{address}blank.html")

    def run(self, body: str, argument: Any = None) -> Any:
        """Errors of the body come back as {"error": name, "message": text}."""
        return self.page.evaluate(
            """async ([body, argument]) => {
              const liftout = await import("/liftout.js");
              // one thread unless a test is about threads: they wait for each other on a busy machine
              const Lifter = class extends liftout.Lifter {
                static load(model, options = {}) { return liftout.Lifter.load(model, { threads: 1, ...options }); }
              };
              const photo = async (name) => new File([await (await fetch(`/photos/${name}`)).blob()], name);
              const bytesOf = async (blob) => Array.from(new Uint8Array(await blob.arrayBuffer()), (b) => String.fromCharCode(b)).join("");
              const work = new (Object.getPrototypeOf(async () => {}).constructor)(
                "Lifter", "liftout", "argument", "photo", "bytesOf", body);
              try {
                return await work(Lifter, liftout, argument, photo, bytesOf);
              } catch (error) {
                return { error: error.name, message: error.message };
              }
            }""",
            [body, argument],
        )


@pytest.fixture
def visit(browser: Any, host: Host) -> Iterator[Callable[..., Visit]]:
    """Open a page of the host in the test's own browser profile; more calls are more tabs of it."""
    context = browser.new_context()
    yield lambda address=None: Visit(context.new_page(), address or host.address)
    context.close()


@pytest.fixture
def put_photo(public: Path) -> Callable[[str, bytes], str]:
    """Place a photo on the host."""

    def put(name: str, content: bytes) -> str:
        (public / "photos").mkdir(exist_ok=True)
        (public / "photos" / name).write_bytes(content)
        return name

    return put


@pytest.fixture(scope="session")
def place(chromium: str, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with the built-in model and others: one to pay for, one that never ends, one of many blocks, one too large."""
    folder = tmp_path_factory.mktemp("page")
    held, before = packs.BLOCK_BYTES, os.environ.get("LIFTOUT_HOME")
    packs.BLOCK_BYTES = BLOCK_BYTES
    os.environ["LIFTOUT_HOME"] = str(home)
    try:
        site.write(folder, ["pocket", "paid", "unlicensed", "slow", "blocks", "greedy"])
    finally:
        packs.BLOCK_BYTES = held
        os.environ.pop("LIFTOUT_HOME")
        if before is not None:
            os.environ["LIFTOUT_HOME"] = before
    return folder


@pytest.fixture
def opened(browser: Any, place: Path) -> Iterator[Callable[..., Page]]:
    """Open the page in a profile of its own. Without motion, which costs more here than the networks: there is no graphics card."""
    held: list[Any] = []

    def open_(address: str, **settings: Any) -> Page:
        usual = {"viewport": VIEWPORT, "reduced_motion": "reduce"}
        context = browser.new_context(**{**usual, **settings})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        held.append(context)
        return Page(context.new_page(), address)

    yield open_
    for context in held:
        context.close()


@pytest.fixture(scope="session")
def shared_profile(browser: Any, place: Path) -> Iterator[Page]:
    """The page on a host that isolates it, in a profile that all tests of `page` use one after the other."""
    with hosting(place) as host:
        context = browser.new_context(viewport=VIEWPORT, reduced_motion="reduce")
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        yield Page(context.new_page(), host.address)
        context.close()


@pytest.fixture
def page(shared_profile: Page) -> Iterator[Page]:
    """The page as at a first visit, but for compiled code and kept models: those cost more than what most tests are about."""
    shared_profile.page.set_viewport_size(VIEWPORT)
    shared_profile.page.emulate_media(color_scheme="light", reduced_motion="reduce")
    shared_profile.begin_anew()
    yield shared_profile
    assert not shared_profile.errors


@pytest.fixture
def fresh_page(opened: Callable[..., Page], place: Path) -> Iterator[Page]:
    """The page on a host that isolates it, in a profile of its own."""
    with hosting(place) as host:
        visit = opened(host.address)
        yield visit
        assert not visit.errors


@pytest.fixture(scope="session")
def npm_package(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make npm` packs."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    return npm.pack(tmp_path_factory.mktemp("npm"))


@pytest.fixture(scope="session")
def unpacked(npm_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The npm package as it lies on a CDN, with the runtime that it depends on beside it."""
    return npm.unpack(npm_package, tmp_path_factory.mktemp("cdn") / "npm")
