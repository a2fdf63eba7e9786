"""The error of everything that reads weights made elsewhere."""

from tad_blockdrop.errors import BlockDropError


class FormatError(BlockDropError):
    """A weights file cannot be read, is of no known layout, or does not fit."""
