"""The pipeline: decode -> prepare -> network -> finish -> cutout. Encoding is the Cutout's."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, overload

import numpy as np

from liftout import graphs, matting
from liftout.cutout import Cutout
from liftout.engines import Network
from liftout.errors import InputError, UsageError
from liftout.images import ImageInput, Photo, decode
from liftout.loaded import LoadedModels
from liftout.loading import load
from liftout.models.purposes import default_model
from liftout.models.spec import ModelSpec
from liftout.options import DEFAULT_MAX_PIXELS, DEFAULT_MODEL, Edges, EngineName, Precision, RunOptions
from liftout.prompts import AlphaInput, Asked, BoxInput, PointInput, Prompts
from liftout.stages import stage

if TYPE_CHECKING:
    from liftout import pointing

_AHEAD = 3
"""Photos of `map` that are under way."""


class Remover:
    """A loaded model, ready for any number of photos. Safe to use from several threads.

    with Remover("u2netp") as remover:
        for cutout in remover.map(paths):
            ...
    """

    def __init__(
        self,
        model: str | None = None,
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

        model: a name of the catalogue, a purpose (`best`, `people`, `products`, `anime`, `hair`, `fast`), or a path to the folder
        of a pack; by default `LIFTOUT_MODEL`, what `liftout models use` set, or the built-in one. `spec` says which it is.
        engine: `auto`, `onnxruntime`, `openvino` or `torch`. device: `auto`, `cpu`, `cuda`, ... precision: `auto` or a number format of
        `liftout.options.Precision`. threads: of the network; by default one for each core that the process may use. edges: `auto`,
        `refined` or `plain`, see docs/edges.md. max_pixels: photos with more are refused.
        accept_license: consent to the model's licence where it asks for that; it is remembered.
        Raises UnknownModel, ModelUnavailable, EngineError, UsageError, ExtraMissing (edges `refined` without the extra `matting`).
        """
        self._open(
            RunOptions(
                model=default_model(DEFAULT_MODEL) if model is None else model,
                edges=edges,
                engine=engine,
                device=device,
                precision=precision,
                threads=threads,
                max_pixels=max_pixels,
            ),
            accept_license=accept_license,
        )

    @classmethod
    def from_options(cls, options: RunOptions, *, accept_license: bool = False) -> Self:
        """The same as the constructor, with the options as one object."""
        remover = cls.__new__(cls)
        remover._open(options, accept_license=accept_license)
        return remover

    @classmethod
    def from_network(
        cls, spec: ModelSpec, network: Network, *, edges: Edges = "auto", max_pixels: int = DEFAULT_MAX_PIXELS
    ) -> Self:
        """A remover that runs a network of the caller's, opened by `liftout.loading` or written by hand; it closes it.

        spec: how photos become the network's input and its output becomes alpha. Raises UsageError, ExtraMissing.
        """
        remover = cls.__new__(cls)
        options = RunOptions(model=spec.name, edges=edges, max_pixels=max_pixels)
        _check_edges(options)
        remover._take(spec, network, options, reloads=False)
        return remover

    def _open(self, options: RunOptions, *, accept_license: bool) -> None:
        _check_edges(options)
        graphs.open_ahead(refined=options.edges != "plain")
        self._take(*load(options, accept_license=accept_license), options, reloads=True)

    def _take(self, spec: ModelSpec, network: Network, options: RunOptions, *, reloads: bool) -> None:
        """reloads: whether the options alone are enough to load the same model again."""
        self.spec, self._network, self._options, self._reloads = spec, network, options, reloads

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
    def make_rgba(self) -> Callable[[graphs.UInt8, graphs.UInt8], graphs.UInt8]:
        """What gives a photo, uint8 [H, W, 3], and its alpha, uint8 [H, W], the colours of the result: uint8 [H, W, 4]."""
        return graphs.plain if self._options.edges == "plain" else graphs.cutout

    def __call__(
        self,
        image: ImageInput,
        *,
        name: str | None = None,
        keep: Iterable[PointInput] | str = (),
        drop: Iterable[PointInput] | str = (),
        box: BoxInput | None = None,
        start: AlphaInput | None = None,
    ) -> Cutout:
        """Cut out one photo: a path, bytes, a binary file, a Pillow image, an array or a tensor (`liftout.images.decode`).

            remover("photo.jpg", keep=[(300, 200)])                          # the object at this point
            remover("photo.jpg", start=cutout.alpha, drop=["40%,25%"])       # that cutout, less what is there

        name: of the photo, for messages. keep, drop: points that belong to the subject and that do not, (x, y) in pixels of the upright
        photo, or text in pixels or percent. box: (left, top, right, bottom) around the subject, likewise. start: an alpha, uint8 [H, W],
        that the points correct; without it `keep` and `box` select, and `drop` alone corrects the automatic alpha. See docs/points.md.
        Raises InputError (unreadable, animated, too large), EngineError, UsageError (points or box outside the photo).
        """
        asked = Asked.of(keep, drop, box, start)
        if asked:
            return self.prompted(image, asked, name=name)
        return self._finished(self._predicted(self._prepared(image, name)))

    def prompted(self, image: ImageInput, prompts: Prompts | Asked, *, name: str | None = None) -> Cutout:
        """Cut out what prompts ask for; without any, what the photo shows. The built-in network decides which object, this model gives
        its edges.

        prompts: in the photo's pixels, or as a caller gave them. Errors are those of a call, and ModelMissing.
        """
        from liftout import pointing

        pointer = pointing.load(self._options.threads)
        with stage("decode"):
            photo = decode(image, max_pixels=self._options.max_pixels, name=name)
        if isinstance(prompts, Asked):
            prompts = prompts.at(photo.size)
        else:
            prompts.check(photo.size)
        with stage("prepare"):
            pixels = photo.seen_by_network()
        corrects = prompts.start is None and not prompts.keep and prompts.box is None
        automatic, cell = None, _cell(photo.size, pointer.spec.input.size)
        if corrects or self.spec.name != DEFAULT_MODEL:
            with stage("prepare"):
                prepared = _Prepared(photo, pixels, *graphs.prepare(pixels, self.spec.input))
            prediction = self._predicted(prepared)[1]
            with stage("edges"):
                automatic = self._unrefined(prepared, prediction)
            height, width = int(prepared.box[2]), int(prepared.box[3])
            cell = min(cell, _cell(photo.size, (height, width)))
        if corrects:
            prompts = dataclasses.replace(prompts, start=automatic)
        with stage("network"):
            seen = pointer.see(pixels)
            alpha = pointer.answer(
                seen,
                prompts,
                follow_edges=self._options.edges != "plain",
                edges_of=None if self.spec.name == DEFAULT_MODEL else automatic,
            )
        with stage("edges"):
            alpha = self._settled(photo, pixels, alpha, cell)
        return Cutout(photo, alpha, make_rgba=self.make_rgba)

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

            cutouts: deque[Future[Cutout]] = deque()
            stack.callback(lambda: [cutout.cancel() for cutout in cutouts])
            source = iter(images)
            while True:
                cutouts.extend(begin(image) for image in itertools.islice(source, _AHEAD - len(cutouts)))
                if not cutouts:
                    return
                try:
                    yield cutouts.popleft().result()
                except InputError as error:
                    if errors == "raise":
                        raise
                    yield error

    def subjects(self, cutout: Cutout) -> Iterator[Cutout]:
        """Each subject of a cutout as a cutout of its own, the largest first; together they are the cutout.

        As `Cutout.subjects`, and subjects that touch are told apart too: the built-in network is asked which object each thick place of a
        shape belongs to. Raises EngineError, ModelMissing.
        """

        @functools.cache
        def seen() -> tuple[pointing.Pointer, pointing.Seen]:
            from liftout import pointing

            pointer = pointing.load(self._options.threads)
            return pointer, pointer.see(cutout.photo.seen_by_network())

        def answer(prompts: Prompts) -> graphs.UInt8:
            pointer, photo = seen()
            return pointer.answer(photo, prompts)

        def divided(alpha: graphs.UInt8) -> Iterator[graphs.UInt8]:
            from liftout.pointing.touching import separate_touching

            return separate_touching(alpha, answer)

        return cutout.subjects(divided)

    def with_edges(self, edges: Edges) -> Remover:
        """The same loaded model with other edges; both share one network, and closing one closes both."""
        return self.with_options(dataclasses.replace(self._options, edges=edges))

    def with_options(self, options: RunOptions) -> Self:
        """The same loaded model with the edges and the limit on pixels of other options; both share one network, and closing one
        closes both. Raises ExtraMissing."""
        _check_edges(options)
        other = type(self).__new__(type(self))
        other._take(self.spec, self._network, options, reloads=self._reloads)
        return other

    def close(self) -> None:
        """Give the network's memory back."""
        self._network.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[[RunOptions], Self], tuple[RunOptions]]:
        """For pickle: its options; the model is loaded again where it is read."""
        if not self._reloads:
            raise UsageError(
                "a Remover of a network of your own cannot be pickled",
                subject=self.spec.name,
                remedy="make one in the other process",
            )
        return type(self).from_options, (self._options,)

    def _prepared(self, image: ImageInput, name: str | None) -> _Prepared:
        with stage("decode"):
            photo = decode(image, max_pixels=self._options.max_pixels, name=name)
        with stage("prepare"):
            pixels = photo.seen_by_network()
            return _Prepared(photo, pixels, *graphs.prepare(pixels, self.spec.input))

    def _predicted(self, prepared: _Prepared) -> tuple[_Prepared, graphs.Float32]:
        """The network's prediction, float32 [1, C, h, w]."""
        with stage("network"):
            return prepared, self._network.run(prepared.tensor)

    def _finished(self, predicted: tuple[_Prepared, graphs.Float32]) -> Cutout:
        prepared, prediction = predicted
        with stage("edges"):
            alpha = self._alpha(prepared, prediction)
        return Cutout(prepared.photo, alpha, make_rgba=self.make_rgba)

    def _alpha(self, prepared: _Prepared, prediction: graphs.Float32) -> graphs.UInt8:
        """Alpha of the photo's size, uint8 [H, W]."""
        # The prediction's own pixels, without what `prepare` added around the photo.
        cell = _cell(prepared.photo.size, (int(prepared.box[2]), int(prepared.box[3])))
        return self._settled(prepared.photo, prepared.seen, self._unrefined(prepared, prediction), cell)

    def _unrefined(self, prepared: _Prepared, prediction: graphs.Float32) -> graphs.UInt8:
        """The prediction at the photo's size, uint8 [H, W]; its edges follow the photo's where the options say so."""
        guide = None if self._options.edges == "plain" else prepared.seen
        return graphs.finish(prediction, prepared.photo.size, self.spec.output, box=prepared.box, image=guide)

    def _settled(self, photo: Photo, seen: graphs.UInt8, alpha: graphs.UInt8, cell: float) -> graphs.UInt8:
        """An alpha with refined edges where the options say so, within the photo's own alpha. cell: see `matting.refine`."""
        if self._options.edges == "refined":
            alpha = matting.refine(alpha, seen, cell=cell)
        if photo.alpha is not None:
            alpha = ((alpha.astype(np.uint16) * photo.alpha + np.uint16(127)) // 255).astype(np.uint8)
        return alpha


@dataclass(frozen=True)
class _Prepared:
    """A photo on its way: seen, what the network is shown, uint8 [H, W, 3]; tensor and box from `graphs.prepare`."""

    photo: Photo
    seen: graphs.UInt8
    tensor: graphs.Float32
    box: graphs.Int64


models = LoadedModels(2, Remover.from_options, wait=False)
"""The models that `liftout.remove` and the drop-in for rembg keep loaded."""


def _cell(size: tuple[int, int], predicted: tuple[int, int]) -> float:
    """How many of the photo's pixels one pixel of the prediction covers. size, predicted: height and width of each."""
    return max(1.0, size[0] / predicted[0], size[1] / predicted[1])


def _check_edges(options: RunOptions) -> None:
    if options.edges == "refined":
        matting.require()
