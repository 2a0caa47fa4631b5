"""YAML text to a tree of nodes that know where they stand.

The tree is made of the parser's events, never with `load`: PyYAML would turn `on:` into a boolean and `17:30` into
1050. Only `true`, `false`, `null`, whole numbers and plain decimals get a type, decimals exactly; everything else is
text, and so is every key. An alias is its anchor's node again; size and depth are bounded with aliases written out.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import yaml
from msgspec import Struct

from runner.config.problems import Place, Problem, Source, problem, shown
from runner.config.syntax import syntax_problem

SIZE_MAX = 1_000_000  # characters
NODES_MAX = 20_000  # twice what a file of five thousand lines needs
DEPTH_MAX = 24

_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}")
_WORDS = {"true": True, "false": False, "null": None, "": None}


class Scalar(Struct, frozen=True):
    """`value` is a str, int, Decimal, bool or None; `text` is what the file says."""

    at: Place
    text: str
    value: Any


class Items(Struct, frozen=True):
    at: Place
    items: tuple[Node, ...]


class Keys(Struct, frozen=True):
    """A mapping: from a key to where that key stands and what follows it."""

    at: Place
    entries: dict[str, tuple[Place, Node]]


Node = Scalar | Items | Keys


def decoded(text: bytes | str, file: str) -> tuple[str, list[Problem]]:
    """The text, and what keeps it from being read as YAML: encoding, size, characters that YAML has not."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            place = _end(Source.of(file, error.object[: error.start].decode("utf-8")))
            what = f"this is not UTF-8 (byte 0x{error.object[error.start]:02x})"
            return "", [problem(place, (), "yaml.encoding", what, "save the file as UTF-8")]
    text = text.removeprefix("\ufeff")
    source = Source.of(file, text[:SIZE_MAX])
    if len(text) > SIZE_MAX:
        what = f"the file has {len(text)} characters, more than {SIZE_MAX}"
        return text, [problem(source.place(0, 0), (), "yaml.size", what, "name a strategy file")]
    bad = _FORBIDDEN.search(text)
    if bad:
        place = _end(Source.of(file, text[: bad.start()]))
        at = Place(source, place.line, place.column)
        what = f"character U+{ord(bad[0]):04X} is not allowed in YAML"
        return text, [problem(at, (), "yaml.encoding", what, "remove it; a strategy file is plain text in UTF-8")]
    return text, []


def tree(text: str, source: Source) -> tuple[Node | None, list[Problem]]:
    """Read one document. The node is None where there is none, or where the text cannot be read to its end."""
    builder = _Builder(source)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if not builder.take(event):
                return None, builder.problems
    except yaml.YAMLError as error:
        return None, [*builder.problems, syntax_problem(error, source)]
    return builder.root, builder.problems


def builtin(node: Node) -> Any:
    """The node as plain Python, for a validator."""
    match node:
        case Scalar():
            return node.value
        case Items():
            return [builtin(item) for item in node.items]
        case Keys():
            return {key: builtin(child) for key, (_, child) in node.entries.items()}


def as_text(node: Node) -> Any:
    """As `builtin`, with decimals as text: it turns into JSON without loss."""
    match node:
        case Scalar():
            return format(node.value, "f") if isinstance(node.value, Decimal) else node.value
        case Items():
            return [as_text(item) for item in node.items]
        case Keys():
            return {key: as_text(child) for key, (_, child) in node.entries.items()}


def typed(text: str) -> Any:
    """The value of an unquoted scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return Decimal(text) if _DECIMAL.fullmatch(text) else text


# From events to nodes -------------------------------------------------------------------------------------


class _Open:
    """A list or mapping that is not closed yet. `height` is that of its highest child."""

    def __init__(self, at: Place, anchor: str | None, is_keys: bool, nodes_before: int) -> None:
        self.at = at
        self.anchor = anchor
        self.is_keys = is_keys
        self.nodes_before = nodes_before
        self.height = 0
        self.items: list[Node] = []
        self.entries: dict[str, tuple[Place, Node]] = {}
        self.key: Scalar | None = None  # waits for its value
        self.at_key = True  # the next node is a key


class _Anchored(Struct):
    node: Node
    nodes: int
    height: int


class _Builder:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.root: Node | None = None
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored] = {}
        self._nodes = 0
        self._documents = 0

    def take(self, event: Any) -> bool:
        """One event of the parser. False: there is no sense in going on."""
        place = self.source.place(event.start_mark.line, event.start_mark.column)
        if getattr(event, "tag", None) is not None:
            self._report(place, "yaml.tag", f"tag {shown(event.tag)} is not allowed", "remove the tag, `!` and all")
        match event:
            case yaml.DocumentStartEvent():
                return self._document(place)
            case yaml.ScalarEvent():
                return self._add(_Anchored(self._scalar(place, event), 1, 0), event.anchor)
            case yaml.AliasEvent():
                return self._alias(place, str(event.anchor))
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                return self._begin(place, event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                return self._end()
        return True

    def _document(self, place: Place) -> bool:
        self._documents += 1
        if self._documents == 1:
            return True
        fix = "keep one strategy per file and remove everything from this `---` on"
        self._report(place, "yaml.documents", "a second document begins here", fix)
        return False

    def _scalar(self, place: Place, event: Any) -> Scalar:
        text, plain = event.value, event.implicit[0]
        if plain and not text:
            self._report(place, "value.empty", "there is no value here", "give it a value, or remove the key")
        if not text.isprintable():
            self._report(place, "value.text", "a value is one line of plain text", "write it on one line")
        return Scalar(place, text, typed(text) if plain else text)

    def _begin(self, place: Place, event: Any) -> bool:
        if len(self._open) >= DEPTH_MAX:
            return self._give_up(
                place, f"nested more than {DEPTH_MAX} levels deep", "a strategy file needs no more than 5"
            )
        self._nodes += 1
        is_keys = isinstance(event, yaml.MappingStartEvent)
        self._open.append(_Open(place, event.anchor, is_keys, self._nodes - 1))
        return True

    def _end(self) -> bool:
        done = self._open.pop()
        node: Node = Keys(done.at, done.entries) if done.is_keys else Items(done.at, tuple(done.items))
        size = self._nodes - done.nodes_before
        self._nodes = done.nodes_before
        return self._add(_Anchored(node, size, done.height + 1), done.anchor)

    def _alias(self, place: Place, name: str) -> bool:
        anchored = self._anchors.get(name)
        if anchored is None:
            # also where the anchor is still open: a node cannot hold itself
            self._report(
                place,
                "yaml.alias",
                f"alias {shown('*' + name)} has no anchor above it",
                f"add `&{name}` or write it out",
            )
            anchored = _Anchored(Scalar(place, "", None), 1, 0)
        if len(self._open) + anchored.height > DEPTH_MAX:
            return self._give_up(
                place, f"nested more than {DEPTH_MAX} levels deep through aliases", "write it out, flatter"
            )
        return self._add(anchored, None)

    def _add(self, done: _Anchored, anchor: str | None) -> bool:
        """Put a finished node where it belongs."""
        self._nodes += done.nodes
        if self._nodes > NODES_MAX:
            return self._give_up(
                done.node.at, f"more than {NODES_MAX} values, aliases written out", "write less, or without aliases"
            )
        if anchor is not None:
            self._anchors[anchor] = done
        if not self._open:
            self.root = done.node
            return True
        parent = self._open[-1]
        parent.height = max(parent.height, done.height)
        if not parent.is_keys:
            parent.items.append(done.node)
        elif parent.at_key:
            parent.key, parent.at_key = self._key(done.node, parent), False
        else:
            if parent.key is not None:
                parent.entries[parent.key.text] = (parent.key.at, done.node)
            parent.at_key = True
        return True

    def _key(self, node: Node, parent: _Open) -> Scalar | None:
        """The node as a key; None, and a problem, if it cannot be one."""
        if not isinstance(node, Scalar):
            self._report(node.at, "yaml.key", "a key is plain text, not a list or mapping", "write `key: value`")
            return None
        if node.text == "<<":
            self._report(
                node.at,
                "yaml.key",
                "merge keys (`<<`) are not read",
                "write the keys out, or use an alias for a whole value",
            )
            return None
        if node.text in parent.entries:
            first = parent.entries[node.text][0]
            what = f"key {shown(node.text)} is here twice, first on line {first.line}"
            self._report(node.at, "key.duplicate", what, "remove one of them")
            return None
        return node

    def _report(self, at: Place, code: str, message: str, fix: str) -> None:
        path = [opened.key.text for opened in self._open if opened.key is not None and not opened.at_key]
        self.problems.append(problem(at, tuple(path), code, message, fix))

    def _give_up(self, at: Place, message: str, fix: str) -> bool:
        self._report(at, "yaml.size", message, fix)
        return False


def _end(source: Source) -> Place:
    return source.place(len(source.lines) - 1, len(source.lines[-1]))
