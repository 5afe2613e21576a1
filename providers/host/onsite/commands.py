"""What a holder may say to `container`: a strict list. Everything else is refused by name, before podman is asked.

Pure: words in, podman's words out.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .errors import Refused
from .spec import Spec

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}=.*", re.DOTALL)
SIZE = re.compile(r"(\d{1,15})(?:([kmgt])i?)?b?", re.IGNORECASE)
ALIASES = {"ls": "list", "ps": "list"}
USAGE = """container run [-dit] [--rm] [--name NAME] [-e NAME=VALUE] [-w FOLDER] [--cpus N] [-m SIZE] IMAGE [COMMAND …]
container list [--json]
container exec [-i] [-t] [-e NAME=VALUE] [-w FOLDER] NAME COMMAND…
container logs [-f] [--tail N] [-t] NAME
container stop [-t SECONDS] NAME… | --all
container rm [-f] NAME… | --all
container images
Your home is at /work in every container. 容器内 /work 即您的主目录。
"""

Check = Callable[[str, Spec], str]


@dataclass(frozen=True)
class Request:
    """One command of a holder, checked. `words` are podman's, without what confines every container."""

    verb: str
    words: tuple[str, ...]
    name: str | None = None
    detached: bool = False


def text(value: str, spec: Spec) -> str:
    return value


def name(value: str, spec: Spec) -> str:
    if not NAME.fullmatch(value):
        raise Refused(f"{value!r} is not a container's name")
    return value


def variable(value: str, spec: Spec) -> str:
    if not VARIABLE.fullmatch(value):
        raise Refused(f"{value!r} is not NAME=VALUE")
    return value


def folder(value: str, spec: Spec) -> str:
    if not value.startswith("/"):
        raise Refused(f"{value!r} is not an absolute path")
    return value


def number(value: str, spec: Spec) -> str:
    if not value.isascii() or not value.isdigit() or len(value) > 6:
        raise Refused(f"{value!r} is not a whole number")
    return value


def cpus(value: str, spec: Spec) -> str:
    most = spec.cpu_milli / 1000
    if not re.fullmatch(r"\d{1,5}(\.\d{1,3})?", value) or not 0 < float(value) <= most:
        raise Refused(f"--cpus {value}: more than 0, at most {most:g} (your offer's limit)")
    return value


def memory(value: str, spec: Spec) -> str:
    match = SIZE.fullmatch(value)
    size = int(match[1]) << 10 * " kmgt".index((match[2] or " ").lower()) if match else 0
    if not 4 << 20 <= size <= spec.memory:
        raise Refused(f"--memory {value}: at least 4m, at most {spec.memory // 2**20}m (your offer's limit)")
    return str(size)


FLAG = None
TERMINAL: dict[str, Check | None] = {"--interactive": FLAG, "--tty": FLAG, "--env": variable, "--workdir": folder}
OPTIONS: dict[str, dict[str, Check | None]] = {
    "run": {
        **TERMINAL,
        **{"--detach": FLAG, "--rm": FLAG, "--name": name, "--cpus": cpus, "--memory": memory, "--entrypoint": text},
    },
    "list": {"--json": FLAG, "--all": FLAG},
    "exec": TERMINAL,
    "logs": {"--follow": FLAG, "--tail": number, "--timestamps": FLAG},
    "stop": {"--time": number, "--all": FLAG},
    "rm": {"--force": FLAG, "--all": FLAG},
    "images": {},
}
SHORT = {
    "run": {"d": "--detach", "i": "--interactive", "t": "--tty", "e": "--env", "w": "--workdir", "m": "--memory"},
    "list": {"a": "--all"},
    "exec": {"i": "--interactive", "t": "--tty", "e": "--env", "w": "--workdir"},
    "logs": {"f": "--follow", "n": "--tail", "t": "--timestamps"},
    "stop": {"t": "--time", "a": "--all"},
    "rm": {"f": "--force", "a": "--all"},
    "images": {},
}


def parse(words: Sequence[str], spec: Spec) -> Request:
    """The request in `words` (without `container`). Refused, naming the word, when it asks for anything not listed."""
    verb = ALIASES.get(words[0], words[0]) if words else ""
    if verb not in OPTIONS:
        raise Refused(f"no such command: container {verb}".rstrip() + f"\n{USAGE}")
    try:
        given, rest = split(verb, words[1:], spec)
        return FORM[verb](verb, given, rest, spec)
    except Refused as error:
        raise Refused(f"container {verb}: {error}") from None


def split(verb: str, words: Sequence[str], spec: Spec) -> tuple[list[tuple[str, str | None]], list[str]]:
    """The options before the first plain word, checked, and what follows them."""
    given: list[tuple[str, str | None]] = []
    left = list(words)
    while left and left[0].startswith("-") and left[0] != "-":
        word = left.pop(0)
        if word == "--":
            break
        for option, value in spelled(verb, word):
            check = known(verb, option, word)
            if check is FLAG:
                if value is not None:
                    raise Refused(f"{option} takes no value")
                given.append((option, None))
                continue
            if value is None:
                if not left:
                    raise Refused(f"{option} needs a value")
                value = left.pop(0)
            given.append((option, check(value, spec)))
    return given, left


def known(verb: str, option: str, word: str) -> Check | None:
    """How this option's value is checked, FLAG when it has none; Refused when there is no such option here."""
    if option not in OPTIONS[verb]:
        raise Refused(f"{word} is not allowed here; allowed: {' '.join(OPTIONS[verb]) or 'no option'}")
    return OPTIONS[verb][option]


def spelled(verb: str, word: str) -> list[tuple[str, str | None]]:
    """The long options that one word stands for: `--name=x`, `-it`, `-m64m`."""
    if word.startswith("--"):
        option, equals, value = word.partition("=")
        return [(option, value if equals else None)]
    found: list[tuple[str, str | None]] = []
    for position, letter in enumerate(word[1:], 2):
        option = SHORT[verb].get(letter, f"-{letter}")
        if known(verb, option, word) is FLAG:
            found.append((option, None))
        else:
            return [*found, (option, word[position:].removeprefix("=") or None)]
    return found


Given = Sequence[tuple[str, str | None]]


def joined(given: Given) -> tuple[str, ...]:
    return tuple(option if value is None else f"{option}={value}" for option, value in given)


def run(verb: str, given: Given, rest: list[str], spec: Spec) -> Request:
    if not rest:
        raise Refused(f"which image? Yours are: {' '.join(spec.images) or 'none'}")
    if rest[0] not in spec.images:
        raise Refused(f"image {rest[0]!r} is not in your offer; yours are: {' '.join(spec.images) or 'none'}")
    asked = dict(given)
    words = joined([one for one in given if one[0] != "--name"])
    if size := asked.get("--memory"):
        words += (f"--memory-swap={size}",)
    return Request(verb, (*words, *rest), asked.get("--name"), "--detach" in asked)


def listing(verb: str, given: Given, rest: list[str], spec: Spec) -> Request:
    if rest:
        raise Refused(f"what is {rest[0]!r}?")
    return Request(verb, ("--format", "json") if ("--json", None) in given else ())


def execute(verb: str, given: Given, rest: list[str], spec: Spec) -> Request:
    if len(rest) < 2:
        raise Refused("say NAME COMMAND")
    return Request(verb, (*joined(given), name(rest[0], spec), *rest[1:]))


def named(verb: str, given: Given, rest: list[str], spec: Spec) -> Request:
    every = ("--all", None) in given
    if bool(rest) == every or (verb == "logs" and len(rest) != 1):
        raise Refused("say which container")
    # podman waits 10 s for a container that it removes by force; whoever forces does not want to.
    at_once = ("--time=0",) if ("--force", None) in given else ()
    return Request(verb, (*joined(given), *at_once, *(name(one, spec) for one in rest)))


FORM: dict[str, Callable[[str, Given, list[str], Spec], Request]] = {
    **{"run": run, "list": listing, "images": listing, "exec": execute},
    **{"logs": named, "stop": named, "rm": named},
}


def plain_words(line: str) -> list[str] | None:
    """The words of an SSH command, or None when only a shell can read it (pipes, variables, wildcards, …)."""
    import shlex

    bare = line if '"' in line else re.sub(r"'[^'\n]*'", "''", line)
    if re.search(r"[\n;|&<>()$`\\*?\[\]{}~#!]", bare):
        return None
    try:
        return shlex.split(line)
    except ValueError:
        return None
