"""When something is due next: of many times, of which some are not known, the first."""


def soonest(*times: int | None) -> int | None:
    """The earliest of these times, None where there is none."""
    first: int | None = None
    for at in times:
        if at is not None and (first is None or at < first):
            first = at
    return first
