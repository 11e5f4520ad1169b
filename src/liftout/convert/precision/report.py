"""The agreement of a reduced network, as lines for a terminal and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from liftout import graphs
from liftout.convert.precision.photos import NamedPhoto
from liftout.engines import Network, NetworkFile, open_network
from liftout.models.spec import ModelSpec
from liftout.options import RunOptions

_CELL, _CAPTION = 240, 18
_MOST = 8
_GAIN = 8


def lines(agreement: Mapping[str, Any]) -> list[str]:
    """The agreement that a manifest records, as lines of text. agreement: `agreement` of the manifest."""
    bar = agreement.get("bar", {})
    report = [
        f"agreement with fp32 on {agreement['photos']} photos:",
        f"  mean difference of alpha    {agreement['mean_difference']:.5f}   (average; at most {bar.get('mean_difference')})",
        f"  99.9th percentile           {agreement['p99_9_difference']:.5f}",
        f"  IoU at 128                  {agreement['iou_at_128']:.5f}   (average; at least {bar.get('iou_at_128')})",
        f"  worst mean difference       {_on_photo(agreement['worst'])}",
    ]
    if "worst_iou" in agreement:  # packs made before it was recorded
        report.append(f"  worst IoU                   {_on_photo(agreement['worst_iou'])}")
    if "processor" in agreement:
        report.append(f"  measured on                 {agreement['processor']}")
    if in_float := agreement.get("layers_in_float"):
        report.append(f"  {len(in_float)} of {agreement['layers']} layers stay in float, by measurement")
    if agreement.get("below_bar"):
        report.append("  BELOW ITS BAR: kept because it was forced")
    return report


def _on_photo(worst: Mapping[str, Any]) -> str:
    return f"{worst['mean_difference']:.5f}, IoU {worst['iou_at_128']:.5f}: {worst['photo']}"


def draw(path: Path, source: NetworkFile, reduced: NetworkFile, spec: ModelSpec, photos: Sequence[NamedPhoto]) -> None:
    """Photo, alpha in fp32, alpha of the reduced network and eight times their difference, a row for each of up to 8 photos.

    path: the picture file to write. source, reduced: the network in fp32 and in the reduced precision. photos: name and
    uint8 [H, W, 3]. Raises EngineError where a network cannot run.
    """
    rows = photos[:_MOST]
    sheet = Image.new("RGB", (4 * (_CELL + 4), len(rows) * (_CELL + _CAPTION)), "white")
    pen = ImageDraw.Draw(sheet)
    options = RunOptions(precision="fp32")
    first, second = (open_network(file, options) for file in (source, reduced))
    try:
        for row, (name, photo) in enumerate(rows):
            top = row * (_CELL + _CAPTION)
            one, other = _alpha(first, spec, photo), _alpha(second, spec, photo)
            apart = np.clip(np.abs(one.astype(np.int16) - other) * _GAIN, 0, 255).astype(np.uint8)
            captions = (name, "fp32", "reduced", f"difference x {_GAIN}")
            for column, (pixels, caption) in enumerate(zip((photo, one, other, apart), captions, strict=True)):
                picture = Image.fromarray(pixels).convert("RGB")
                picture.thumbnail((_CELL, _CELL))
                pen.text((column * (_CELL + 4) + 2, top + 3), caption, fill="black")
                sheet.paste(picture, (column * (_CELL + 4), top + _CAPTION))
    finally:
        first.close()
        second.close()
    sheet.save(path)


def as_json(content: Mapping[str, Any]) -> str:
    """JSON for a file beside a network."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _alpha(network: Network, spec: ModelSpec, photo: graphs.UInt8) -> graphs.UInt8:
    tensor, box = graphs.prepare(photo, spec.input)
    return graphs.finish(network.run(tensor), (photo.shape[0], photo.shape[1]), spec.output, box=box)
