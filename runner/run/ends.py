"""Why a command ends before it could do its work: an exit code and a sentence for the user."""

from runner.altmarkets.errors import FixRequest, OutcomeUnknown, RetryLater, StopTrading, VenueError
from runner.model.exits import Exit


class CannotRun(Exception):
    """The run did not begin. `exit_code` as in the table of exit codes; the message is for the user."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def exit_code_of(error: VenueError) -> int:
    """What to tell a script that cannot read the sentence."""
    match error:
        case StopTrading():
            return Exit.CREDENTIALS
        case RetryLater():
            return Exit.UNREACHABLE
        case OutcomeUnknown():
            return Exit.UNPROVEN
        case FixRequest():
            return Exit.USAGE
    return Exit.INTERNAL


def only_cause(group: BaseException) -> BaseException:
    """What a task group has wrapped: what could not begin has one cause."""
    while isinstance(group, BaseExceptionGroup) and len(group.exceptions) == 1:
        group = group.exceptions[0]
    return group
