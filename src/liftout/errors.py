"""Every error that liftout raises on purpose.

    LiftoutError
    ├── UsageError               the call itself is wrong
    │   ├── UnknownModel         no such name in the catalogue
    │   └── UnknownFormat        no encoder for this suffix or format
    ├── InputError               one photo cannot be used; the others can
    │   ├── ImageUnreadable      not an image, empty, truncated
    │   ├── ImageAnimated        more than one frame
    │   ├── ImageTooLarge        above the limits on pixels, sides or their ratio
    │   └── ClipUnreadable       not a film or an animated picture, or no frame of it can be decoded
    ├── OutputError              a result cannot be written
    │   └── OutputExists         it already exists, and overwriting was not requested
    ├── CatalogError             an entry of the catalogue is malformed
    ├── BelowBar                 a reduced network differs too much from its original
    ├── ModelUnavailable         the model is not available
    │   ├── ModelMissing         none of its files are here, and none could be fetched
    │   ├── ModelFileCorrupt     a file is not what its hash says
    │   ├── CheckpointUnreadable a checkpoint is cut short, of another kind, or wants code to run
    │   ├── CheckpointMismatch   a checkpoint's tensors are not those of its architecture
    │   ├── LicenseNotAccepted   its licence asks for consent first
    │   └── ExtraMissing         an optional part of liftout is not installed
    └── EngineError              the engine refuses the network or the device
        ├── NetworkRejected      shapes, names or operators do not fit the catalogue entry
        ├── DeviceUnavailable    the device that was asked for is not there
        └── OutOfMemory          the network does not fit into memory

Each carries its parts: `subject`, `field`, `problem`, `remedy`. `str(error)` joins them to one line in Python's terms; the command
line and the server say the same parts in theirs (`LiftoutError.line`).
"""

from __future__ import annotations

from liftout.remedies import PYTHON, Advice, Terms


class LiftoutError(Exception):
    """Base of all errors below.

    subject: what it is about: a photo, a model, a file or an option; may be empty. field: the option, parameter or argument that
    is wrong, in Python's spelling; empty where it is none. problem: what is wrong, as a phrase that follows the subject.
    remedy: what to do, see `liftout.remedies`; may be empty.

    try:
        remove("photo.heic")
    except LiftoutError as error:
        print(error.subject, error.problem, error.remedy)   # photo.heic, HEIC photos need an extra, InstallExtra('heif')
    """

    def __init__(self, problem: str, *, subject: object = "", field: str = "", remedy: Advice = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.subject = str(subject) or field
        self.field = field
        self.remedy = remedy

    def what(self, terms: Terms = PYTHON) -> str:
        """Subject and problem, without the remedy."""
        if self.field and self.subject == self.field:
            return f"{terms.option(self.field)} {self.problem}"
        about = f"{terms.option(self.field)} {self.problem}" if self.field else self.problem
        return f"{self.subject}: {about}" if self.subject else about

    def line(self, terms: Terms = PYTHON) -> str:
        """The whole error as one line. terms: how its reader knows options and remedies."""
        advice = terms.advice(self.remedy)
        return f"{self.what(terms)}; {advice}" if advice else self.what(terms)

    def __str__(self) -> str:
        return self.line()


class UsageError(LiftoutError):
    """The call is wrong; `field` names the option."""


class UnknownModel(UsageError):
    """No model of this name is in the catalogue."""


class UnknownFormat(UsageError):
    """No encoder exists for this format."""


class InputError(LiftoutError):
    """A photo cannot be used."""


class ImageUnreadable(InputError):
    """The file is not an image, or is empty, or ends too early."""


class ImageAnimated(InputError):
    """The file holds several frames or pages; a cutout is of one picture."""


class ImageTooLarge(InputError):
    """The picture has more pixels, a longer side or a more extreme shape than the limits allow."""


class ClipUnreadable(InputError):
    """The file is not a film or an animated picture, or no frame of it can be decoded."""


class OutputError(LiftoutError):
    """A result cannot be written."""


class OutputExists(OutputError):
    """The output already exists, and overwriting was not requested."""


class CatalogError(LiftoutError):
    """A catalogue entry is malformed; `subject` names file, entry and key."""


class BelowBar(LiftoutError):
    """A network of reduced precision differs from its original by more than it may."""


class ModelUnavailable(LiftoutError):
    """The model is not available."""


class ModelMissing(ModelUnavailable):
    """None of the model's files are here and none could be fetched."""


class ModelFileCorrupt(ModelUnavailable):
    """A file is not what its recorded size or hash says."""


class CheckpointUnreadable(ModelUnavailable):
    """A checkpoint is cut short, of another kind, or cannot be read without running code from it."""


class CheckpointMismatch(ModelUnavailable):
    """The names or shapes of a checkpoint's tensors are not those of its architecture."""


class LicenseNotAccepted(ModelUnavailable):
    """The model's licence asks for consent before its first use."""


class ExtraMissing(ModelUnavailable):
    """An optional part of liftout is not installed; `remedy` is to install it."""


class EngineError(LiftoutError):
    """An engine cannot run this network."""


class NetworkRejected(EngineError):
    """The network's inputs, outputs or operators do not fit its catalogue entry."""


class DeviceUnavailable(EngineError):
    """The device that was asked for is not there."""


class OutOfMemory(EngineError):
    """The network does not fit into memory."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception of ONNX Runtime, whose exceptions share no base class, means that memory ran out."""
    text = str(error)
    return isinstance(error, MemoryError) or "bad_alloc" in text or "Failed to allocate" in text


def one_line(error: BaseException, longest: int | None = None) -> str:
    """What an error of another library says, as one line; the name of its class where it says nothing. longest: characters kept."""
    return (" ".join(str(error).split()) or type(error).__name__)[:longest]
