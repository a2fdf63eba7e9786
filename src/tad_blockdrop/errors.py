"""The error whose message is meant for people: what is wrong, where, what to do."""


class BlockDropError(Exception):
    """Base of every expected failure; the command line shows its message without a traceback."""
