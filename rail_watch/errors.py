"""The error tree, and the exit status each error ends the program with.

RailWatchError                  1  something of ours went wrong
├── BadInput                    2  a file, option or catalogue from outside is wrong
│   ├── BadAoi                     an area of interest
│   ├── BadCatalogue               a catalogue, item or folder of imagery
│   └── BadRaster                  one raster file
├── NoUsableImagery             4  nothing to judge: no scene, or none that can be used
├── ArchiveFault                1  the archive cannot be read or written: disk full, read-only, damaged
└── Busy                        5  another run works on the archive: nothing was done, come again later
"""


class RailWatchError(Exception):
    """Base of every error this package raises on purpose. The message is one line for a person."""

    exit_status = 1


class BadInput(RailWatchError):
    """Input from outside is wrong. The message says which, what is wrong and how to mend it."""

    exit_status = 2


class BadAoi(BadInput):
    """An area of interest that cannot be used."""


class BadCatalogue(BadInput):
    """A catalogue, item or folder of imagery that cannot be used."""


class BadRaster(BadInput):
    """A raster file that cannot be trusted or read."""


class NoUsableImagery(RailWatchError):
    """No scene matches, or none of those that match can be used."""

    exit_status = 4


class ArchiveFault(RailWatchError):
    """The archive cannot be read or written. What was written before stands."""


class Busy(RailWatchError):
    """Another process works on the archive; nothing was done."""

    exit_status = 5
