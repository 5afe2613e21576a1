"""Where the marks of the operators' pictures stand: columns, steps and lines in a view box. Templates draw them.

Widths fit a phone: letters are still read when 460 units become 340 pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEFT, RIGHT, TOP = 38.0, 8.0, 18.0
ROW = 13.0
"""Height of a row of letters."""


@dataclass(frozen=True, slots=True)
class Box:
    """One rectangle. `kind` is its look, which a legend names; `says` is what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    says: str


@dataclass(frozen=True, slots=True)
class Word:
    """A figure above a column, a time below it, a number at a line."""

    x: float
    y: float
    text: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """What is stacked in one column, from below: (kind, how many)."""

    label: str
    parts: Sequence[tuple[str, int]]
    says: str
    strong: bool = False
    top: int | None = None
    """A line across the column at this height: how many places there are."""
    coming: int = 0
    """So many of those up to `top` are not there yet."""

    @property
    def count(self) -> int:
        return sum(count for _, count in self.parts)


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything to draw, in a box of this size."""

    width: float
    height: float
    boxes: Sequence[Box]
    figures: Sequence[Word]
    times: Sequence[Word]
    lines: Sequence[Word]
    """Horizontal ones: their height and what they stand for."""
    steps: str
    """The path of the columns' tops, empty where there are none."""
    ground: float
    """Where columns stand."""
    left: float = LEFT

    @property
    def right(self) -> float:
        return self.width - RIGHT


def columns(stacks: Sequence[Column], width: float = 460, height: float = 190, *, every: int = 1,
            figures: bool = True) -> Picture:
    """Columns side by side, each with its figure above and, every so many, its label below."""
    most = nice(max((max(stack.count, stack.top or 0) for stack in stacks), default=0))
    rows = max((stack.label.count("\n") + 1 for stack in stacks), default=1)
    ground, pitch = height - 6 - ROW * rows, (width - LEFT - RIGHT) / max(1, len(stacks))
    unit = (ground - TOP) / most
    boxes: list[Box] = []
    above, below = [], []
    for nth, stack in enumerate(stacks):
        left, middle = LEFT + nth * pitch, round(LEFT + (nth + 0.5) * pitch, 2)
        piled = _pile(stack, left, pitch, ground, unit)
        boxes += piled
        if figures and stack.count:
            above.append(Word(middle, round(min(box.y for box in piled) - 4, 2), str(stack.count), stack.strong))
        if nth % every == 0:
            below += [Word(middle, ground + ROW * (row + 1), text, stack.strong)
                      for row, text in enumerate(stack.label.split("\n"))]
    marks = [Word(0, round(ground - value * unit, 2), str(value)) for value in (most // 2, most)]
    return Picture(width, height, boxes, above, below, marks, _steps(stacks, ground, pitch, unit), ground)


def _pile(stack: Column, left: float, pitch: float, ground: float, unit: float) -> list[Box]:
    boxes, y = [], ground
    if stack.coming and stack.top is not None:
        high = stack.top * unit
        boxes.append(Box(round(left, 2), round(ground - high, 2), round(pitch, 2), round(stack.coming * unit, 2),
                         "coming", stack.says))
    for kind, count in stack.parts:
        if count:
            tall = max(1.5, count * unit)
            y -= tall
            boxes.append(Box(round(left + pitch * 0.12, 2), round(y, 2), round(pitch * 0.76, 2), round(tall, 2), kind,
                             stack.says))
    return boxes


def _steps(stacks: Sequence[Column], ground: float, pitch: float, unit: float) -> str:
    """The tops as one line with steps, as an SVG path."""
    if all(stack.top is None for stack in stacks):
        return ""
    moves = []
    for nth, stack in enumerate(stacks):
        x, y = LEFT + nth * pitch, round(ground - (stack.top or 0) * unit, 2)
        moves.append(f"{'L' if nth else 'M'}{round(x, 2)} {y} H{round(x + pitch, 2)}")
    return " ".join(moves)


def nice(most: int) -> int:
    """The end of an axis: an even 2, 4, 10, 20, 30, 40, … at or above what it has to hold."""
    if most <= 2:
        return 2
    worth: int = 10 ** math.floor(math.log10(most))
    return next(step * worth for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * worth >= most and step * worth % 2 == 0)
