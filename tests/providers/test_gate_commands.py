"""What a holder may say to `container`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.host.onsite import commands
from providers.host.onsite.errors import Refused
from providers.host.onsite.spec import Spec

IMAGE = "localhost/busybox:1"
SPEC = Spec("aaaaaaaaaa", 2, 1500, 256 << 20, 100, 48 << 20, 10**6, 10**6, (IMAGE,), ())

FORBIDDEN: tuple[list[str], ...] = (
    ["run", "--privileged", IMAGE],
    ["run", "-v", "/:/host", IMAGE],
    ["run", "--volume=/:/host", IMAGE],
    ["run", "--mount", "type=bind,src=/,dst=/host", IMAGE],
    ["run", "--pid", "host", IMAGE],
    ["run", "--network=host", IMAGE],
    ["run", "--ipc=host", IMAGE],
    ["run", "--userns=host", IMAGE],
    ["run", "--user", "0", IMAGE],
    ["run", "-u0", IMAGE],
    ["run", "--cap-add", "all", IMAGE],
    ["run", "--security-opt", "seccomp=unconfined", IMAGE],
    ["run", "--device", "/dev/loop0", IMAGE],
    ["run", "--env-file", "/etc/shadow", IMAGE],
    ["run", "--cgroup-parent", "/", IMAGE],
    ["run", "--log-opt", "path=/etc/x", IMAGE],
    ["run", "--label", "tenure.account=abbbbbbbbb", IMAGE],
    ["run", "--restart", "always", IMAGE],
    ["run", "--name", "../../x", IMAGE],
    ["run", "--name", "--privileged", IMAGE],
    ["run", "--env", "SECRET", IMAGE],
    ["run", "--env=*", IMAGE],
    ["run", "--workdir", "work", IMAGE],
    ["run", "--rm=false", IMAGE],
    ["run", "--cpus", "2", IMAGE],
    ["run", "--cpus", "0", IMAGE],
    ["run", "--cpus", "nan", IMAGE],
    ["run", "--memory", "1g", IMAGE],
    ["run", "--memory", "-1", IMAGE],
    ["run", "--root", "/", IMAGE],
    ["run", "-dv/:/host", IMAGE],
    ["run"],
    ["run", "--name"],
    ["run", "docker.io/library/debian"],
    ["run", "--", "--privileged"],
    ["exec", "--privileged", "one", "sh"],
    ["exec", "-u", "0", "one", "sh"],
    ["exec", "one"],
    ["exec", "--latest", "sh"],
    ["logs", "one", "two"],
    ["logs", "--tail", "-1", "one"],
    ["stop"],
    ["stop", "--all", "one"],
    ["rm", "--volumes", "one"],
    ["rm", "a/b"],
    ["list", "--filter", "x"],
    ["build", "."],
    ["cp", "one:/etc", "."],
    ["commit", "one"],
    ["system", "reset"],
    ["--root", "/", "run", IMAGE],
    [],
)


@pytest.mark.parametrize("words", FORBIDDEN, ids=" ".join)
def test_what_is_not_listed_is_refused(words: list[str]) -> None:
    """Every option and command that is not on the list is refused before podman hears of it."""
    with pytest.raises(Refused):
        commands.parse(words, SPEC)


def test_a_refused_image_names_those_that_may_run() -> None:
    """Whoever asks for another image reads which ones the offer has."""
    with pytest.raises(Refused, match=IMAGE):
        commands.parse(["run", "debian"], SPEC)


def test_a_refused_option_is_named() -> None:
    """Whoever asks for privilege reads which word was refused."""
    with pytest.raises(Refused, match="--privileged is not allowed here"):
        commands.parse(["run", "--privileged", IMAGE], SPEC)


def test_short_and_long_spellings_mean_the_same() -> None:
    """`-dit -m64m` is the long form."""
    short = commands.parse(["run", "-dit", "-m64m", "-e", "A=b c", IMAGE, "sh", "-c", "x"], SPEC)
    long = commands.parse(
        ["run", "--detach", "--interactive", "--tty", "--memory=64m", "--env=A=b c", IMAGE, "sh", "-c", "x"], SPEC
    )
    assert short == long


def test_words_after_the_image_are_the_containers_own() -> None:
    """An option of the command in the container is not an option of podman's."""
    request = commands.parse(["run", "--rm", IMAGE, "sh", "--privileged"], SPEC)
    assert request.words == ("--rm", IMAGE, "sh", "--privileged")


def test_less_memory_than_the_offers_may_be_asked_for() -> None:
    """A container may be given a part of the account's memory, and no swap beside it."""
    request = commands.parse(["run", "--memory", "64m", IMAGE], SPEC)
    assert request.words == ("--memory=67108864", "--memory-swap=67108864", IMAGE)


OPTIONS_OF_RUN = tuple(commands.OPTIONS["run"])


@given(st.lists(st.sampled_from([IMAGE, "run", "exec", "--", "-", "-d", "--name", "-it", "x"]) | st.text(max_size=12)))
def test_podmans_options_come_from_the_list_alone(words: list[str]) -> None:
    """Whatever a holder says, what stands before the image is an option that we know."""
    try:
        request = commands.parse(["run", *words], SPEC)
    except Refused:
        return
    options = request.words[: request.words.index(IMAGE)]
    assert all(word.partition("=")[0] in (*OPTIONS_OF_RUN, "--memory-swap") for word in options)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("container run x", ["container", "run", "x"]),
        ("run x sh -c 'echo $HOME; ls'", ["run", "x", "sh", "-c", "echo $HOME; ls"]),
        ('run x sh -c "echo hi"', ["run", "x", "sh", "-c", "echo hi"]),
        ("container list; reboot", None),
        ("container list | head", None),
        ("container run $(id)", None),
        ('run "a\'b" ; ls "c\'d"', None),
        ("run 'x", None),
        ("run x\nid", None),
    ],
)
def test_only_plain_words_go_past_the_shell(line: str, words: list[str] | None) -> None:
    """A command that needs a shell to be read is given to the confined one."""
    assert commands.plain_words(line) == words
