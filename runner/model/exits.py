"""The table of exit codes. A code never changes its meaning: scripts and service managers decide by it."""

import enum


class Exit(enum.IntEnum):
    """Why the runner ended. Death by a second signal is 128 + its number. Source: design section 11."""

    sentence: str

    CLEAN = 0, "All went well."
    INTERNAL = 1, "The runner or the strategy failed."
    USAGE = 2, "The command line is wrong, or names a file that cannot be read."
    CONFIG = 3, "The strategy file is wrong."
    CREDENTIALS = 4, "Keys are missing, wrong, or not allowed to do this."
    UNREACHABLE = 5, "The venue cannot be reached; trying again may help."
    RISK = 6, "A risk limit has latched: look before starting again."
    UNPROVEN = 7, "Orders whose fate is not proven: run `runner settle`. Or a damaged journal."
    LOCKED = 8, "Another instance is running this strategy on this account."
    NOTHING = 9, "There was nothing to do (--once --exit-nothing)."
    NOT_RUNNING = 10, "No such run is going on."

    def __new__(cls, code: int, sentence: str) -> "Exit":
        member = int.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member
