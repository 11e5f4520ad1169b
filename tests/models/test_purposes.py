"""A name by purpose means the best model that is here, or one that takes little to fetch; the default is the user's to set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from liftout import Remover
from liftout.errors import UnknownModel
from liftout.models.catalog import all_models, find
from liftout.models.licence import asks, consent
from liftout.models.purposes import UNASKED_BYTES, choose, default_model, purposes
from tests.command import liftout
from tests.weights import real


@pytest.fixture
def u2netp(home: Path) -> None:
    """U2NetP's own file is on this machine."""
    path = real("u2netp")
    place = home / "models" / "u2netp"
    place.mkdir(parents=True)
    (place / path.name).symlink_to(path)


def put(home: Path, name: str, size: int | None = None) -> None:
    """A file that looks like the model's published one."""
    file = next(item for item in find(name).files if item.role == "onnx")
    path = home / "models" / name / file.name
    path.parent.mkdir(parents=True)
    with path.open("wb") as stream:
        stream.truncate(file.bytes if size is None else size)


def test_every_purpose_names_models_of_the_catalogue():
    assert set(purposes()) == {"best", "people", "products", "anime", "hair", "fast"}
    for purpose in purposes().values():
        assert set(purpose.models) | {purpose.last} <= set(all_models())
        assert not asks(find(purpose.last))


def test_what_is_here_comes_before_what_is_better_and_not_here(home):
    put(home, "isnet-general-use")
    choice = choose("best", can_convert=True)
    assert (choice.spec.name, choice.fetches, choice.notable) == ("isnet-general-use", None, False)
    put(home, "birefnet-general")
    assert choose("best").spec.name == "birefnet-general"


@pytest.mark.parametrize("can_convert", [True, False])
@pytest.mark.parametrize("name", ["best", "people", "products", "anime", "hair", "fast"])
def test_nothing_above_the_limit_is_fetched_unasked(name, can_convert):
    choice = choose(name, can_convert=can_convert)
    assert choice.fetches is None or choice.fetches <= UNASKED_BYTES
    assert choice.spec.license.commercial


def test_the_line_says_what_is_fetched_and_how_to_have_the_best():
    explanation = choose("best", can_convert=False).explanation
    assert explanation.startswith(
        "best: taking isnet-general-use, which is fetched (179 MB); the best for it is birefnet-hr (1099 MB)"
    )
    explanation = choose("people", can_convert=True).explanation
    assert explanation.startswith(
        "people: taking birefnet-general-lite, which is fetched (178 MB); the best for it is birefnet-portrait"
    )
    assert explanation.endswith("(885 MB): liftout models pull birefnet-portrait")


def test_without_a_network_the_built_in_model_is_left(monkeypatch):
    monkeypatch.setenv("LIFTOUT_OFFLINE", "1")
    choice = choose("hair")
    assert (choice.spec.name, choice.notable) == ("pocket", True)
    assert choose("fast").spec.name == "pocket"


def test_a_licence_that_asks_is_passed_over_until_it_is_accepted(home):
    put(home, "rmbg-1.4")
    put(home, "u2net")
    assert choose("best").spec.name == "u2net"
    assert choose("best", accept_license=["rmbg-1.4"]).spec.name == "rmbg-1.4"
    consent(find("rmbg-1.4"), accept=True)
    assert choose("best").spec.name == "rmbg-1.4"


def test_a_damaged_file_is_not_here(home):
    put(home, "isnet-general-use", size=5)
    assert choose("best", may_fetch=False).spec.name == "pocket"


def test_a_name_that_is_no_purpose_is_refused():
    with pytest.raises(UnknownModel, match="best, people"):
        choose("bestest")


def test_cut_takes_a_purpose_and_says_which_model_it_was(u2netp, examples, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LIFTOUT_OFFLINE", "1")
    put_fast = ("cut", examples / "cat.jpg", "-m", "people", "-o", tmp_path / "a.png", "--json")
    assert liftout(*put_fast) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "pocket"
    with Remover("fast") as remover:
        assert remover.spec.name == "pocket"


def test_a_model_that_cannot_be_fetched_gives_way_to_the_next(server, examples, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LIFTOUT_GITHUB_PREFIX", server.origin)
    monkeypatch.setenv("HF_ENDPOINT", server.origin)
    monkeypatch.setenv("PIP_INDEX_URL", server.url("/simple"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    assert liftout("cut", examples / "cat.jpg", "-m", "anime", "-o", tmp_path / "a.png") == 0
    explanation = capsys.readouterr().err
    assert (
        "taking isnet-anime, which is fetched (176 MB)" in explanation or "taking birefnet-general-lite" in explanation
    )
    assert "taking the next one for anime" in explanation
    assert "anime: taking pocket" in explanation


def test_the_default_is_the_process_s_then_the_machine_s_then_the_built_in_one(u2netp, capsys, monkeypatch):
    assert default_model("pocket") == "pocket"
    assert liftout("models", "use", "u2netp") == 0
    assert capsys.readouterr().out == "u2netp is the default here\n"
    with Remover() as remover:
        assert remover.spec.name == "u2netp"
    monkeypatch.setenv("LIFTOUT_MODEL", "fast")
    assert default_model("pocket") == "fast"
    with Remover() as remover:
        assert remover.spec.name == "pocket"
    monkeypatch.delenv("LIFTOUT_MODEL")
    assert liftout("models", "use", "u2nett") == 2
    assert liftout("models", "use", "--built-in") == 0
    assert default_model("pocket") == "pocket"


def test_the_command_line_takes_the_default_that_was_set(u2netp, examples, tmp_path, capsys):
    liftout("models", "use", "u2netp")
    capsys.readouterr()
    assert liftout("cut", examples / "cat.jpg", "-o", tmp_path / "a.png", "--json") == 0
    assert json.loads(capsys.readouterr().out)["model"] == "u2netp"


def test_compare_draws_a_sheet_of_the_models_that_are_here(u2netp, examples, tmp_path, capsys):
    from PIL import Image

    sheet = tmp_path / "sheet.png"
    assert liftout("models", "compare", examples / "cat.jpg", "-m", "pocket,u2netp", "-o", sheet) == 0
    with Image.open(sheet) as picture:
        width, height = picture.size
    assert width >= 2 * 480
    assert height >= 2 * 300
    assert liftout("models", "compare", examples / "cat.jpg", "-o", sheet) == 1
    assert "--overwrite" in capsys.readouterr().err
