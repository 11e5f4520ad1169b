"""Every model that is promised is in the catalogue, with the facts of its authors."""

from __future__ import annotations

import hashlib
import re

import pytest

from liftout.models import packs
from liftout.models.catalog import all_models, find
from liftout.models.sources import parse
from liftout.models.spec import ModelSpec
from tests.conftest import ROOT, SHARED

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF_ONE = ((0.5,) * 3, (1.0,) * 3)
HALF_HALF = ((0.5,) * 3, (0.5,) * 3)
IDENTITY = ((0.0,) * 3, (1.0,) * 3)

U2NET = ((320, 320), "stretch", "bilinear", "none", "max", IMAGENET, "none", "minmax", "before-resize")
ISNET = ((1024, 1024), "stretch", "bilinear", "truncate", "255", HALF_ONE, "none", "minmax", "after-resize")
ORMBG = ((1024, 1024), "stretch", "bilinear", "truncate", "255", IDENTITY, "none", "minmax", "after-resize")
RMBG = ((1024, 1024), "stretch", "bilinear", "none", "255", HALF_ONE, "none", "minmax", "after-resize")
ANIME = ((1024, 1024), "letterbox", "bilinear", "none", "255", IDENTITY, "none", "none", None)
CLOTH = ((768, 768), "stretch", "bilinear-antialias", "none", "255", HALF_HALF, "argmax", "none", None)


def birefnet(height: int = 1024, width: int = 1024) -> tuple[object, ...]:
    return ((height, width), "stretch", "bilinear-antialias", "none", "255", IMAGENET, "sigmoid", "none", None)


def inspyrenet(side: int) -> tuple[object, ...]:
    minmax = ("none", "minmax", "before-resize")
    return ((side, side), "stretch", "bilinear-antialias", "none", "255", IMAGENET, *minmax)


# The reference table of models, section by section: size, fit, resampler, quantise, scale, mean and std, activation, rescale.
FACTS = {
    "u2net": ("u2net", *U2NET),
    "u2netp": ("u2netp", *U2NET),
    "u2net_human_seg": ("u2net", *U2NET),
    "silueta": ("onnx", *U2NET),
    "u2net_cloth_seg": ("u2net_cloth_seg", *CLOTH),
    "u2net_cloth_seg-upper": ("u2net_cloth_seg", *CLOTH),
    "u2net_cloth_seg-lower": ("u2net_cloth_seg", *CLOTH),
    "u2net_cloth_seg-full": ("u2net_cloth_seg", *CLOTH),
    "isnet-general-use": ("isnet", *ISNET),
    "isnet-anime": ("isnet", *ANIME),
    "ormbg": ("isnet", *ORMBG),
    "rmbg-1.4": ("isnet", *RMBG),
    "rmbg-2.0": ("birefnet_swin_v1_l", *birefnet()),
    "birefnet-general": ("birefnet_swin_v1_l", *birefnet()),
    "birefnet-general-lite": ("birefnet_swin_v1_t", *birefnet()),
    "birefnet-portrait": ("birefnet_swin_v1_l", *birefnet()),
    "birefnet-dis": ("birefnet_swin_v1_l", *birefnet()),
    "birefnet-hrsod": ("birefnet_swin_v1_l", *birefnet()),
    "birefnet-cod": ("birefnet_swin_v1_l", *birefnet()),
    "birefnet-massive": ("birefnet_swin_v1_l", *birefnet()),
    "birefnet-matting": ("birefnet_swin_v1_l", *birefnet()),
    "birefnet-dynamic": ("birefnet_swin_v1_l", *birefnet()),
    "birefnet-dynamic-matting": ("birefnet_swin_v1_l", *birefnet()),
    "birefnet-lite-matting": ("birefnet_swin_v1_t", *birefnet()),
    "lucida": ("birefnet_swin_v1_l", *birefnet()),
    "birefnet-hr": ("birefnet_swin_v1_l", *birefnet(2048, 2048)),
    "birefnet-hr-matting": ("birefnet_swin_v1_l", *birefnet(2048, 2048)),
    "birefnet-lite-2k": ("birefnet_swin_v1_t", *birefnet(1440, 2560)),
    "birefnet-512": ("birefnet_swin_v1_l", *birefnet(512, 512)),
    "toonout": ("birefnet_swin_v1_l", *birefnet()),
    "inspyrenet-base": ("inspyrenet", *inspyrenet(1024)),
    "inspyrenet-fast": ("inspyrenet_384", *inspyrenet(384)),
    "inspyrenet-nightly": ("inspyrenet", *inspyrenet(1024)),
    "inspyrenet-plus-ultra": ("inspyrenet", *inspyrenet(1024)),
    "ben2-base": (
        *("ben2", (1024, 1024), "stretch", "lanczos", "none", "255", IMAGENET),
        *("none", "minmax", "after-resize"),
    ),
    "modnet": ("modnet", (512, 512), "stretch", "bilinear-antialias", "none", "255", HALF_HALF, "none", "none", None),
}

OLD_PATCHES = [
    f"birefnet-{part}"
    for part in ("general", "general-lite", "portrait", "dis", "hrsod", "cod", "massive", "matting", "lite-2k")
]
NEW_PATCHES = [
    "birefnet-hr", "birefnet-hr-matting", "birefnet-dynamic", "birefnet-dynamic-matting", "birefnet-lite-matting", "birefnet-512", "toonout",
    "lucida",
]  # fmt: skip

INSPYRENET = [name for name in FACTS if name.startswith("inspyrenet")]

RELEASED = {
    # ONNX files of the rembg release: bytes and md5 of its source
    "u2net": (175997641, "60024c5c889badc19c04ad937298a77b"),
    "u2netp": (4574861, "8e83ca70e441ab06c318d82300c84806"),
    "u2net_human_seg": (175997641, "c09ddc2e0104f800e3e1bb4652583d1f"),
    "u2net_cloth_seg": (176194565, "2434d1f3cb744e0e49386c906e5a08bb"),
    "silueta": (44173029, "55e59e0d8062d2f5d013f4725ee84782"),
    "isnet-general-use": (178648008, "fc16ebd8b0c10d971d3513d564d01e29"),
    "isnet-anime": (176069933, "6f184e756bb3bd901c8849220a83e38e"),
    "birefnet-general": (972666916, "7a35a0141cbbc80de11d9c9a28f52697"),
    "birefnet-general-lite": (224005088, "4fab47adc4ff364be1713e97b7e66334"),
    "birefnet-portrait": (972666916, "c3a64a6abf20250d090cd055f12a3b67"),
    "birefnet-dis": (972666916, "2d4d44102b446f33a4ebb2e56c051f2b"),
    "birefnet-hrsod": (972666916, "c017ade5de8a50ff0fd74d790d268dda"),
    "birefnet-cod": (972666916, "f6d0d21ca89d287f17e7afe9f5fd3b45"),
    "birefnet-massive": (972666916, "33e726a2136a3d59eb0fdf613e31e3e9"),
}


def facts(spec: ModelSpec) -> tuple[object, ...]:
    given, made = spec.input, spec.output
    return (
        spec.architecture,
        given.size,
        given.fit,
        given.resample,
        given.quantize,
        given.scale,
        (given.mean, given.std),
        made.activation,
        made.rescale,
        made.rescale_when if made.rescale != "none" else None,
    )


def onnx_of(spec: ModelSpec) -> tuple[int | None, str | None]:
    (file,) = (file for file in spec.files if file.role == "onnx")
    return file.bytes, file.md5


@pytest.mark.parametrize("name", FACTS)
def test_preprocessing_and_postprocessing_are_those_of_the_authors(name):
    assert facts(find(name)) == FACTS[name]


def test_every_model_of_the_catalogue_is_checked_here():
    assert set(all_models()) == {*FACTS, "pocket"}


def test_only_models_whose_authors_do_so_stretch_their_prediction():
    assert {name for name, spec in all_models().items() if spec.output.rescale == "minmax"} == {
        "u2net", "u2netp", "u2net_human_seg", "silueta", "isnet-general-use", "ormbg", "rmbg-1.4", "ben2-base", *INSPYRENET,
    }  # fmt: skip


def test_alpha_is_resized_as_the_authors_do():
    assert {find(name).output.resample for name in ("u2net", "silueta")} == {"bilinear-antialias"}
    assert {find(name).output.resample for name in ("isnet-general-use", "rmbg-1.4", "isnet-anime", "ben2-base")} == {
        "bilinear"
    }
    assert {find(name).output.resample for name in INSPYRENET} == {"bilinear-corners"}
    assert {find(name).output.resample for name in (*OLD_PATCHES, *NEW_PATCHES, "rmbg-2.0")} == {"bicubic"}


def test_rmbg_1_4_has_a_std_of_one():
    assert find("rmbg-1.4").input.std == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("name", "classes"),
    [("u2net_cloth_seg", (1, 2, 3)), ("u2net_cloth_seg-upper", (1,)), ("u2net_cloth_seg-lower", (2,)), ("u2net_cloth_seg-full", (3,))],
)  # fmt: skip
def test_clothes_by_kind_share_their_files(name, classes):
    spec = find(name)
    assert spec.output.classes == classes
    assert spec.stored_as == "u2net_cloth_seg"
    assert spec.files == find("u2net_cloth_seg").files


def test_the_patch_order_follows_the_code_of_the_time():
    for name in (*OLD_PATCHES, "rmbg-2.0"):
        assert find(name).patch_order == "wgc", name
    for name in NEW_PATCHES:
        assert find(name).patch_order == "cgw", name
    assert {spec.architecture.startswith("birefnet") for spec in all_models().values() if spec.patch_order} == {True}


@pytest.mark.parametrize("name", RELEASED)
def test_published_graphs_have_their_size_and_hash(name):
    assert onnx_of(find(name)) == RELEASED[name]


def test_full_hashes_are_those_of_the_hubs():
    hashes = {file.sha256 for spec in all_models().values() for file in spec.files if file.sha256}
    assert hashes >= {
        "8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491",
        "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
        "8cafcf770b06757c4eaced21b1a88e57fd2b66de01b8045f35f01535ba742e0f",
        "5b486f08200f513f460da46dd701db5fbb47d79b4be4b708a19444bcd4e79958",
        "566ed80c3d95f87ada6864d4cbe2290a1c5eb1c7bb0b123e984f60f76b02c3a7",
        "db0217e99b25e0c4f6f4dca2892ff1f7ea7aba38fb6ad84f93122a4024be536a",
        "22cea62108ff53b7ccc20f7a008bf30494228d84b1687f29ecbe76936a998101",
        "0a6fe2a73ab0532d6d0b8d82849a9760a226df719e3063d09b4149ece6f80fcd",
        "6003d2f758bdb4e4802a09e39167529bc2eef9288d5b8fa537331467cbc4759d",
        "58f621f00f5d756097615970a88a791584600dcf7c45b18a0a6267535a1ebd3c",
        "1ba1c8ff5a7bbfadc8d8d13fb11d7be793f91f23d9d466549e37a854f6668f99",
    }


def test_the_sigmoid_of_rmbg_2_is_inside_its_published_graph_alone():
    spec = find("rmbg-2.0")
    assert spec.output.activation == "sigmoid"
    assert {file.role: file.activation for file in spec.files} == {"checkpoint": None, "onnx": "none"}


def test_licences():
    told = {name: (spec.license.weights, spec.license.commercial) for name, spec in all_models().items()}
    assert told.pop("rmbg-1.4") == ("bria-rmbg-1.4", False)
    assert told.pop("rmbg-2.0") == ("CC-BY-NC-4.0", False)
    assert told.pop("silueta") == told.pop("lucida") == ("unknown", False)
    for name, (weights, commercial) in told.items():
        mit = name.startswith(("birefnet", "u2net_cloth_seg", "toonout", "inspyrenet", "ben2"))
        assert (weights, commercial) == ("MIT" if mit else "Apache-2.0", True), name


def test_only_the_checkpoint_of_rmbg_2_is_gated():
    gated = [(name, file.role) for name, spec in all_models().items() for file in spec.files if file.gated]
    assert gated == [("rmbg-2.0", "checkpoint")]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        *((name, "patch order") for name in OLD_PATCHES),
        ("rmbg-2.0", "patch order"),
        ("toonout", "order"),
        ("birefnet-lite-2k", "height 2560"),
        ("silueta", "licence"),
        ("ormbg", "onnx-community"),
        ("birefnet-massive", "epoch 240"),
        ("birefnet-dis", "size of the ONNX file"),
        ("birefnet-hr", "2048"),
        ("rmbg-1.4", "1.0, not 0.5"),
        ("modnet", "aspect"),
        ("ben2-base", "onnx_run.py"),
        ("inspyrenet-nightly", "pinned"),
        ("inspyrenet-plus-ultra", "ECSSD"),
        ("lucida", "CAMO"),
        ("birefnet-lite-matting", "patch order"),
    ],
)
def test_what_is_unresolved_is_said(name, word):
    assert any(word in note for note in find(name).notes), find(name).notes


def test_every_file_can_be_had_from_somewhere():
    for name, spec in all_models().items():
        for file in spec.files:
            assert file.url or file.note, f"{name}: {file.name} has neither an address nor a word about why"
            assert all(parse(source).kind != "url" for source in file.url)


def test_models_whose_files_are_in_packages_can_be_had_from_a_registry():
    sources = {name: [file.url for file in find(name).files if file.role == "onnx"] for name in ("u2net", "u2netp")}
    assert [parse(source).kind for source in sources["u2net"][0]] == ["github", "pypi"]
    assert [parse(source).kind for source in sources["u2netp"][0]] == ["github", "pypi"]


def test_specs_survive_being_written_and_read():
    for spec in all_models().values():
        assert ModelSpec.from_dict(spec.to_dict()) == spec


def test_every_row_of_the_page_says_what_was_run_and_which_file():
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    table = page.partition("<!-- real -->")[2].partition("<!-- /real -->")[0].strip().splitlines()[2:]
    rows = {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in table)}
    outputs = (ROOT / "tests" / "networks" / "authors" / "golden", SHARED / "reference" / "golden")
    models = {name: spec for name, spec in all_models().items() if not spec.files_of}
    assert set(rows) == {name for name, spec in models.items() if spec.architecture != "onnx"}
    for name, (kind, file, sha256, *_) in rows.items():
        if kind == "real":
            assert re.fullmatch("[0-9a-f]{64}", sha256), name
            held = {(item.name, item.sha256) for item in models[name].files}
            if pack := packs.built_in(name):
                held.add((f"{name}/{packs.NETWORK}", hashlib.sha256(pack.network.read_bytes()).hexdigest()))
            assert (file, sha256) in held, name
        else:
            assert (kind, sha256) == ("reference", ""), name
            assert file == f"{models[name].architecture}.npz", name
            assert any((folder / file).is_file() for folder in outputs) or not SHARED.is_dir(), name
