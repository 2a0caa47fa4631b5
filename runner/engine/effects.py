"""What one event leads to, while it is being put together."""

from runner.model.command import Change, Command, Note, Output


class Effects:
    """Collects commands, changes and notes in the order in which they were decided."""

    __slots__ = ("changes", "commands", "notes")

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.changes: list[Change] = []
        self.notes: list[Note] = []

    def note(
        self,
        what: str,
        *,
        level: str = "info",
        market: str | None = None,
        client_id: str | None = None,
        **facts: str | float | None,
    ) -> None:
        self.notes.append(Note(what, level, market, client_id, facts))

    def output(self, wake_at: int | None) -> Output:
        return Output(tuple(self.commands), tuple(self.changes), tuple(self.notes), wake_at)
