"""YAML mappings read field by field: each problem keeps its file, line and field, and all are told at once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from orchestrator.lifecycle.errors import RuleError

T = TypeVar("T")
D = TypeVar("D")

MAX_BYTES = 1 << 20
MAX_DEPTH = 8
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a document. `line` counts from 1."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return f"{self.file}:{self.line}: {where}{self.message}"


class BadDocument(RuleError):
    """The documents cannot be applied; `problems` says why, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line)))
        super().__init__("bad_document", "\n".join(str(problem) for problem in self.problems))


class Source:
    """One file while it is read: collects problems."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def wrong(self, node: Node, field: str, message: str) -> None:
        """Remember a problem at the node's line."""
        self.problems.append(Problem(self.file, node.start_mark.line + 1, field, message))


def documents(text: str, file: str) -> list[Node]:
    """The root of each YAML document in the text. Raises BadDocument for what is not YAML."""
    if len(text.encode()) > MAX_BYTES:
        raise BadDocument([Problem(file, 1, "", f"larger than {MAX_BYTES} bytes")])
    try:
        return [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadDocument([Problem(file, mark.line + 1 if mark else 1, "",
                                   f"not YAML: {error.problem or error.context}")]) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise BadDocument([Problem(file, 1, "", f"not YAML: {' '.join(str(error).split())}")]) from error


class Several(RuleError):
    """What is wrong with members of one value, each where it stands."""

    def __init__(self, parts: Sequence[tuple[Node, str]]) -> None:
        super().__init__("bad_field", "; ".join(message for _, message in parts))
        self.parts = parts


def _each(read: Callable[[Node], T], node: Node, problems: list[tuple[Node, str]], name: str = "") -> list[T]:
    """The member's value; nothing, and its problems remembered, when it is wrong."""
    before = f"{name}: " if name else ""
    try:
        return [read(node)]
    except Several as error:
        problems += [(part, before + message) for part, message in error.parts]
    except RuleError as error:
        problems.append((node, f"{before}{error}"))
    return []


class Fields:
    """A mapping's fields, each taken once; `close` complains about those that nobody took."""

    def __init__(self, source: Source, node: Node, path: str) -> None:
        self.source = source
        self.node = node
        self.path = path
        self._fields: dict[str, Node] = {}
        self._known: set[str] = set()
        self.sound = isinstance(node, MappingNode)
        if not isinstance(node, MappingNode):
            source.wrong(node, path, f"expected fields (name: value), found {describe(node)}")
            return
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.wrong(key, "", "a field's name is plain text")
            elif key.value in self._fields:
                self.wrong(key, key.value, "given twice")
            else:
                self._fields[key.value] = value

    def wrong(self, node: Node, name: str, message: str) -> None:
        """Remember a problem with one field."""
        self.sound = False
        self.source.wrong(node, self.at(name), message)

    def at(self, name: str) -> str:
        """The field's full path, as messages show it: `offers[0].network.rate`."""
        return ".".join(part for part in (self.path, name) if part)

    def has(self, name: str) -> bool:
        return name in self._fields

    def node_of(self, name: str) -> Node | None:
        """The field as it was parsed, or None; it is known from here on."""
        self._known.add(name)
        return self._fields.get(name)

    def line(self, name: str) -> Node:
        """Where a problem with the field is to be shown."""
        return self._fields.get(name, self.node)

    def need(self, name: str, read: Callable[[Node], T]) -> T:
        """The field's value. Missing or wrong: a problem is remembered, and the answer is not to be used; `sound`
        tells."""
        if name in self._fields:
            return self._read(name, read, cast(T, None))
        self._known.add(name)
        if isinstance(self.node, MappingNode):
            self.wrong(self.node, name, "is missing")
        return cast(T, None)

    def take(self, name: str, read: Callable[[Node], T], default: D) -> T | D:
        """The field's value; the default where it is not given, or wrong."""
        self._known.add(name)
        return self._read(name, read, default) if name in self._fields else default

    def inner(self, name: str) -> "Fields | None":
        """A mapping inside this one, or None."""
        self._known.add(name)
        if name not in self._fields:
            return None
        return Fields(self.source, self._fields[name], self.at(name))

    def close(self, *inner: "Fields | None") -> bool:
        """Whether every field was known and right, in this mapping and the inner ones given."""
        for name in self._fields.keys() - self._known:
            known = ", ".join(sorted(self._known))
            self.wrong(self._fields[name], name, f"is not a field that is known here ({known})")
        self.sound = all([self.sound, *(fields.close() for fields in inner if fields is not None)])
        return self.sound

    def _read(self, name: str, read: Callable[[Node], T], otherwise: D) -> T | D:
        self._known.add(name)
        node = self._fields[name]
        try:
            return read(node)
        except Several as error:
            for part, message in error.parts:
                self.wrong(part, name, message)
        except RuleError as error:
            self.wrong(node, name, str(error))
        return otherwise


def items(source: Source, node: Node | None, path: str) -> Iterator[tuple[Node, str]]:
    """A list's members with their paths; a problem when it is no list."""
    if node is None:
        return
    if not isinstance(node, SequenceNode):
        source.wrong(node, path, f"expected a list (- …), found {describe(node)}")
        return
    for index, item in enumerate(node.value):
        yield item, f"{path}[{index}]"


def describe(node: Node) -> str:
    """What a node is, for messages."""
    if isinstance(node, MappingNode):
        return "fields"
    if isinstance(node, SequenceNode):
        return "a list"
    return f"{node.value!r}" if node.value else "nothing"


def text(node: Node) -> str:
    """Plain text. A number or a date that should be text wants quotes."""
    if not isinstance(node, ScalarNode) or not node.value:
        raise RuleError("bad_field", f"expected text, found {describe(node)}")
    if node.tag != _TAG + "str":
        raise RuleError("bad_field", f"expected text, found {node.value}: put it in quotes")
    return str(node.value)


def raw(node: Node) -> str:
    """What was written, whatever YAML takes it for (dates)."""
    if not isinstance(node, ScalarNode) or not node.value:
        raise RuleError("bad_field", f"expected a value, found {describe(node)}")
    return str(node.value)


def whole(low: int, high: int) -> Callable[[Node], int]:
    """A whole number within the bounds."""
    def read(node: Node) -> int:
        if not isinstance(node, ScalarNode) or node.tag != _TAG + "int" or not _decimal(node.value):
            raise RuleError("bad_field", f"expected a whole number, found {describe(node)}")
        value = int(node.value)
        if not low <= value <= high:
            raise RuleError("bad_field", f"{value} is not within {low} and {high}")
        return value
    return read


def _decimal(value: str) -> bool:
    return len(value) <= 18 and value.removeprefix("-").isascii() and value.removeprefix("-").isdigit()


def truth(node: Node) -> bool:
    """true or false."""
    value = _scalar(node)
    if not isinstance(value, bool):
        raise RuleError("bad_field", f"{raw(node)!r} is neither true nor false")
    return value


def many(read: Callable[[Node], T]) -> Callable[[Node], tuple[T, ...]]:
    """A list of values, none twice."""
    def read_all(node: Node) -> tuple[T, ...]:
        if not isinstance(node, SequenceNode):
            raise RuleError("bad_field", f"expected a list ([…] or - …), found {describe(node)}")
        problems: list[tuple[Node, str]] = []
        values = tuple(value for item in node.value for value in _each(read, item, problems))
        if problems:
            raise Several(problems)
        if len(set(values)) != len(values):
            raise RuleError("bad_field", "names the same thing twice")
        return values
    return read_all


def table(read: Callable[[Node], T]) -> Callable[[Node], dict[str, T]]:
    """A mapping of text to values."""
    def read_all(node: Node) -> dict[str, T]:
        if not isinstance(node, MappingNode):
            raise RuleError("bad_field", f"expected fields (name: value), found {describe(node)}")
        values: dict[str, T] = {}
        problems: list[tuple[Node, str]] = []
        for key, value in node.value:
            name = raw(key)
            if name in values:
                problems.append((key, f"{name} is given twice"))
            for read_value in _each(read, value, problems, name):
                values[name] = read_value
        if problems:
            raise Several(problems)
        return values
    return read_all


def free(node: Node, depth: int = 0) -> Any:
    """Whatever JSON can hold: settings that only the site's kind understands."""
    if depth > MAX_DEPTH:
        raise RuleError("bad_field", f"nested deeper than {MAX_DEPTH}")
    if isinstance(node, MappingNode):
        return {raw(key): free(value, depth + 1) for key, value in node.value}
    if isinstance(node, SequenceNode):
        return [free(item, depth + 1) for item in node.value]
    return _scalar(node)


def _scalar(node: Node) -> Any:
    match node.tag.removeprefix(_TAG):
        case "str":
            return node.value
        case "int" if _decimal(node.value):
            return int(node.value)
        case "bool":
            return node.value.lower() in ("true", "yes", "on")
        case "null":
            return None
        case "float" if node.value.replace(".", "", 1).isdigit():
            return float(node.value)
        case _:
            raise RuleError("bad_field", f"{node.value}: put it in quotes")
