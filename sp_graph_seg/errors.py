"""Errors that the user can correct, and warnings. The command line prints each on one line."""

from collections.abc import Sequence


class InputError(ValueError):
    """A file, array or parameter that cannot be used.

    Every message is one line. It first names the file or parameter and what is wrong, and then says
    what to do. The command line prints the message and exits with code 2.
    """


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error of NumPy, torch or CUDA means that memory has run out."""
    texts = (
        "can't allocate memory",
        "not enough memory",
        "out of memory",
        "could not create a primitive",  # of oneDNN
    )
    return isinstance(error, MemoryError) or any(text in str(error) for text in texts)


class AmbiguousInputError(InputError):
    """A file holds several volumes, and the path does not say which of them to open.

    Attributes:
        choices: What may follow the path after a colon, such as the names of datasets.
    """

    def __init__(self, message: str, choices: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.choices = tuple(choices)


class OneImageError(InputError):
    """A file holds one image where a volume is needed.

    Attributes:
        axes: The axes with which the image is read as a volume of one slice.
    """

    def __init__(self, message: str, axes: str) -> None:
        super().__init__(message)
        self.axes = axes


class OutputError(InputError):
    """A result cannot be written. The folder is missing or read-only, or the disk is full."""


class SegmentationWarning(UserWarning):
    """The base class of all warnings of this package. The command line prints these warnings."""


class AssumedSpacingWarning(SegmentationWarning):
    """A volume declares its pixel size but not its slice distance, so voxels are assumed cubic."""


class FewLabelsWarning(SegmentationWarning):
    """Fewer labels than requested were found, or only one label, because images are uniform."""


class FewSuperpixelsWarning(SegmentationWarning):
    """An image has far fewer superpixels than requested."""


class IntensityRangeWarning(SegmentationWarning):
    """The intensities of an image differ from those that the model was trained on."""


class LowDiskSpaceWarning(SegmentationWarning):
    """The disk may be full before all labels of a volume are written."""


class ManyChannelsWarning(SegmentationWarning):
    """An image file has so many channels that they may be the slices of a volume."""


class MissingSlicesWarning(SegmentationWarning):
    """Some numbers are missing in the file names of slices or frames."""


class ReportWarning(SegmentationWarning):
    """A page, picture or table beside a result could not be made."""


class SmallImageWarning(SegmentationWarning):
    """An image is smaller than a setting requires, so the setting was reduced to fit."""


class TrainingWarning(SegmentationWarning):
    """The labels of a trained model may not be useful. The message says what to change."""
