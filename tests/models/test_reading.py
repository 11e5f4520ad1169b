"""The catalogue reads layers of TOML, and says in one line what is wrong with an entry."""

from __future__ import annotations

from pathlib import Path

import pytest

from liftout.errors import CatalogError, UnknownModel
from liftout.models.catalog import all_models, find


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "layer"
    folder.mkdir()
    monkeypatch.setenv("LIFTOUT_CATALOG", str(folder))
    return folder


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("birefnet-portait", "birefnet-portrait"),
        ("BiRefNet_General", "birefnet-general"),
        ("u2net-human-seg", "u2net_human_seg"),
        ("rmbg1.4", "rmbg-1.4"),
        ("isnet-genral-use", "isnet-general-use"),
        ("pockt", "pocket"),
    ],
)
def test_a_near_miss_is_answered_with_the_right_name(given, meant):
    with pytest.raises(UnknownModel, match=rf"^{given}: no model has this name; did you mean `{meant}`\?"):
        find(given)


def test_a_name_like_no_other_gets_no_suggestion():
    with pytest.raises(UnknownModel) as raised:
        find("zzzzzzzz")
    assert "did you mean" not in str(raised.value)


def test_an_overlay_changes_single_keys(layer):
    (layer / "mine.toml").write_text("[u2net]\ninput = { size = [640, 640] }\n")
    spec = find("u2net")
    assert spec.input.size == (640, 640)
    assert spec.input.scale == "max"
    assert spec.family == "u2net"


def test_an_overlay_adds_models_like_others(layer):
    (layer / "mine.toml").write_text(
        '[mine]\nlike = "rmbg-1.4"\nsummary = "Mine"\n[[mine.files]]\nrole = "onnx"\nurl = "https://example.org/m.onnx?x=1"\n'
    )
    spec = find("mine")
    assert spec.input == find("rmbg-1.4").input
    assert [(file.name, file.format) for file in spec.files] == [("m.onnx", "onnx")]
    assert spec.family == "mine"


def test_the_user_s_own_layer_lies_under_the_overlay(layer, own_home):
    own = own_home / "catalog"
    own.mkdir(parents=True)
    (own / "a.toml").write_text('[a]\nlike = "u2net"\nsummary = "own"\n')
    assert find("a").summary == "own"
    (layer / "a.toml").write_text('[a]\nsummary = "overlay"\n')
    assert find("a").summary == "overlay"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[a\n", "broken.toml: "),
        ("a = 1\n", "broken.toml: `a` is not a table"),
        ('[a]\nsummary = "x"\n', "broken.toml: a: the key `architecture` is missing"),
        ('[a]\narchitecture = "isnet"\n', "broken.toml: a: the key `input` is missing"),
        ('[a]\nlike = "u2net"\ncolour = 1\n', "a: unknown key `colour`; known are "),
        ('[a]\nlike = "u2net"\ninput = { size = [1, 2, 3] }\n', "a: input: size has 3 items; it must have 2"),
        (
            '[a]\nlike = "u2net"\ninput = { fit = "crop" }\n',
            "input: fit is 'crop'; it must be one of stretch, letterbox",
        ),
        (
            '[a]\nlike = "u2net"\ninput = { fit = "letterbox", resample = "lanczos" }\n',
            "input: resample is 'lanczos'; with it, fit must be stretch",
        ),
        ('[a]\nlike = "u2net"\ninput = { mean = "half" }\n', "input: mean has 1 items; it must have 3"),
        (
            '[a]\nlike = "u2net"\nlicense = { commercial = "no" }\n',
            "license: commercial is 'no'; it must be of type bool",
        ),
        ('[a]\nlike = "nothing"\n', "a: like = 'nothing' names no other model"),
        ('[a]\nlike = "b"\n[b]\nlike = "a"\n', "names no other model"),
        ('[a]\nlike = "u2net"\n[[a.files]]\nrole = "onnx"\n', "a file needs a `url`"),
        ('[a]\nlike = "u2net"\n[[a.files]]\nrole = "onnx"\nname = "../x"\n', "must be a plain file name"),
        ('[a]\nlike = "u2net"\n[[a.files]]\nrole = "onnx"\nurl = "ftp://h/x.onnx"\n', "must begin with https://"),
        ('[a]\nlike = "u2net"\n[[a.files]]\nrole = "onnx"\nname = "x"\nsha256 = "123"\n', "files[].sha256 is '123'"),
        ('[a]\nlike = "u2net"\n[[a.files]]\nrole = "onnx"\nname = "x"\nmd5 = "123"\n', "files[].md5 is '123'"),
        ('[a]\nlike = "u2net"\n[[a.files]]\nrole = "onnx"\nname = "x"\nbytes = 0\n', "files[].bytes is 0"),
        ('["../a"]\nlike = "u2net"\n', "cannot name a model"),
        ('[a]\nlike = "u2net"\nfiles_of = "../../etc"\n', "cannot name a model"),
    ],
)
def test_a_malformed_entry_is_one_line_that_names_it(layer, text, words):
    (layer / "broken.toml").write_text(text)
    with pytest.raises(CatalogError) as raised:
        all_models()
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_malformed_file_does_not_keep_others_models_from_being_found(layer):
    (layer / "broken.toml").write_text('[a]\nlike = "u2net"\ncolour = 1\n')
    assert find("u2netp").architecture == "u2netp"
    with pytest.raises(CatalogError, match="unknown key `colour`"):
        find("a")


def test_a_model_is_the_same_found_alone_and_among_all():
    for name, spec in all_models().items():
        assert find(name) == spec


def test_an_overlay_that_is_no_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("LIFTOUT_CATALOG", str(tmp_path / "none"))
    with pytest.raises(CatalogError, match="is not a folder"):
        all_models()
