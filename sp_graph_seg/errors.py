"""The error that a user can mend: the command line shows its message and exits with 2."""


class InputError(ValueError):
    """A file, an array or a parameter that cannot be used, with what to do about it.

    Every message names the file or the parameter first and the remedy last, in one line.
    """


class FewSuperpixelsWarning(UserWarning):
    """Far fewer superpixels came out than were asked for."""


class ManyChannelsWarning(UserWarning):
    """A file has so many channels that it may be a volume in truth."""


class SmallImageWarning(UserWarning):
    """An image is smaller than asked for, so something was shrunk to fit it."""
