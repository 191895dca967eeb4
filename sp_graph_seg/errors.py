"""The error that a user can mend: the command line shows its message and exits with 2."""


class InputError(ValueError):
    """A file, an array or a parameter that cannot be used, with what to do about it.

    Every message names the file or the parameter first and the remedy last, in one line.
    """


class OutputError(InputError):
    """A result that cannot be written: the folder is gone or read-only, or the disk is full."""


class FewLabelsWarning(UserWarning):
    """Fewer labels were found than wanted, or only one: the images are all alike."""


class FewSuperpixelsWarning(UserWarning):
    """Far fewer superpixels came out than were asked for."""


class IntensityRangeWarning(UserWarning):
    """An image has other intensities than those that a model was trained on."""


class LowDiskSpaceWarning(UserWarning):
    """The disk may become full before the labels of a volume are complete."""


class ManyChannelsWarning(UserWarning):
    """A file has so many channels that it may be a volume in truth."""


class MissingSlicesWarning(UserWarning):
    """The numbers in the names of slices or frames have gaps."""


class SmallImageWarning(UserWarning):
    """An image is smaller than asked for, so something was shrunk to fit it."""
