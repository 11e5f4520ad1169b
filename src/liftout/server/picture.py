"""A background picture that came with a request."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from liftout.errors import ImageTooLarge, InputError
from liftout.images import decode
from liftout.server.problems import HTTP, Problem, unprocessable


@dataclass(frozen=True, kw_only=True)
class Picture:
    """The bytes of a picture file, and the field that held them."""

    field: str
    content: bytes
    max_pixels: int

    def photo(self) -> Image.Image:
        """The picture, decoded under the same limit as photos. Raises Problem that names the field."""
        try:
            decoded = decode(self.content, max_pixels=self.max_pixels, name=self.field)
        except ImageTooLarge as error:
            raise Problem(413, error.what(HTTP), field=self.field) from None
        except InputError as error:
            raise unprocessable(self.field, error.line(HTTP)) from None
        return Image.fromarray(decoded.seen_through(255))
