"""Make docs/gallery.md and its pictures from the example photos: `make gallery`.

Each picture on the page is what the call beside it gives, reduced for the page and nothing else.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from liftout import Cutout, Remover
from liftout.options import ResultOptions
from liftout.render import compose

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
PHOTOS = ("astronaut", "cat", "coffee", "rocket", "officer")
LONGEST = 420
"""Pixels of the longer side of a picture on the page."""
QUALITY = 82


@dataclass(frozen=True)
class Scene:
    """One composition: a photo, the options as the command line has them, and the same in Python."""

    name: str
    title: str
    photo: str
    options: ResultOptions
    python: str

    @property
    def command(self) -> str:
        """The call that gives this picture."""
        given = []
        for field, value in vars(self.options).items():
            if value != getattr(ResultOptions(), field):
                flag = f"--{field.replace('_', '-')}"
                quoted = f"'{value}'" if str(value).startswith("#") else value
                given.append(flag if value is True else f"{flag} {quoted}")
        return f"liftout {self.photo}.jpg {' '.join(given)}"


SCENES = (
    Scene(
        "white", "Over a colour", "astronaut", ResultOptions(background="white"), 'cutout.over("white")'
    ),
    Scene("blur", "The photo itself, out of focus", "cat", ResultOptions(background="blur"), 'cutout.over("blur")'),
    Scene(
        "picture", "Over another picture", "officer", ResultOptions(background="examples/rocket.jpg"),
        'cutout.over("examples/rocket.jpg")',
    ),
    Scene(
        "shop", "A product shot", "coffee",
        ResultOptions(canvas="800x800", margin=60, shadow=True, background="#f4f1ec", subjects="largest"),
        'cutout.largest().shadow().canvas(800, 800, margin=60).over("#f4f1ec")',
    ),
    Scene(
        "portrait", "A portrait at the foot of a canvas", "officer",
        ResultOptions(canvas="600x800", position="bottom", margin=0, background="#22304a"),
        'cutout.canvas(600, 800, position="bottom").over("#22304a")',
    ),
    Scene(
        "feather", "A soft edge", "cat", ResultOptions(feather=6, crop=True, margin=20, background="#1e2a22"),
        'cutout.feather(6).crop(margin=20).over("#1e2a22")',
    ),
)  # fmt: skip


def main() -> None:
    """Cut out every example photo and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", "--model", default="pocket")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs")
    given = parser.parse_args()
    pictures = given.output / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    with Remover(given.model) as remover:
        cutouts = {name: remover(EXAMPLES / f"{name}.jpg") for name in PHOTOS}
    for name, cutout in cutouts.items():
        save(side_by_side(cutout), pictures / f"{name}.jpg")
    for scene in SCENES:
        save(
            reduced(compose(cutouts[scene.photo], scene.options).over(scene.options.background)),
            pictures / f"{scene.name}.jpg",
        )
    (given.output / "gallery.md").write_text(page(given.model), encoding="utf-8")
    print(
        f"{given.output / 'gallery.md'}: {sum(path.stat().st_size for path in pictures.iterdir()) / 1e6:.2f} MB of pictures"
    )


def side_by_side(cutout: Cutout) -> Image.Image:
    """The photo, its alpha and the cutout over a chequered ground."""
    parts = [Image.fromarray(cutout.photo.seen_by_network()), cutout.mask().convert("RGB"), over_chequers(cutout)]
    small = [reduced(part, LONGEST * 3 // 4) for part in parts]
    sheet = Image.new("RGB", (sum(part.width for part in small) + 16, small[0].height), "white")
    left = 0
    for part in small:
        sheet.paste(part, (left, 0))
        left += part.width + 8
    return sheet


def over_chequers(cutout: Cutout) -> Image.Image:
    """The cutout over the grey squares that stand for nothing."""
    height, width = cutout.size
    cell = max(8, max(height, width) // 30)
    rows, columns = np.mgrid[0:height, 0:width] // cell
    squares = np.where((rows + columns) % 2, 204, 255).astype(np.uint8)
    return cutout.over(np.repeat(squares[..., None], 3, axis=2))


def reduced(image: Image.Image, longest: int = LONGEST) -> Image.Image:
    """The picture, no longer than `longest` pixels."""
    scale = longest / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS) if scale < 1 else image


def save(image: Image.Image, path: Path) -> None:
    """Write a picture for the page."""
    image.save(path, quality=QUALITY, optimize=True)


def page(model: str) -> str:
    """The text of docs/gallery.md."""
    lines = [
        "# Gallery",
        "",
        f"Made by `make gallery` with the model `{model}` from the photos in [examples](../examples/README.md), which names their",
        "sources: all are in the public domain or CC0. Nothing is retouched; where the model errs, the picture shows it.",
        "",
        "## Photo, alpha, cutout",
        "",
    ]
    for name in PHOTOS:
        lines += [f"![{name}: photo, alpha and cutout](gallery/{name}.jpg)", ""]
    lines += ["## What to do with a cutout", "", '`cutout` is what `remove("photo.jpg")` gives.', ""]
    for scene in SCENES:
        lines += [
            f"### {scene.title}", "", f"![{scene.title}](gallery/{scene.name}.jpg)", "",
            "```sh", scene.command, "```", "", "```python", scene.python, "```", "",
        ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    main()
