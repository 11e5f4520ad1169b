"""A photo, its alpha, the subject's colours, its shadow and the scene behind it, and what each edit makes of the five.

Colours are computed when they are first needed, so an edit that is followed by others costs nothing but alpha.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from liftout.compose import background as backgrounds
from liftout.compose.background import Background, Scene
from liftout.compose.blend import blend, over_layer
from liftout.compose.canvas import on_canvas
from liftout.compose.feather import feathered, spread_colours
from liftout.compose.foreground import EstimatedForeground, Foreground, with_alpha
from liftout.compose.geometry import Box, part, part_of_photo, resized_alpha, resized_colours, resized_photo
from liftout.compose.shadow import Shadow, cast_shadow
from liftout.images import Photo
from liftout.images.channels import to_8_bit, to_16_bit
from liftout.options import Position

UInt8 = npt.NDArray[np.uint8]
Levels = npt.NDArray[Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class Composition:
    """The parts of a cutout. Every method that edits gives a new one."""

    photo: Photo
    alpha: UInt8
    """uint8 [H, W]: the subject's opacity."""
    foreground: Foreground
    """The subject's colours."""
    scene: Scene
    """The photo behind the subject, for backgrounds out of focus."""
    shadow: Shadow | None = None

    @staticmethod
    def of_photo(photo: Photo, alpha: UInt8, make_rgba: Callable[[UInt8, UInt8], UInt8]) -> Composition:
        """The subject of a photo. make_rgba: pixels and alpha to straight-alpha RGBA, uint8 [H, W, 4]."""
        height, width = alpha.shape
        return Composition(
            photo=photo,
            alpha=alpha,
            foreground=EstimatedForeground(photo, alpha, make_rgba),
            scene=Scene(photo.pixels, alpha, (0, 0, width, height)),
        )

    @property
    def size(self) -> tuple[int, int]:
        """[height, width] in pixels."""
        return cast("tuple[int, int]", self.alpha.shape)

    def rgba(self) -> Levels:
        """Subject and shadow as straight-alpha RGBA, [H, W, 4], in as many bits as the photo; zero where it is transparent."""
        if self.shadow is None:
            return self.foreground.rgba
        opacity = cast_shadow(self.alpha, self.shadow)
        return with_alpha(*over_layer(self.foreground.colours, self.alpha, opacity, self._own(self.shadow.colour)))

    def over(self, background: Background) -> Levels:
        """Subject and shadow over a background: [H, W, 3], or [H, W, 4] over (r, g, b, a). Raises UsageError, InputError."""
        if isinstance(background, tuple) and len(background) == 4:
            backgrounds.check_levels(background, "background")
            rgba = self.rgba()
            layer, opacity = self._own(background[:3]), background[3] / 255
            return with_alpha(*over_layer(rgba[..., :3], to_8_bit(rgba[..., 3]), opacity, layer))
        colours = self.foreground.colours
        behind: Levels = backgrounds.read_background(background, self.scene, self.size, self.photo.icc)
        if colours.dtype == np.uint16:
            behind = to_16_bit(behind)
        if self.shadow is None:
            return blend(colours, self.alpha, behind)
        return blend(colours, self.alpha, behind, cast_shadow(self.alpha, self.shadow), self._own(self.shadow.colour))

    def with_alpha(self, alpha: UInt8, restored: npt.NDArray[np.bool_] | None = None) -> Composition:
        """The same under another alpha, uint8 [H, W]. restored: bool [H, W], where the photo's own colours show."""
        foreground, photo = self.foreground, self.photo
        if restored is None:
            return self._edited(lambda: foreground.colours, alpha=alpha)
        own = photo.pixels if photo.pixels16 is None else photo.pixels16
        return self._edited(lambda: np.where(restored[..., None], own, foreground.colours), alpha=alpha)

    def feathered(self, radius: float) -> Composition:
        """Alpha blurred by a Gaussian of `radius` pixels, over the subject's own colours."""
        foreground, alpha = self.foreground, self.alpha
        return self._edited(lambda: spread_colours(foreground.colours, alpha, radius), alpha=feathered(alpha, radius))

    def with_shadow_around(self, box: Box) -> Box:
        """The box of the subject, widened by its shadow."""
        return box if self.shadow is None else self.shadow.around(box)

    def window(self, box: Box) -> Composition:
        """The part in a box, which may reach beyond the picture."""
        foreground = self.foreground
        return self._edited(
            lambda: part(foreground.colours, box),
            photo=part_of_photo(self.photo, box),
            alpha=part(self.alpha, box),
            scene=self.scene.part(box, self.size),
        )

    def resized(self, size: tuple[int, int]) -> Composition:
        """At another size, [height, width]."""
        foreground, alpha = self.foreground, self.alpha
        scale = min(new / old for new, old in zip(size, self.size, strict=True))
        return self._edited(
            lambda: resized_colours(foreground.colours, alpha, size),
            photo=resized_photo(self.photo, size),
            alpha=resized_alpha(alpha, size),
            shadow=self.shadow.scaled(scale) if self.shadow else None,
        )

    def on_canvas(
        self,
        box: Box | None,
        size: tuple[int, int],
        *,
        position: Position | tuple[float, float],
        margin: int,
        enlarge: bool,
        fill: float,
    ) -> Composition:
        """What lies in the subject's box, with its shadow, on an empty canvas: see `liftout.compose.canvas.on_canvas`."""
        colours, alpha, scale = on_canvas(
            self.foreground.colours,
            self.alpha,
            box and self.with_shadow_around(box),
            size,
            position=position,
            margin=margin,
            enlarge=enlarge,
            fill=fill,
        )
        pixels16 = colours if colours.dtype == np.uint16 else None
        return self._edited(
            lambda: colours,
            photo=replace(self.photo, pixels=to_8_bit(colours), pixels16=pixels16, alpha=None),
            alpha=alpha,
            shadow=self.shadow.scaled(scale) if self.shadow else None,
            scene=replace(self.scene, window=None),
        )

    def _edited(self, colours: Callable[[], Levels], *, alpha: UInt8, **changes: Any) -> Composition:
        """Like this one but for its alpha, the changes, and its colours, which `colours` computes."""
        return replace(self, alpha=alpha, foreground=Foreground(colours, alpha), **changes)

    def _own(self, colour: tuple[int, int, int]) -> Levels:
        """An sRGB colour in the photo's colour space, in as many bits as the photo."""
        levels = backgrounds.in_colour_space(colour, self.photo.icc)
        return levels if self.photo.pixels16 is None else to_16_bit(levels)
