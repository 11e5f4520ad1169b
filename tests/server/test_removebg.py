"""/v1.0/removebg, as clients of remove.bg call it; among them a package that knows nothing of liftout."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
import removebg.removebg as foreign
from PIL import Image

from liftout import Remover
from liftout.images import decode
from liftout.server.keyfile import add_key, parse_rate

PATH = "/v1.0/removebg"


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


@pytest.fixture(scope="module")
def expected(cat: bytes, tiny_home: Path) -> np.ndarray:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFTOUT_HOME", str(tiny_home))
        with Remover("tiny") as remover:
            return remover(cat).rgba


@pytest.fixture
def remove_bg(server: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> foreign.RemoveBg:
    """The package `removebg` from PyPI; nothing of it is changed but the address that it talks to."""
    monkeypatch.setattr(foreign, "API_ENDPOINT", f"{server.url}{PATH}")
    return foreign.RemoveBg("a-key-of-remove.bg", str(tmp_path / "error.log"))


def test_the_foreign_client_cuts_out_a_file(
    remove_bg: foreign.RemoveBg, examples: Path, tmp_path: Path, expected: np.ndarray
) -> None:
    photo = tmp_path / "cat.jpg"
    photo.write_bytes((examples / "cat.jpg").read_bytes())
    remove_bg.remove_background_from_img_file(str(photo), size="auto")
    assert np.array_equal(np.asarray(opened((tmp_path / "cat.jpg_no_bg.png").read_bytes())), expected)


def test_the_foreign_client_cuts_out_base64_over_a_colour(
    remove_bg: foreign.RemoveBg, cat: bytes, tmp_path: Path, expected: np.ndarray
) -> None:
    target = tmp_path / "no-bg.png"
    remove_bg.remove_background_from_base64_img(
        base64.b64encode(cat).decode(), size="regular", new_file_name=str(target), bg_color="81d4fa"
    )
    image = np.asarray(opened(target.read_bytes()).convert("RGB")).astype(float)
    alpha = expected[..., 3:] / 255
    blended = expected[..., :3] * alpha + np.array([0x81, 0xD4, 0xFA]) * (1 - alpha)
    assert np.abs(image - blended).mean() < 2  # it came back as JPEG: nothing in it is transparent


def test_the_foreign_client_is_told_what_is_wrong(remove_bg: foreign.RemoveBg, tmp_path: Path) -> None:
    import requests

    with pytest.raises(requests.HTTPError, match="400"):
        remove_bg.remove_background_from_base64_img("bm90IGEgcGhvdG8=", new_file_name=str(tmp_path / "x.png"))
    with pytest.raises(requests.HTTPError, match="400"):
        remove_bg.remove_background_from_img_url("http://192.0.2.1/cat.jpg", new_file_name=str(tmp_path / "x.png"))


def test_headers_and_json_are_those_of_remove_bg(client: httpx.Client, cat: bytes) -> None:
    answer = client.post(
        PATH,
        json={"image_file_b64": base64.b64encode(cat).decode(), "size": "auto", "type": "product", "crop": True},
        headers={"Accept": "application/json", "X-Api-Key": "anything"},
    )
    image = opened(base64.b64decode(answer.json()["data"]["result_b64"]))
    assert (answer.headers["x-width"], answer.headers["x-height"]) == tuple(map(str, image.size))
    assert (answer.headers["x-max-width"], answer.headers["x-max-height"]) == ("451", "300")
    assert (answer.headers["x-type"], answer.headers["x-credits-charged"]) == ("product", "0")
    assert answer.json()["data"]["foreground_width"] == int(answer.headers["x-foreground-width"]) > 0


def test_the_default_size_is_a_preview(client: httpx.Client, examples: Path) -> None:
    photo = (examples / "astronaut.jpg").read_bytes()
    width, height = opened(photo).size
    assert width * height > 250_000
    answer = client.post(PATH, files={"image_file": photo})
    small = opened(answer.content)
    assert 240_000 < small.width * small.height <= 250_000
    assert small.width / small.height == pytest.approx(width / height, rel=0.01)
    assert answer.headers["x-max-width"] == str(width)
    assert opened(client.post(PATH, files={"image_file": photo}, data={"size": "full"}).content).size == (width, height)


def test_nothing_outside_the_region_of_interest_is_subject(
    client: httpx.Client, cat: bytes, expected: np.ndarray
) -> None:
    answer = client.post(PATH, files={"image_file": cat}, data={"roi": "100px 10% 75% 200px", "format": "png"})
    alpha = np.asarray(opened(answer.content))[..., 3]
    inside = np.zeros_like(alpha, bool)
    inside[30:200, 100:338] = True
    assert alpha[~inside].max() == 0
    assert np.array_equal(alpha[inside], expected[..., 3][inside])


def test_margins_reach_beyond_the_photo(client: httpx.Client, cat: bytes) -> None:
    plain = opened(client.post(PATH, files={"image_file": cat}, data={"crop": "true", "format": "png"}).content)
    given = {"crop": "true", "crop_margin": "10px 20% 30px 40px", "format": "png"}
    wide = opened(client.post(PATH, files={"image_file": cat}, data=given).content)
    assert wide.size == (plain.width + round(plain.width * 0.2) + 40, plain.height + 40)
    assert np.array_equal(
        np.asarray(wide.crop((40, 10, 40 + plain.width, 10 + plain.height)))[..., 3], np.asarray(plain)[..., 3]
    )


def test_scale_and_position_place_the_subject(client: httpx.Client, cat: bytes) -> None:
    given = {"scale": "50%", "position": "100% 0%", "format": "png", "size": "auto"}
    answer = client.post(PATH, files={"image_file": cat}, data=given)
    alpha = np.asarray(opened(answer.content))[..., 3]
    assert alpha.shape == (300, 451)
    columns, rows = np.flatnonzero((alpha >= 64).any(axis=0)), np.flatnonzero((alpha >= 64).any(axis=1))
    across, down = columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]
    assert max(across / 451, down / 300) == pytest.approx(0.5, abs=0.03)
    assert columns[-1] >= 446
    assert rows[0] <= 4


def test_the_alpha_channel_alone(client: httpx.Client, cat: bytes, expected: np.ndarray) -> None:
    image = opened(client.post(PATH, files={"image_file": cat}, data={"channels": "alpha"}).content)
    assert image.mode == "L"
    assert np.array_equal(np.asarray(image), expected[..., 3])


def test_a_zip_holds_colours_and_alpha(client: httpx.Client, cat: bytes, expected: np.ndarray) -> None:
    answer = client.post(PATH, files={"image_file": cat}, data={"format": "zip"})
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert opened(archive.read("color.jpg")).size == (451, 300)
        assert np.array_equal(np.asarray(opened(archive.read("alpha.png"))), expected[..., 3])


def test_a_picture_lies_behind_the_subject(client: httpx.Client, cat: bytes, expected: np.ndarray) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (90, 60), (250, 10, 20)).save(stream, "PNG")
    answer = client.post(PATH, files={"image_file": cat, "bg_image_file": stream.getvalue()}, data={"format": "png"})
    image = np.asarray(opened(answer.content).convert("RGB")).astype(float)
    alpha = expected[..., 3:] / 255
    assert np.abs(image - (expected[..., :3] * alpha + np.array([250, 10, 20]) * (1 - alpha))).max() <= 1
    assert (
        client.post(PATH, files={"image_file": cat, "bg_image_file": stream.getvalue()}).headers["content-type"]
        == "image/jpeg"
    )


def test_a_transparent_colour_stays_transparent(client: httpx.Client, cat: bytes, expected: np.ndarray) -> None:
    answer = client.post(PATH, files={"image_file": cat}, data={"bg_color": "81d4fa77"})
    image = np.asarray(opened(answer.content))
    assert image[expected[..., 3] == 0].max(axis=0).tolist() == [0x81, 0xD4, 0xFA, 0x77]


@pytest.mark.parametrize(
    "given",
    [
        {"size": "small"},
        {"size": "auto", "roi": "100px 10% 75% 200px"},
        {"crop": "true", "crop_margin": "10px"},
        {"scale": "50%", "position": "100% 0%"},
        {"bg_color": "81d4fa"},
        {"bg_color": "81d4fa77", "add_shadow": "true"},
    ],
)
def test_16_bits_stay_16_bits(client: httpx.Client, deep_cat: bytes, given: dict[str, str]) -> None:
    answer = client.post(PATH, files={"image_file": deep_cat}, data={**given, "format": "png"})
    assert decode(answer.content).pixels16 is not None


def test_plain_edges_keep_the_colours_of_the_photo(launch: Callable[..., object], cat: bytes) -> None:
    server = launch("--edges", "plain")
    pixels = np.asarray(opened(cat))
    for given, part in (
        ({"roi": "100px 10% 75% 200px"}, np.s_[:, :]),
        ({"crop": "true"}, None),
    ):
        files, data = {"image_file": cat}, {**given, "size": "auto", "format": "png"}
        answer = httpx.post(f"{server.url}{PATH}", files=files, data=data, timeout=60, trust_env=False)
        found = np.asarray(opened(answer.content))
        if part is None:
            left, top = (int(answer.headers[f"x-foreground-{side}"]) for side in ("left", "top"))
            assert (left, top) == (0, 0)
            with Remover("tiny", edges="plain") as remover:
                box = remover(cat).box
            part = np.s_[box[1] : box[3], box[0] : box[2]]
        visible = found[..., 3] > 0
        assert visible.any()
        assert np.array_equal(found[visible][:, :3], pixels[part][visible])


def test_a_transparent_colour_lies_over_white_in_a_jpeg(client: httpx.Client, cat: bytes, expected: np.ndarray) -> None:
    answer = client.post(PATH, files={"image_file": cat}, data={"bg_color": "81d4fa77", "format": "jpg"})
    found = np.asarray(opened(answer.content)).astype(float)
    colour = 255 + (np.array([0x81, 0xD4, 0xFA]) - 255) * 0x77 / 255
    assert np.abs(found[expected[..., 3] == 0] - colour).mean() < 2


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"size": "huge"}, "size"),
        ({"type": "ufo"}, "type"),
        ({"format": "gif"}, "format"),
        ({"roi": "1 2 3"}, "roi"),
        ({"roi": "a b c d"}, "roi"),
        ({"crop": "si"}, "crop"),
        ({"crop_margin": "1px 2px 3px"}, "crop_margin"),
        ({"scale": "5%"}, "scale"),
        ({"scale": "50px"}, "scale"),
        ({"position": "101%"}, "position"),
        ({"position": "left"}, "position"),
        ({"channels": "r"}, "channels"),
        ({"bg_color": "nocolour"}, "bg_color"),
        ({"bg_color": "red", "bg_image_url": "http://x/"}, "bg_image_url"),
        ({"image_url": "http://x/"}, "image_url"),
        ({"cropp": "true"}, "cropp"),
    ],
)
def test_errors_have_the_shape_of_remove_bg(
    client: httpx.Client, cat: bytes, given: dict[str, str], field: str
) -> None:
    answer = client.post(PATH, files={"image_file": cat}, data=given)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["title"]
    assert error["detail"]
    assert error["field"] == field
    code = {"bg_image_url": "multiple_bg_sources", "image_url": "multiple_sources"}.get(field, f"invalid_{field}")
    assert error["code"] == code


def test_photos_that_cannot_be_had_or_read_have_the_codes_of_remove_bg(client: httpx.Client, cat: bytes) -> None:
    def code(**request: object) -> str:
        answer = client.post(PATH, **request)
        assert answer.status_code == 400
        return answer.json()["errors"][0]["code"]

    assert code() == "missing_source"
    assert code(files={"image_file": b"no photo"}) == "failed_to_read_image"
    assert code(json={"image_file_b64": "%%%"}) == "failed_to_read_image"
    assert code(json={"image_url": "http://192.0.2.1/cat.jpg"}) == "failed_image_download"
    assert code(json={"image_url": "cat.jpg"}) == "invalid_image_url"
    assert code(files={"image_file": cat}, data={"bg_image_url": "http://192.0.2.1/"}) == "failed_bg_download"
    assert code(files={"image_file": b"x" * 51_000_000}) == "file_too_large"
    black = io.BytesIO()
    Image.new("RGB", (64, 64)).save(black, "PNG")
    assert code(files={"image_file": black.getvalue()}) == "unknown_foreground"
    wide = io.BytesIO()
    Image.new("L", (8000, 7000)).save(wide, "PNG")
    assert code(files={"image_file": wide.getvalue()}) == "resolution_too_high"


def test_keys_have_their_own_limits_and_an_account(launch: Callable[..., object], tmp_path: Path, cat: bytes) -> None:
    file = tmp_path / "keys"
    shop, other = add_key(file, "shop", rate=parse_rate("3/hour")), add_key(file, "other")
    assert shop not in file.read_text(encoding="utf-8")
    server = launch("--api-key-file", str(file))

    def account(key: str | None) -> httpx.Response:
        return httpx.get(f"{server.url}/v1.0/account", headers={"X-Api-Key": key} if key else {}, timeout=60)

    cut = httpx.post(f"{server.url}{PATH}", files={"image_file": cat}, headers={"X-Api-Key": shop}, timeout=60)
    assert (cut.status_code, cut.headers["x-ratelimit-limit"], cut.headers["x-ratelimit-remaining"]) == (200, "3", "2")
    attributes = account(shop).json()["data"]["attributes"]
    assert attributes["credits"].keys() == {"total", "subscription", "payg", "enterprise"}
    assert attributes["credits"]["total"] > 0
    assert attributes["api"]["sizes"] == "all"
    assert attributes["liftout"] == {"key": "shop", "rate": "3/hour", "requests": 2}
    assert account(shop).status_code == 200
    refused = account(shop)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 1000
    assert refused.json()["errors"][0]["title"] == "Rate limit exceeded"
    assert "x-ratelimit-limit" not in account(other).headers
    assert 'liftout_key_requests_total{key="shop"} 3.0' in (
        httpx.get(f"{server.url}/metrics", headers={"X-Api-Key": other}).text
    )
    (missing,), (wrong,) = account(None).json()["errors"], account("wrong").json()["errors"]
    assert (missing["title"], missing["code"]) == ("Missing API Key", "auth_failed")
    assert (wrong["title"], wrong["code"]) == ("Invalid API Key", "auth_failed")


def test_submissions_for_improvement_are_accepted_or_off(
    client: httpx.Client, launch: Callable[..., object], cat: bytes
) -> None:
    data = {"tag": "batch", "image_filename": "cat.jpg"}
    accepted = client.post("/v1.0/improve", files={"image_file": cat}, data=data)
    assert (accepted.status_code, len(accepted.json()["id"])) == (200, 36)
    assert client.post("/v1.0/improve", data=data).json()["errors"][0]["code"] == "missing_source"
    server = launch("--improve", "off")
    off = httpx.post(f"{server.url}/v1.0/improve", files={"image_file": cat})
    assert (off.status_code, off.json()["errors"][0]["code"]) == (400, "improve_off")


def test_a_background_that_is_no_picture_is_named(client: httpx.Client, cat: bytes) -> None:
    answer = client.post(PATH, files={"image_file": cat, "bg_image_file": b"nothing"})
    assert answer.json()["errors"][0]["field"] == "bg_image_file"


def test_parameters_without_meaning_here_are_taken(client: httpx.Client, cat: bytes) -> None:
    given = {"type_level": "latest", "semitransparency": "true", "add_shadow": "true", "shadow_type": "drop"}
    assert client.post(PATH, files={"image_file": cat}, data=given).status_code == 200
