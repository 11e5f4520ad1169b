"""The pipeline: decode -> prepare -> network -> finish -> cutout. Encoding is the Cutout's."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Literal, Self, overload

import numpy as np

from liftout import graphs, matting
from liftout.catalog import DEFAULT_MODEL, ModelSpec, find
from liftout.cutout import Cutout
from liftout.engines import EngineOptions, Network, open_network
from liftout.errors import InputError
from liftout.images import ImageInput, Photo, decode
from liftout.options import DEFAULT_MAX_PIXELS, Edges, EngineName, Precision, RunOptions
from liftout.weights.ensure import ensure


class Remover:
    """A loaded model, ready for any number of photos. Safe to use from several threads.

    with Remover("u2netp") as remover:
        for cutout in remover.map(paths):
            ...
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        engine: EngineName = "auto",
        device: str = "auto",
        precision: Precision = "auto",
        threads: int | None = None,
        edges: Edges = "auto",
        max_pixels: int = DEFAULT_MAX_PIXELS,
        accept_license: bool = False,
    ) -> None:
        """Load a model; fetch it first where it is not here.

        model: a name of the catalogue. engine, device, precision: `auto` or as `liftout doctor` lists them. threads: of
        the network; all cores that the process may use by default. edges: see `liftout cut`. max_pixels: the largest photo.
        accept_license: consent to the model's licence where it asks for that (`liftout models show`); remembered.
        Raises UnknownModel, ModelUnavailable, EngineError, UsageError, ExtraMissing (edges `refined` without the extra `matting`).
        """
        RunOptions(
            model=model,
            edges=edges,
            engine=engine,
            device=device,
            precision=precision,
            threads=threads,
            max_pixels=max_pixels,
        )
        if edges == "refined":
            matting.require()
        located = ensure(find(model), accept_license=accept_license)
        self.spec: ModelSpec = located.spec
        self._edges = edges
        self._max_pixels = max_pixels
        options = EngineOptions(device=device, precision=precision, threads=threads)
        self._network: Network = open_network(located.file, engine=engine, options=options)

    @property
    def engine(self) -> str:
        """Name of the engine that runs the network."""
        return self._network.engine

    @property
    def device(self) -> str:
        """Where the network runs."""
        return self._network.device

    @property
    def precision(self) -> str:
        """What the network computes in."""
        return self._network.precision

    def __call__(self, image: ImageInput, *, name: str | None = None) -> Cutout:
        """Cut out one photo: a path, bytes, a binary file, a Pillow image or an array.

        name: what messages call it. Raises InputError (unreadable, animated, too large), EngineError.
        """
        photo = decode(image, max_pixels=self._max_pixels, name=name)
        return Cutout(photo, self._alpha(photo), make_rgba=graphs.plain if self._edges == "plain" else graphs.cutout)

    @overload
    def map(self, images: Iterable[ImageInput], *, errors: Literal["raise"] = "raise") -> Iterator[Cutout]: ...

    @overload
    def map(self, images: Iterable[ImageInput], *, errors: Literal["return"]) -> Iterator[Cutout | InputError]: ...

    def map(
        self, images: Iterable[ImageInput], *, errors: Literal["raise", "return"] = "raise"
    ) -> Iterator[Cutout | InputError]:
        """Cutouts in the order of `images`.

        errors: `raise` ends at the first photo that cannot be used; `return` yields its InputError in its place and goes on.
        """
        for image in images:
            try:
                yield self(image)
            except InputError as error:
                if errors == "raise":
                    raise
                yield error

    def with_edges(self, edges: Edges) -> Remover:
        """The same loaded model with other edges; both share one network, and closing one closes both."""
        RunOptions(edges=edges)
        if edges == "refined":
            matting.require()
        other = copy.copy(self)
        other._edges = edges
        return other

    def close(self) -> None:
        """Give the network's memory back."""
        self._network.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _alpha(self, photo: Photo) -> graphs.UInt8:
        """The subject's opacity times the photo's own: uint8 [H, W]."""
        seen = photo.seen_by_network()
        tensor, box = graphs.prepare(seen, self.spec.input)
        prediction = self._network.run(tensor)
        guide = None if self._edges == "plain" else seen
        alpha = graphs.finish(prediction, photo.size, self.spec.output, box=box, image=guide)
        if self._edges == "refined":
            # The prediction's own pixels, without what `prepare` added around the photo.
            cell = max(1.0, photo.size[0] / int(box[2]), photo.size[1] / int(box[3]))
            alpha = matting.refine(alpha, seen, cell=cell)
        if photo.alpha is not None:
            alpha = ((alpha.astype(np.uint16) * photo.alpha + np.uint16(127)) // 255).astype(np.uint8)
        return alpha


_KEPT = 2
_kept: OrderedDict[tuple[object, ...], Remover] = OrderedDict()
_kept_lock = threading.Lock()


def remove(
    image: ImageInput,
    model: str = DEFAULT_MODEL,
    *,
    engine: EngineName = "auto",
    device: str = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    edges: Edges = "auto",
    max_pixels: int = DEFAULT_MAX_PIXELS,
    accept_license: bool = False,
) -> Cutout:
    """Cut out one photo. The last two models stay loaded; use a `Remover` to decide that yourself.

        remove("photo.jpg").save("cutout.png")

    Options and errors are those of `Remover`.
    """
    key = (model, engine, device, precision, threads, edges, max_pixels)
    with _kept_lock:
        remover = _kept.pop(key, None) or Remover(
            model,
            engine=engine,
            device=device,
            precision=precision,
            threads=threads,
            edges=edges,
            max_pixels=max_pixels,
            accept_license=accept_license,
        )
        _kept[key] = remover
        while len(_kept) > _KEPT:
            _kept.popitem(last=False)
    return remover(image)
