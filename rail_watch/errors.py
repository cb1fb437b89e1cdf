"""The error tree, and the exit status each error ends the program with.

RailWatchError                  1  something of ours went wrong
├── BadInput                    2  a file, option or catalogue from outside is wrong
│   ├── BadAoi                     an area of interest
│   ├── BadCatalogue               a catalogue, item or folder of imagery
│   └── BadRaster                  one raster file
└── NoUsableImagery             4  nothing to judge: no scene, or none that can be used
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
