"""Training curves as a picture, drawn with Pillow alone."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

WIDTH, HEIGHT, MARGIN = 900, 320, 48


def draw_curves(log: list[dict[str, float]], path: Path) -> None:
    """Loss and held-out error over scenes seen, one panel each, as a PNG."""
    picture = Image.new("RGB", (WIDTH, 2 * HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    for panel, (key, title) in enumerate((("loss", "training loss"), ("held_out_mae", "held-out MAE to the teacher"))):
        _draw_panel(draw, log, key, title, panel * HEIGHT)
    partial = path.with_name(path.name + ".part")
    picture.save(partial, format="PNG")
    partial.replace(path)


def _draw_panel(draw: ImageDraw.ImageDraw, log: list[dict[str, float]], key: str, title: str, top: int) -> None:
    left, right, upper, lower = MARGIN, WIDTH - 12, top + 28, top + HEIGHT - 28
    draw.text((left, top + 8), title, fill="black")
    draw.rectangle((left, upper, right, lower), outline="grey")
    if not log:
        return
    values = [row[key] for row in log]
    seen = [row["scenes"] for row in log]
    low, high = min(values), max(values)
    spread = max(high - low, 1e-9)
    furthest = max(seen)
    points = [
        (left + (right - left) * x / furthest, lower - (lower - upper) * (y - low) / spread)
        for x, y in zip(seen, values, strict=True)
    ]
    draw.line(points, fill=(20, 90, 200), width=2)
    draw.text((4, upper), f"{high:.3f}", fill="black")
    draw.text((4, lower - 10), f"{low:.3f}", fill="black")
    draw.text((right - 110, lower + 6), f"{int(furthest):,} scenes", fill="black")
