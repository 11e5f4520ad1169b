"""The npm package in Node: the same calls, and Python's pixels."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from npm import run
from PIL import Image

from liftout import remove
from liftout.options import ResultOptions
from liftout.render import render

IN_NODE = """
import { writeFileSync } from "node:fs";
import { Lifter, applySegmentationMask, removeBackground, segmentForeground } from "liftout";

const [calls] = process.argv.slice(2).map(JSON.parse);
for (const [photo, options, target] of calls) {
  try {
    const blob = await removeBackground(photo, options);
    writeFileSync(target, Buffer.from(await blob.arrayBuffer()));
    console.log(blob.type);
  } catch (error) {
    console.log(`${error.name}: ${error.message}`);
  }
}
if (calls.length > 1) {
  const photo = calls[0][0];
  const lifter = await Lifter.load("pocket", { threads: 1 });
  const { alpha, width, height } = await lifter.cut(photo);
  writeFileSync("alpha.bin", alpha);
  console.log(width, height, lifter.engine.reason);
  const outcomes = [];
  for await (const outcome of lifter.cutAll([photo, "missing.png"])) outcomes.push(outcome.ok || outcome.error.name);
  console.log(outcomes.join(" "));
  const mask = await segmentForeground(photo);
  writeFileSync("masked.png", Buffer.from(await (await applySegmentationMask(photo, mask)).arrayBuffer()));
}
"""


@pytest.fixture
def node_project(unpacked: Path, tmp_path: Path) -> Path:
    """A project of Node that has the package, and nothing that it may ask for."""
    if shutil.which("node") is None:
        pytest.skip("needs Node")
    (module,) = unpacked.glob("liftout@*")
    shutil.copytree(module, tmp_path / "node_modules" / "liftout")
    (tmp_path / "cut.mjs").write_text(IN_NODE)
    return tmp_path


def in_node(project: Path, *calls: tuple[str, dict[str, Any], str]) -> list[str]:
    """What Node prints, a line for each call."""
    command = ["node", "cut.mjs", json.dumps(calls)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_node_says_in_one_line_what_it_needs(node_project: Path, examples: Path) -> None:
    (line,) = in_node(node_project, (str(examples / "cat.jpg"), {}, "cat.png"))
    assert line.startswith("UsageError: ")
    assert "npm install onnxruntime-node" in line


@pytest.mark.long
def test_node_has_the_pixels_of_python(node_project: Path, examples: Path) -> None:
    (node_project / "package.json").write_text('{"private": true, "type": "module"}')
    packages = ["onnxruntime-node@1.30.0", "sharp@0.35.5"]
    shutil.move(node_project / "node_modules" / "liftout", node_project / "liftout")
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    with Image.open(examples / "coffee.jpg") as image:
        image.convert("RGB").save(node_project / "coffee.png")
    run([*install, packages[0]], node_project)
    shutil.move(node_project / "liftout", node_project / "node_modules" / "liftout")
    photo = str(examples / "cat.jpg")
    (line,) = in_node(node_project, (photo, {}, "cat.png"))
    assert "npm install sharp" in line

    shutil.move(node_project / "node_modules" / "liftout", node_project / "liftout")
    run([*install, packages[1]], node_project)
    shutil.move(node_project / "liftout", node_project / "node_modules" / "liftout")
    composed = {"canvas": "300x300", "enlarge": True, "shadow": True, "background": "linear:white:#ccc"}
    calls = [
        ("coffee.png", {}, "0.img"),
        (photo, {}, "1.img"),
        ("coffee.png", composed, "2.img"),
        (photo, {"crop": True, "background": "rebeccapurple"}, "3.img"),
        (photo, {"format": "webp"}, "4.img"),
        ("missing.png", {}, "5.img"),
        (photo, {"background": "no colour"}, "6.img"),
    ]
    lines = in_node(node_project, *calls)
    assert lines[:5] == ["image/png"] * 4 + ["image/webp"]
    assert lines[5].startswith("ImageUnreadable: missing.png")
    assert lines[6].startswith("UsageError: ")
    assert lines[7].startswith("600 400 ONNX Runtime for Node; 1 threads")
    assert lines[8] == "true ImageUnreadable"
    for source, options, target in calls[:4]:
        path = node_project / source
        expected = render(remove(path), ResultOptions(**options))
        actual = np.asarray(Image.open(node_project / target)).astype(int)
        away = np.abs(actual - np.asarray(Image.open(io.BytesIO(expected.content))))
        assert away.max() <= 1, (source, options)
        assert (away > 0).mean() < 0.001, (source, options)
    alpha = np.frombuffer((node_project / "alpha.bin").read_bytes(), np.uint8).reshape(400, 600)
    python = remove(node_project / "coffee.png")
    assert np.abs(alpha.astype(int) - python.alpha).max() <= 1
    masked = np.asarray(Image.open(node_project / "masked.png"))
    assert np.abs(masked.astype(int) - python.rgba).max() <= 1
