"""Photos in and pictures out: decode, orientation, colour management, encode."""

from liftout.images.decode import ImageInput, decode
from liftout.images.encode import FORMATS, encode, format_of
from liftout.images.frameworks import from_bgr
from liftout.images.photo import Photo

__all__ = ["FORMATS", "ImageInput", "Photo", "decode", "encode", "format_of", "from_bgr"]
