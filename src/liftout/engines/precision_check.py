"""The check of a faster precision on the user's first photos.

The first photos of a model run in fp32 and in the faster precision. Where the alphas agree within the bar (mean 0.005, IoU
0.995), that is recorded under `LIFTOUT_HOME` for this model, engine and version, and the faster one runs from then on; where
they do not, that is recorded too. Until then every result is that of fp32.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import platform
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from liftout.agreement import BARS, UInt8, compare
from liftout.engines import Float32, Network, NetworkFile, open_network
from liftout.engines.choice import Choice
from liftout.errors import LiftoutError
from liftout.home import home, read_record, write_record
from liftout.options import Precision, RunOptions

PHOTOS = 3
"""How many photos must agree, over all runs of liftout together."""

_RECORDS = "trials"
"""Folder of the records in `LIFTOUT_HOME/state`."""

ToAlpha = Callable[[Float32, Float32], UInt8]
"""The alpha of the photo in a tensor, float32 [1, 3, h, w], from its prediction, float32 [1, C, h, w]: uint8 [H, W]."""

_logger = logging.getLogger("liftout")


def open_checked(file: NetworkFile, choice: Choice, options: RunOptions, to_alpha: ToAlpha) -> Network:
    """The network that `choice` names; with a faster precision whose agreement is unknown, one that checks it as photos come.

    options: threads, and the precision where `choice` has no faster one. Raises what `open_network` raises.
    file: the network. to_alpha: from a photo's tensor and prediction to its alpha, for the comparison.
    """
    faster = choice.faster

    def opened(precision: Precision) -> Network:
        own = dataclasses.replace(options, engine=choice.engine, device=choice.device, precision=precision)
        return open_network(file, own)

    if faster is None:
        return opened(options.precision)
    agrees = verdict(file, choice, faster)
    if agrees is not None:
        return opened(faster if agrees else "fp32")
    record = _Record(file.name, _key(file, choice, faster), choice.engine, faster)
    return PrecisionCheck(opened("fp32"), lambda: opened(faster), record, to_alpha)


def verdict(file: NetworkFile, choice: Choice, faster: str) -> bool | None:
    """What is known of a faster precision: it agrees, it does not, or (None) it must be checked.

    choice: engine and device.
    """
    agrees = read_record(_RECORDS, file.name, _key(file, choice, faster)).get("agrees")
    return agrees if isinstance(agrees, bool) else None


def verdicts() -> Iterator[tuple[str, str, str, bool]]:
    """Model, engine, precision and whether it agrees, of all checks on this machine that are done."""
    for path in sorted((home() / "state" / _RECORDS).glob("*/*.json")):
        record = read_record(_RECORDS, path.parent.name, path.stem)
        if isinstance(record.get("agrees"), bool):
            yield path.parent.name, str(record.get("engine")), str(record.get("precision")), record["agrees"]


class PrecisionCheck:
    """A `Network` that runs two, gives the predictions of the reference, and goes on with one of them when enough photos are
    compared. Safe to use from several threads."""

    def __init__(
        self, reference: Network, open_faster: Callable[[], Network], record: _Record, to_alpha: ToAlpha
    ) -> None:
        """reference: the network in fp32. open_faster: opens the other at the first photo."""
        self._network = reference
        self._open_faster = open_faster
        self._faster: Network | None = None
        self._record = record
        self._to_alpha = to_alpha
        self._done = False
        self._lock = threading.Lock()

    @property
    def engine(self) -> str:
        """See `Network.engine`."""
        return self._network.engine

    @property
    def device(self) -> str:
        """See `Network.device`."""
        return self._network.device

    @property
    def precision(self) -> str:
        """That of the network whose predictions are given."""
        return self._network.precision

    def run(self, tensor: Float32) -> Float32:
        """See `Network.run`."""
        if self._done:
            return self._network.run(tensor)
        with self._lock:
            prediction = self._network.run(tensor)
            if not self._done:  # another thread may have been quicker
                self._compare(tensor, prediction)
            return prediction

    def close(self) -> None:
        """See `Network.close`."""
        self._network.close()
        if self._faster:
            self._faster.close()

    def _compare(self, tensor: Float32, prediction: Float32) -> None:
        """Compare both on one photo, and choose where enough are compared."""
        try:
            self._faster = self._faster or self._open_faster()
            alpha = self._to_alpha(tensor, self._faster.run(tensor))
            agreement, _ = compare(alpha, self._to_alpha(tensor, prediction), "")
        except LiftoutError as error:
            _logger.debug("%s: %s cannot be checked: %s", self._record.model, self._record.precision, error)
            self._choose(faster=False)
            return
        photo = hashlib.blake2b(np.ascontiguousarray(tensor).tobytes(), digest_size=8).hexdigest()
        agrees = self._record.add(photo, agreement.difference, agreement.iou)
        if agrees is not None:
            self._choose(faster=agrees)

    def _choose(self, *, faster: bool) -> None:
        if faster and self._faster:
            self._network = self._faster  # the other may be running for another thread; it goes when nobody holds it
        elif self._faster:
            self._faster.close()
        self._faster, self._done = None, True


@dataclasses.dataclass(frozen=True)
class _Record:
    """What is recorded of a check under `LIFTOUT_HOME/state`."""

    model: str
    key: str
    engine: str
    precision: str

    def add(self, photo: str, difference: float, iou: float) -> bool | None:
        """Record a photo's agreement; returns whether the precision agrees, or None where more photos are needed."""
        recorded_photos = read_record(_RECORDS, self.model, self.key).get("photos", {})
        photos = {**recorded_photos, photo: [round(difference, 6), round(iou, 6)]}
        record: dict[str, Any] = {"engine": self.engine, "precision": self.precision, "photos": photos}
        agrees = None
        if len(photos) >= PHOTOS:
            bar, (differences, ious) = BARS[self.precision], zip(*photos.values(), strict=True)
            agrees = float(np.mean(differences)) <= bar.mean and float(np.mean(ious)) >= bar.iou
            record["agrees"] = agrees
        write_record(_RECORDS, self.model, self.key, record=record)
        return agrees


def _key(file: NetworkFile, choice: Choice, faster: str) -> str:
    """What a verdict holds for: engine and its version, precision, processor, and this very file."""
    from importlib.metadata import PackageNotFoundError, version  # a hundredth of a second that few runs need

    try:
        engine_version = version(choice.engine)
    except PackageNotFoundError:
        engine_version = "unknown"
    size = file.path.stat().st_size if file.path.is_file() else 0
    return f"{choice.engine}-{engine_version}-{faster}-{platform.machine()}-{file.size[0]}x{file.size[1]}-{size}"
