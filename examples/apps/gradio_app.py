"""A Gradio demo: a photo in, its cutout out.

pip install liftout gradio
python gradio_app.py
"""

from __future__ import annotations

import gradio as gr
from PIL import Image

from liftout import LiftoutError, remove

BACKGROUNDS = ["transparent", "blur", "white", "black"]


def cut(photo: Image.Image | None, background: str, crop: bool) -> Image.Image:
    """The subject of a photo, over a background."""
    if photo is None:
        raise gr.Error("Choose a photo first.")
    try:
        cutout = remove(photo)
        if crop:
            cutout = cutout.crop(margin=20)
        return cutout.image if background == "transparent" else cutout.over(background)
    except LiftoutError as error:
        raise gr.Error(str(error)) from None


demo = gr.Interface(
    cut,
    inputs=[
        gr.Image(type="pil", label="Photo"),
        gr.Dropdown(BACKGROUNDS, value="transparent", label="Background"),
        gr.Checkbox(label="Crop to the subject"),
    ],
    outputs=gr.Image(type="pil", format="png", image_mode="RGBA", label="Cutout"),
    title="Cut out a photo",
    api_name="cut",
)

if __name__ == "__main__":
    demo.launch()
