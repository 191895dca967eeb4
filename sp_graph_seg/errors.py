"""Errors that the user can correct, and warnings: the command line shows one line for each."""


class InputError(ValueError):
    """A file, array or parameter that cannot be used.

    Every message is one line: the file or parameter and what is wrong with it first, the remedy
    last. The command line prints it and exits with 2.
    """


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error means that memory could not be allocated, by numpy or by torch."""
    text = str(error)
    of_torch = "allocate memory" in text or "out of memory" in text
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and of_torch)


class OutputError(InputError):
    """A result cannot be written: the folder is missing or read-only, or the disk is full."""


class AssumedSpacingWarning(UserWarning):
    """A volume declares the size of its pixels but no distance of slices: voxels are cubes."""


class FewLabelsWarning(UserWarning):
    """Fewer labels were found than requested, or only one, because the images are uniform."""


class FewSuperpixelsWarning(UserWarning):
    """An image has far fewer superpixels than requested."""


class IntensityRangeWarning(UserWarning):
    """The intensities of an image differ from those that the model was trained on."""


class LowDiskSpaceWarning(UserWarning):
    """The disk may be full before all labels of a volume are written."""


class ManyChannelsWarning(UserWarning):
    """An image file has so many channels that they may be the slices of a volume."""


class MissingSlicesWarning(UserWarning):
    """Some numbers are missing in the file names of slices or frames."""


class ReportWarning(UserWarning):
    """The page or the preview of a result could not be made."""


class SmallImageWarning(UserWarning):
    """An image is smaller than a setting requires, so the setting was reduced to fit."""
