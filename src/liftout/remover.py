"""The pipeline: decode -> prepare -> network -> finish -> cutout. Encoding is the Cutout's."""

from __future__ import annotations

import copy
import dataclasses
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal, Self, cast, overload

import numpy as np

from liftout import graphs, matting
from liftout.cutout import Cutout
from liftout.engines import EngineOptions, Network, open_network
from liftout.engines.choice import choose, computes
from liftout.errors import InputError
from liftout.images import ImageInput, Photo, decode
from liftout.loading import converter
from liftout.models.resolve import resolve
from liftout.models.spec import ModelSpec
from liftout.options import DEFAULT_MAX_PIXELS, DEFAULT_MODEL, Edges, EngineName, Precision, RunOptions
from liftout.trial import Trial

_AHEAD = 3
"""Photos of `map` that are under way."""

_END = object()


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

        model: a name of the catalogue, or a path to the folder of a pack. engine, device, precision: `auto` or as `liftout doctor`
        lists them. threads: of the network; all cores that the process may use by default. edges: see `liftout cut`. max_pixels: the largest photo.
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
        resolved = resolve(model, precision, computes, accept_license=accept_license, load_converter=converter())
        self.spec: ModelSpec = resolved.spec
        self._edges = edges
        self._max_pixels = max_pixels
        options = EngineOptions(
            device=device, precision="fp32" if resolved.file.reduced else precision, threads=threads
        )
        if resolved.file.reduced and engine == "auto":
            engine = "onnxruntime"  # the engine in which its agreement was measured
        choice = choose(engine, options, small=resolved.source == "built-in")
        self._runs: Network | Trial
        if choice.faster:
            self._runs = Trial(resolved.file, choice, choice.faster, threads)
        else:
            options = dataclasses.replace(options, device=choice.device)
            self._runs = open_network(resolved.file, engine=choice.engine, options=options)

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
        """What the network computes in, or the reduced form that its pack has."""
        return self._network.precision

    @property
    def _network(self) -> Network:
        return self._runs.network if isinstance(self._runs, Trial) else self._runs

    def __call__(self, image: ImageInput, *, name: str | None = None) -> Cutout:
        """Cut out one photo: a path, bytes, a binary file, a Pillow image or an array.

        name: what messages call it. Raises InputError (unreadable, animated, too large), EngineError.
        """
        return self._finished(self._predicted(self._prepared(image, name)))

    @overload
    def map(self, images: Iterable[ImageInput], *, errors: Literal["raise"] = "raise") -> Iterator[Cutout]: ...

    @overload
    def map(self, images: Iterable[ImageInput], *, errors: Literal["return"]) -> Iterator[Cutout | InputError]: ...

    def map(
        self, images: Iterable[ImageInput], *, errors: Literal["raise", "return"] = "raise"
    ) -> Iterator[Cutout | InputError]:
        """Cutouts in the order of `images`.

        errors: `raise` ends at the first photo that cannot be used; `return` yields its InputError in its place and goes on.
        While a result is used, the next photos are decoded, run and finished, one each; so a few photos are in memory at once.
        """
        with ExitStack() as stack:
            decoding, running, finishing = (stack.enter_context(ThreadPoolExecutor(1)) for _ in range(3))

            def begin(image: ImageInput) -> Future[Cutout]:
                prepared = decoding.submit(self._prepared, image, None)
                predicted = running.submit(lambda: self._predicted(prepared.result()))
                return finishing.submit(lambda: self._finished(predicted.result()))

            waiting: deque[Future[Cutout]] = deque()
            stack.callback(lambda: [cutout.cancel() for cutout in waiting])
            source = iter(images)
            while True:
                while len(waiting) < _AHEAD and (image := next(source, _END)) is not _END:
                    waiting.append(begin(cast("ImageInput", image)))
                if not waiting:
                    return
                try:
                    yield waiting.popleft().result()
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
        self._runs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepared(self, image: ImageInput, name: str | None) -> _Prepared:
        photo = decode(image, max_pixels=self._max_pixels, name=name)
        seen = photo.seen_by_network()
        return _Prepared(photo, seen, *graphs.prepare(seen, self.spec.input))

    def _predicted(self, prepared: _Prepared) -> tuple[_Prepared, graphs.Float32 | graphs.UInt8]:
        """The network's prediction, float32 [1, C, h, w]; while a faster precision is on trial, the alpha, uint8 [H, W]."""
        if isinstance(self._runs, Trial) and not self._runs.settled:
            return prepared, self._runs.alpha(prepared.tensor, lambda prediction: self._alpha(prepared, prediction))
        return prepared, self._network.run(prepared.tensor)

    def _alpha(self, prepared: _Prepared, prediction: graphs.Float32) -> graphs.UInt8:
        guide = None if self._edges == "plain" else prepared.seen
        return graphs.finish(prediction, prepared.photo.size, self.spec.output, box=prepared.box, image=guide)

    def _finished(self, predicted: tuple[_Prepared, graphs.Float32 | graphs.UInt8]) -> Cutout:
        prepared, told = predicted
        photo = prepared.photo
        alpha = cast("graphs.UInt8", told) if told.ndim == 2 else self._alpha(prepared, cast("graphs.Float32", told))
        if self._edges == "refined":
            # The prediction's own pixels, without what `prepare` added around the photo.
            cell = max(1.0, photo.size[0] / int(prepared.box[2]), photo.size[1] / int(prepared.box[3]))
            alpha = matting.refine(alpha, prepared.seen, cell=cell)
        if photo.alpha is not None:
            alpha = ((alpha.astype(np.uint16) * photo.alpha + np.uint16(127)) // 255).astype(np.uint8)
        return Cutout(photo, alpha, make_rgba=graphs.plain if self._edges == "plain" else graphs.cutout)


@dataclass(frozen=True)
class _Prepared:
    """A photo on its way: seen, what the network is shown, uint8 [H, W, 3]; tensor and box from `graphs.prepare`."""

    photo: Photo
    seen: graphs.UInt8
    tensor: graphs.Float32
    box: graphs.Int64


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
