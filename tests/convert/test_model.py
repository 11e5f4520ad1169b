"""From a checkpoint to something that runs, by function and by command."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from liftout.cli import main
from liftout.convert import convert_model
from liftout.engines import NetworkFile, open_network
from liftout.errors import CheckpointMismatch, CheckpointUnreadable, ModelMissing, OutputExists, UsageError
from liftout.models import packs
from liftout.models.catalog import find
from liftout.models.resolve import locate
from tests.convert.running import original, run
from tests.networks import reference

SIZE = (64, 64)


@pytest.fixture
def checkpoint(shared: Path, tmp_path: Path) -> Path:
    path = tmp_path / "u2netp.pth"
    torch.save({f"module.{name}": tensor for name, tensor in reference.state("u2netp").items()}, path)
    return path


@pytest.fixture
def liftout(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command; gives exit status, stdout, stderr."""

    def command(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, captured.out, captured.err

    return command


def test_a_pack_runs_and_says_what_it_is(checkpoint: Path, tmp_path: Path) -> None:
    spec = find("u2netp")
    folder = convert_model(spec, checkpoint, size=SIZE, out_dir=tmp_path / "packs")
    assert folder == tmp_path / "packs" / "u2netp-64"
    pack = packs.read(folder)
    packs.verify(pack)
    assert pack.spec == find("u2netp").with_size(SIZE).__class__(
        **{**vars(spec.with_size(SIZE)), "output": spec.output.__class__(**{**vars(spec.output), "index": None})}
    )
    assert (pack.manifest.precision, pack.manifest.batch) == ("fp32", 1)
    assert pack.manifest.peak_bytes is not None
    assert pack.manifest.peak_bytes > pack.bytes
    assert pack.manifest.made_from["checkpoint"] == "u2netp.pth"
    assert pack.manifest.made_from["sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    tensor = reference.photo("u2netp", *SIZE)
    network = open_network(NetworkFile(name="u2netp", path=pack.network, size=SIZE))
    assert np.abs(network.run(tensor) - original("u2netp", tensor)).max() < 1e-4


def test_logits_or_probabilities_as_the_catalogue_says(tmp_path: Path, shared: Path) -> None:
    path = tmp_path / "model.pth"
    tensor = reference.photo("isnet", *SIZE)
    torch.save(reference.state("isnet"), path)
    spec = find("isnet-general-use")
    assert spec.output.activation == "none"
    written = convert_model(spec, path, size=SIZE, layout="onnx", out_dir=tmp_path)
    assert np.abs(run(written, tensor) - original("isnet", tensor, sigmoid=True)).max() < 1e-4


def test_one_file_of_any_batch(checkpoint: Path, tmp_path: Path) -> None:
    written = convert_model(find("u2netp"), checkpoint, size=(64, 96), batch=None, layout="onnx", out_dir=tmp_path)
    assert written == tmp_path / "u2netp-64x96.onnx"
    declared = onnx.load(written).graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in declared] == ["batch", 3, 64, 96]
    two = np.repeat(reference.photo("u2netp", 64, 96), 2, axis=0)
    assert run(written, two).shape == (2, 1, 64, 96)


def test_a_variant_makes_the_pack_of_the_model_whose_files_it_reads(tmp_path: Path, shared: Path) -> None:
    path = tmp_path / "cloth.pth"
    torch.save(reference.state("u2net_cloth_seg"), path)
    folder = convert_model(find("u2net_cloth_seg-upper"), path, size=SIZE, out_dir=tmp_path)
    assert packs.read(folder).spec.name == "u2net_cloth_seg"
    output = run(folder / "network.onnx", reference.photo("u2net_cloth_seg", *SIZE))
    assert output.shape == (1, 4, *SIZE)
    assert output.min() < 0  # logits


def test_the_output_is_replaced_only_when_asked(checkpoint: Path, tmp_path: Path) -> None:
    spec = find("u2netp")
    folder = convert_model(spec, checkpoint, size=SIZE, out_dir=tmp_path)
    (folder / "mark").touch()
    with pytest.raises(OutputExists, match="overwrite=True"):
        convert_model(spec, checkpoint, size=SIZE, out_dir=tmp_path, overwrite=False)
    assert (folder / "mark").exists()
    convert_model(spec, checkpoint, size=SIZE, out_dir=tmp_path)
    assert not (folder / "mark").exists()


def test_a_failure_leaves_nothing_behind(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    for layout, step in (("pack", "packs.write_manifest"), ("onnx", "write_single_file")):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(f"liftout.convert.model.{step}", full)
            convert_model(find("u2netp"), checkpoint, size=SIZE, layout=layout, out_dir=out)  # type: ignore[arg-type]
        assert list(out.iterdir()) == []


def test_mistakes_are_one_line_that_names_the_model(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointMismatch, match=r"^u2net: the checkpoint is not of architecture u2net:"):
        convert_model(find("u2net"), checkpoint, out_dir=tmp_path)
    with pytest.raises(UsageError, match=r"^birefnet-general-lite: .* multiples of 32"):
        convert_model(find("birefnet-general-lite"), checkpoint, size=(100, 100), out_dir=tmp_path)
    with pytest.raises(ModelMissing, match="silueta: is published as an ONNX file only"):
        convert_model(find("silueta"), checkpoint, out_dir=tmp_path)
    checkpoint.write_bytes(b"nothing")
    with pytest.raises(CheckpointUnreadable, match=r"u2netp\.pth"):
        convert_model(find("u2netp"), checkpoint, out_dir=tmp_path)


def test_progress_runs_through_every_phase_to_its_end(checkpoint: Path, tmp_path: Path) -> None:
    seen: dict[str, list[tuple[int, int | None]]] = {}
    convert_model(
        find("u2netp"),
        checkpoint,
        size=SIZE,
        out_dir=tmp_path,
        progress=lambda phase, done, total: seen.setdefault(phase, []).append((done, total)),
    )
    assert list(seen) == ["build", "write"]
    for calls in seen.values():
        assert [done for done, _ in calls] == sorted(done for done, _ in calls)
        assert calls[-1][0] == calls[-1][1]


def test_the_command_makes_the_pack_that_cut_uses(
    checkpoint: Path, own_home: Path, liftout: Callable[..., tuple[int, str, str]]
) -> None:
    status, out, err = liftout("convert", "u2netp", "--checkpoint", checkpoint)
    assert status == 0, err
    assert str(own_home / "packs" / "u2netp") in out
    located = locate("u2netp")
    assert located.source == "pack"
    assert located.file.path == own_home / "packs" / "u2netp" / "network.onnx"
    assert liftout("convert", "u2netp", "--checkpoint", checkpoint)[0] == 1
    assert liftout("convert", "u2netp", "--checkpoint", checkpoint, "--force", "-q")[1:] == ("", "")


def test_the_command_makes_other_sizes_and_layouts_in_the_current_folder(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, liftout: Callable[..., tuple[int, str, str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert liftout("convert", "u2netp", "--checkpoint", checkpoint, "--size", "64")[0] == 0
    assert json.loads((tmp_path / "u2netp-64/manifest.json").read_text())["model"]["input"]["size"] == [64, 64]
    assert liftout("convert", "u2netp", "--checkpoint", checkpoint, "--size", "64x32", "--layout", "onnx")[0] == 0
    assert run(tmp_path / "u2netp-64x32.onnx", np.zeros((3, 3, 64, 32), np.float32)).shape == (3, 1, 64, 32)
    status = liftout("convert", "u2netp", "--checkpoint", checkpoint, "--size", "64", "--batch", "2", "-o", "two")[0]
    assert status == 0
    assert packs.read(tmp_path / "two/u2netp-64-batch2").manifest.batch == 2


def test_the_command_says_what_is_wrong(
    checkpoint: Path, tmp_path: Path, liftout: Callable[..., tuple[int, str, str]]
) -> None:
    cases = [
        (("u2netpp", "--checkpoint", checkpoint), 2, "u2netp"),
        (("u2netp", "--checkpoint", checkpoint, "--size", "big"), 2, "HEIGHTxWIDTH"),
        (("u2netp", "--checkpoint", checkpoint, "--size", "7"), 2, "too small"),
        (("birefnet-general", "--checkpoint", checkpoint, "--size", "1000"), 2, "multiples of 32"),
        (("u2netp", "--checkpoint", checkpoint, "--batch", "0"), 2, "batch"),
        (("u2netp", "--checkpoint", tmp_path / "gone.pth"), 3, "gone.pth"),
        (("u2net", "--checkpoint", checkpoint), 3, "not of architecture u2net"),
        (("silueta",), 3, "licence unknown"),
        (("silueta", "--accept-license", "silueta"), 3, "no checkpoint"),
        (("birefnet-general",), 3, "LIFTOUT_OFFLINE"),
        (("rmbg-1.4", "--checkpoint", checkpoint), 3, "--accept-license"),
    ]
    for arguments, expected, said in cases:
        status, out, err = liftout("convert", *arguments, "-o", tmp_path / "out")
        assert (status, out) == (expected, ""), arguments
        assert said in err
        assert "Traceback" not in err
