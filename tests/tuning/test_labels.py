"""`liftout tune label`: photos come in the order of doubt, masks go beside them, and nothing else can be read or written."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from liftout.errors import InputError, UsageError
from liftout.remover import Remover
from liftout.server import labels
from liftout.server.run import listen
from liftout.server.serving import prepare
from liftout.server.settings import Settings
from liftout.tuning.labels import Desk, doubt
from liftout.tuning.reading import find_pairs


@pytest.fixture(scope="module")
def remover() -> Iterator[Remover]:
    with Remover("pocket") as remover:
        yield remover


@pytest.fixture
def folder(tmp_path: Path, examples: Path) -> Path:
    """A photo with a clear subject, one without any, one that lies on its side, one that has its mask."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    cup = Image.open(examples / "coffee.jpg")
    cup.save(folder / "cup.jpg")
    Image.new("RGB", (300, 200), (90, 130, 90)).save(folder / "more" / "nothing.png")
    exif = Image.Exif()
    exif[274] = 6
    cup.save(folder / "turned.jpg", exif=exif)
    cup.save(folder / "done.jpg")
    Image.new("L", cup.size, 255).save(folder / "done-mask.png")
    return folder


def _png(size: tuple[int, int], level: int = 200) -> bytes:
    content = io.BytesIO()
    Image.new("L", size, level).save(content, "PNG")
    return content.getvalue()


def test_the_photo_that_the_model_doubts_most_comes_first(folder: Path, remover: Remover) -> None:
    desk = Desk(folder, remover)
    assert [item.name for item in desk.waiting()] == ["cup.jpg", "more/nothing.png", "turned.jpg"]
    desk.look()
    order = desk.waiting()
    assert order[0].name == "more/nothing.png"
    doubts = [item.doubt for item in order]
    assert doubts == sorted(doubts, reverse=True)  # type: ignore[type-var]
    assert desk.count == 4


def test_doubt_is_of_what_lies_between() -> None:
    clear, vague = np.zeros((40, 40), np.uint8), np.full((40, 40), 127, np.uint8)
    clear[10:30, 10:30] = 255
    assert doubt(clear) == 0
    assert doubt(vague) == 1
    assert doubt(np.zeros((40, 40), np.uint8)) == 1


def test_a_mask_lies_beside_its_photo_where_tune_finds_it(folder: Path, remover: Remover) -> None:
    desk = Desk(folder, remover)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    by_name = {item.name: item for item in desk.waiting()}
    saved = desk.save(by_name["cup.jpg"].id, _png((600, 400)))
    assert saved == folder / "cup-mask.png"
    with Image.open(saved) as mask:
        assert (mask.mode, mask.size, mask.getextrema()) == ("L", (600, 400), (200, 200))
    assert saved in [pair.label for pair in find_pairs(folder).pairs]
    assert "cup.jpg" not in [item.name for item in desk.waiting()]
    assert {path: path.read_bytes() for path in before} == before


def test_a_mask_has_the_size_of_the_upright_photo(folder: Path, remover: Remover) -> None:
    desk = Desk(folder, remover)
    turned = next(item for item in desk.waiting() if item.name == "turned.jpg")
    with pytest.raises(InputError, match="is 600 x 400 pixels, its photo 400 x 600"):
        desk.save(turned.id, _png((600, 400)))
    assert desk.save(turned.id, _png((400, 600))).is_file()


def test_a_folder_without_photos_is_refused(tmp_path: Path, remover: Remover) -> None:
    with pytest.raises(UsageError, match="holds no photos"):
        Desk(tmp_path, remover)


@pytest.fixture
def served(folder: Path, remover: Remover) -> Iterator[tuple[httpx.Client, str]]:
    """A client of a real server on loopback, and its token."""
    token = labels.new_token()
    routes = labels.router(Desk(folder, remover), token, "pocket")
    with listen("127.0.0.1", 0) as listening:
        _, server = prepare(Settings(), routes=routes)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            address = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with httpx.Client(base_url=address, timeout=60) as client:
                yield client, token
        finally:
            server.should_exit = True
            thread.join()


def test_the_server_gives_photos_and_takes_masks(served: tuple[httpx.Client, str], folder: Path) -> None:
    client, token = served
    headers = {labels.HEADER: token}
    told = client.get("/label/photos", headers=headers).json()
    assert (told["count"], told["model"], len(told["waiting"])) == (4, "pocket", 3)
    first = told["waiting"][0]
    photo = client.get(f"/label/photos/{first['id']}", headers=headers)
    assert photo.headers["content-type"] == "image/jpeg"
    assert photo.content == (folder / first["name"]).read_bytes()
    put = client.put(f"/label/photos/{first['id']}/mask", headers=headers, content=_png((600, 400)))
    assert (put.status_code, put.json()) == (201, {"saved": "cup-mask.png"})
    assert (folder / "cup-mask.png").is_file()
    assert len(client.get("/label/photos", headers=headers).json()["waiting"]) == 2


def test_without_the_token_nothing_is_read_or_written(served: tuple[httpx.Client, str], folder: Path) -> None:
    client, token = served
    key = client.get("/label/photos", headers={labels.HEADER: token}).json()["waiting"][0]["id"]
    for headers in ({}, {labels.HEADER: ""}, {labels.HEADER: token[:-1]}):
        assert client.get("/label/photos", headers=headers).status_code == 403
        assert client.get(f"/label/photos/{key}", headers=headers).status_code == 403
        assert client.put(f"/label/photos/{key}/mask", headers=headers, content=_png((600, 400))).status_code == 403
    assert not (folder / "cup-mask.png").exists()
    rebound = {labels.HEADER: token, "Host": "photos.example"}
    assert client.get("/label/photos", headers=rebound).status_code == 421


def test_only_photos_of_the_folder_have_keys(served: tuple[httpx.Client, str], folder: Path) -> None:
    client, token = served
    headers = {labels.HEADER: token}
    (folder.parent / "secret.jpg").write_bytes(b"secret")
    for key in ("cup.jpg", "..%2Fsecret.jpg", "../secret.jpg", "0" * 16):
        assert client.get(f"/label/photos/{key}", headers=headers).status_code == 404
        assert client.put(f"/label/photos/{key}/mask", headers=headers, content=_png((9, 9))).status_code == 404


def test_what_is_no_mask_is_refused(served: tuple[httpx.Client, str], folder: Path) -> None:
    client, token = served
    headers = {labels.HEADER: token}
    key = client.get("/label/photos", headers=headers).json()["waiting"][0]["id"]
    for content in (b"", b"no picture", _png((30, 20))):
        refused = client.put(f"/label/photos/{key}/mask", headers=headers, content=content)
        assert refused.status_code == 422
        assert refused.json()["detail"]
    assert not (folder / "cup-mask.png").exists()
