"""Files that come with the runner, by the name that the documentation calls them."""

from pathlib import Path

import strategies

OVERLAYS = "overlays"


def found(file: str) -> Path:
    """Where a file is: where its name says, or, for `overlays/NAME.yml` that is not there, beside our strategies."""
    path = Path(file)
    if not path.is_absolute() and path.parent.as_posix() == OVERLAYS and not path.exists():
        ours = Path(strategies.__file__).parent / path
        return ours if ours.exists() else path
    return path
