"""Keys, types and enumerations: what jsonschema finds, told at its place in the file and in the file's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from runner.config.problems import Path, Place, Problem, nearest, one_of, problem, shown
from runner.config.schema import structure
from runner.config.tree import Items, Keys, Node, Scalar, builtin
from runner.model.parameters import Schema

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_SECRET_KEY = re.compile(r"secret|passw|passphrase|token|api_?key|access_?key|private_?key", re.IGNORECASE)

_IN_THE_ENVIRONMENT = (
    "remove it, revoke it at the venue if anybody else can read this file, and give the new one in the environment: "
    "ALTMARKETS_API_KEY and ALTMARKETS_SECRET_KEY"
)

_NOUNS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "array": "a list",
    "object": "a group of `key: value` lines",
}


class _Finding(Struct, frozen=True):
    """One error of jsonschema: which `keyword` of `schema` with which `limit` the `instance` at `path` breaks."""

    keyword: str
    limit: Any
    instance: Any
    schema: Any
    path: Path


def check_structure(schema: Schema, node: Node, at: Place, path: Path = ()) -> list[Problem]:
    """Problems of `node` under `schema`. `at` is where it is named (its key); `path` leads to it from the root."""
    from jsonschema import Draft202012Validator  # 120 ms, paid once a file has been read

    validator = Draft202012Validator(structure(schema))
    teller = _Teller(schema, node, at, path)
    findings: dict[tuple[str, Path], _Finding] = {}
    for number, found in enumerate(_leaves(validator.iter_errors(builtin(node)))):
        # jsonschema finds each missing key by itself, and the first finding tells all of them.
        where = found.path if found.keyword == "required" else (*found.path, number)
        findings.setdefault((found.keyword, where), found)
    return [item for found in findings.values() for item in teller.tell(found)]


def _leaves(errors: Iterable[ValidationError]) -> Iterator[_Finding]:
    """The errors themselves; of an `anyOf` those of the branch that was meant."""
    for error in errors:
        if error.validator == "anyOf":
            yield from _leaves(_meant(error))
        else:
            path = tuple(error.absolute_path)
            yield _Finding(str(error.validator), error.validator_value, error.instance, error.schema, path)


def _meant(error: ValidationError) -> Sequence[ValidationError]:
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.schema_path[0], []).append(inner)
    # A branch that fits in kind is what the reader meant; otherwise the first one, which is never `null`.
    fitting = [
        branch
        for branch in branches.values()
        if not any(inner.validator in ("type", "enum") and not inner.relative_path for inner in branch)
    ]
    return (fitting or list(branches.values()))[0]


class _Teller:
    def __init__(self, schema: Schema, root: Node, at: Place, path: Path) -> None:
        self._schema = schema
        self._root = root
        self._at = at
        self._path = path

    def tell(self, found: _Finding) -> Iterator[Problem]:
        key_at, node = self._find(found.path)
        path = self._path + found.path
        match found.keyword:
            case "additionalProperties":
                yield from self._unknown_keys(found, node, path)
            case "required":
                yield from self._missing_keys(found, node, key_at, path)
            case "enum":
                yield _not_among(found, node, path)
            case "type":
                yield _wrong_type(found, node, path)
            case "pattern":
                yield _misspelt(found, node, path)
            case _:
                what, fix = _out_of_bounds(found)
                yield problem(node.at, path, "value.range", what, fix)

    def _find(self, path: Path) -> tuple[Place, Node]:
        """Where a value is named, and the value."""
        at, node = self._at, self._root
        for part in path:
            if isinstance(node, Keys):
                at, node = node.entries[str(part)]
            elif isinstance(node, Items):
                node = node.items[int(part)]
                at = node.at
        return at, node

    def _missing_keys(self, found: _Finding, node: Node, at: Place, path: Path) -> Iterator[Problem]:
        """All keys that are missing in one group."""
        here = list(node.entries) if isinstance(node, Keys) else []
        known = found.schema.get("properties", {})
        misspelt = {nearest(name, found.limit) for name in here if name not in known}
        for name in found.limit:
            if name not in here and name not in misspelt:
                sentence = known.get(name, {}).get("description")
                fix = f"add `{name}: …`" + (f" ({sentence})" if sentence else "")
                yield problem(at, (*path, name), "key.missing", f"key `{name}` is missing", fix)

    def _unknown_keys(self, found: _Finding, node: Node, path: Path) -> Iterator[Problem]:
        assert isinstance(node, Keys)
        known = found.schema.get("properties", {})
        for name, (at, _) in node.entries.items():
            if name in known:
                continue
            if _SECRET_KEY.search(name):
                what = f"{shown(name)}: a secret never stands in a strategy file"
                yield problem(at, (*path, name), "key.secret", what, _IN_THE_ENVIRONMENT)
            else:
                # A key that stands in the same text cannot be meant; one from below an overlay can.
                free = [key for key in known if key not in node.entries or not _of_one_text(node.entries[key][0], at)]
                fix = self._elsewhere(name, path) or one_of(name, free or known)
                yield problem(at, (*path, name), "key.unknown", f"unknown key {shown(name)}", fix)

    def _elsewhere(self, name: str, path: Path) -> str | None:
        """For a key that exists, but in another section."""
        sections = self._schema.get("properties", {})
        if name in sections:
            return f"move it to the top of the file: {name} has no section around it"
        homes = [key for key, section in sections.items() if name in section.get("properties", {})]
        return f"move it into {homes[0]}" if homes and (homes[0],) != path else None


def _of_one_text(one: Place, other: Place) -> bool:
    return one.source is other.source  # to compare them would be to compare their lines


def _not_among(found: _Finding, node: Node, path: Path) -> Problem:
    known = [str(word) for word in found.limit]
    what = (
        f"{_instance(node)} is not one of {', '.join(known)}" if len(known) > 1 else f"{_instance(node)} is not known"
    )
    fix = one_of(str(found.instance), known) if isinstance(node, Scalar) else f"write one of {', '.join(known)}"
    if isinstance(found.instance, str) and "paper" in found.instance:
        # The nearest name would be the live venue: never the thing to suggest.
        fix = "for practice write type: altmarkets and venue: sandbox, a local exchange with play money"
    return problem(node.at, path, "value.unknown", what, fix)


def _wrong_type(found: _Finding, node: Node, path: Path) -> Problem:
    wanted = str(found.limit)
    what = f"{_instance(node)} is not {_NOUNS[wanted]}"
    return problem(node.at, path, "value.type", what, _retyped(wanted, node) or f"write {_NOUNS[wanted]}")


def _misspelt(found: _Finding, node: Node, path: Path) -> Problem:
    rule = found.schema.get("patternErrorMessage") or f"the pattern {found.limit}"
    dashed = re.sub(r"[\s_/.:]+", "-", found.instance.strip())
    likely = [text for text in (dashed, dashed.lower(), dashed.upper()) if re.search(found.limit, text)]
    fix = f"write {likely[0]}" if likely else _example(found.schema)
    return problem(node.at, path, "value.text", f"{shown(found.instance)} is not {rule}", fix)


def _retyped(wanted: str, node: Node) -> str | None:
    """How the same value would be written as the wanted type."""
    if not isinstance(node, Scalar):
        return None
    text = node.text
    if wanted == "string":
        return f'write "{text}", with the quotes'
    if wanted == "array":
        return f"write [{text}]"
    if wanted == "boolean":
        yes, no = text.lower() in {"yes", "on", "y", "true", "1"}, text.lower() in {"no", "off", "n", "false", "0"}
        return "write true" if yes else "write false" if no else None
    number = re.fullmatch(r"([+-]?)0*([0-9][0-9_]*)(\.[0-9]+)?", text) if wanted in {"integer", "number"} else None
    if number is None:
        return None
    whole = number[1].replace("+", "") + number[2].replace("_", "")
    if wanted == "integer" and (number[3] or "").strip(".0"):
        return f"write {whole} or another whole number"
    return f"write {whole}" + ((number[3] or "") if wanted == "number" else "")


def _out_of_bounds(found: _Finding) -> tuple[str, str]:
    value, limit = found.instance, found.limit
    match found.keyword:
        case "minimum":
            return f"{shown(value)} is below {limit}", f"write {limit} or more"
        case "maximum":
            return f"{shown(value)} is above {limit}", f"write {limit} or less"
        case "minItems" if limit == 1:
            return "the list is empty", _example(found.schema)
        case "minItems":
            return f"the list has {len(value)} items, fewer than {limit}", "add some"
        case "maxItems":
            return f"the list has {len(value)} items, more than {limit}", f"keep {limit}"
        case "minLength" | "maxLength":
            return f"{shown(value)} has {len(value)} characters", _sentence(found.schema)
    return f"{shown(value)} breaks the rule {found.keyword}: {limit}", _sentence(found.schema)


def _example(schema: Schema) -> str:
    examples = schema.get("examples")
    if not examples:
        return _sentence(schema)
    example = examples[0]
    return f"write it as in {'[' + ', '.join(example) + ']' if isinstance(example, list) else example}"


def _sentence(schema: Schema) -> str:
    return str(schema.get("description") or f"wanted is {schema.get('pattern', 'another value')}")


def _instance(node: Node) -> str:
    match node:
        case Scalar():
            return shown(node.text) if node.text or node.value is not None else "nothing"
        case Items():
            return "a list"
        case Keys():
            return "a group of keys"
