"""A background picture that was uploaded or fetched with a request."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from liftout.errors import ImageTooLarge, InputError
from liftout.images import decode
from liftout.server.problems import HTTP, Problem, unprocessable


@dataclass(frozen=True, kw_only=True)
class BackgroundPicture:
    """The bytes of a picture file, and the field that held them. max_pixels: limit for decoding."""

    field: str
    content: bytes
    max_pixels: int

    def decode(self) -> Image.Image:
        """The picture, decoded under the same limit as photos. Raises Problem with the field."""
        try:
            photo = decode(self.content, max_pixels=self.max_pixels, name=self.field)
        except ImageTooLarge as error:
            raise Problem(413, error.what(HTTP), field=self.field, code="resolution_too_high") from None
        except InputError as error:
            raise unprocessable(self.field, error.line(HTTP)) from None
        return Image.fromarray(photo.seen_through(255))
