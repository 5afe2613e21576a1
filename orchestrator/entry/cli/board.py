"""What `tenure top` draws. Colour only repeats what words say; what needs a person comes first."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.entry.cli import output
from orchestrator.flows.overview.alarms import Alarm
from orchestrator.flows.overview.model import Level, Overview, Piece, SiteView
from orchestrator.lifecycle import times
from orchestrator.lifecycle.contract import OPEN_END
from orchestrator.store.calendar import OfferPlaces

WIDE = 100
MOST_ALARMS, MOST_SITES, MOST_ENDS = 8, 20, 5
BARS = " ▁▂▃▄▅▆▇█"
_TITLES = {Level.CALM: ("all is well", "bold green"), Level.WORKING: ("Tenure is working on it", "bold yellow"),
           Level.HELD: ("all is well, and held", "bold yellow"),
           Level.NEEDS_YOU: ("NEEDS YOU", "bold white on red")}
_ALARMS = {
    "unfenced": "PAST END, not known to be fenced: {count} at {site}",
    "silent": "no answer from {site} ({count} live accounts)",
    "reaper": "{site} ends no account by itself, its reaper stands still ({count} live accounts)",
    "clock": "{site}: its clock is off, so it gets no account",
    "stuck": "stuck {work}: {count} at {site}",
    "waiting": "nobody takes up {work}: {count}", "idle": "no worker looks at the {count} sites",
    "callback": "{count} callbacks do not get through to {sender}",
    "mail": "{count} mails do not get through to holders of {sender}",
    "kept_all": "{count} past grace, kept by the hold of everything",
    "kept_site": "{count} past grace, kept by the hold of {site}",
    "kept_own": "{count} past grace, each kept by a hold of its own"}
_ACTS = {"operator": "you act next", "tenure": "Tenure tries again", "hold": "until you let go"}


def board(it: Overview, width: int, *, ascii_only: bool = False) -> Group:
    """Everything, for a terminal of this width."""
    parts: list[RenderableType] = [_head(it), *_alarms(it, width)]
    parts += [_title(f"Ends in the next 24 hours: {sum(one.count for one in it.hours)}"),
              _columns(it.hours, width, ascii_only, 4, lambda at: f"{at:%H}"),
              _title(f"Ends by day: {sum(one.count for one in it.days)} in two weeks"),
              _columns(it.days, width, ascii_only, 6, lambda at: f"{at:%a%d}")]
    parts += [_title(f"Sites: {len(it.sites)}"), _sites(it.sites, it.at, width, ascii_only)]
    if len(it.sites) > MOST_SITES:
        parts.append(Text(f"  and {len(it.sites) - MOST_SITES} more: tenure site list", "dim"))
    if it.coming:
        parts += [_title("Not online yet"), *(
            Text(f"  {plain(one.site)} {plain(one.offer)}: {one.count} more from {output.shown(one.at)}")
            for one in it.coming[:MOST_ENDS])]
    return Group(*parts, *_foot(it))


def plain(text: str) -> str:
    """On one line, and nothing in it that a terminal would obey."""
    return "".join(letter if letter.isprintable() else "·" for letter in text)


def ago(since: datetime | None, now: datetime) -> str:
    """For how long."""
    return "-" if since is None else times.show_span(max(timedelta(), now - since))


def _title(text: str) -> Text:
    return Text(f"\n{text}", "bold")


def _head(it: Overview) -> Text:
    word, style = _TITLES[it.level]
    head = Text.assemble(("Tenure ", "bold"), (output.shown(it.at), "dim"), "  ", (f" {word} ", style), "  ")
    head.append(", ".join(f"{count} {state.value}" for state, count in it.live.items() if count) or "no accounts")
    return head


def _alarms(it: Overview, width: int) -> list[RenderableType]:
    """Two lines each: what it is and since when; what was said and what to type."""
    parts: list[RenderableType] = []
    for nth, one in enumerate(it.alarms[:MOST_ALARMS]):
        style = "bold red" if one.who == "operator" else "yellow"
        parts.append(Text(("" if nth else "\n") + _sentence(one, it.at), style))
        if one.error:
            parts.append(Text(f"    {plain(one.error)}", no_wrap=width >= WIDE, overflow="ellipsis"))
        if one.remedy:
            parts.append(Text(f"    do: {plain(one.remedy)}"))
        parts.append(Text.assemble("    $ ", (one.command, "bold")))
    if len(it.alarms) > MOST_ALARMS:
        parts.append(Text(f"  and {len(it.alarms) - MOST_ALARMS} more: tenure account list --stuck", "dim"))
    return parts


def _sentence(one: Alarm, now: datetime) -> str:
    mark = {"operator": "!!", "tenure": " ~", "hold": " ="}[one.who]
    what = _ALARMS[one.kind].format(count=one.count, site=plain(one.site), sender=plain(one.sender),
                                    work=plain(", ".join(one.work)))
    since = f" for {ago(one.since, now)}" if one.since is not None else ""
    tries = f", {one.attempts} times" if one.attempts else ""
    named = ", ".join(one.accounts) + (", …" if len(one.accounts) < one.count and one.accounts else "")
    return f"{mark} {what}{since}{tries}; {_ACTS[one.who]}" + (f"  [{named}]" if named else "")


def _columns(pieces: Sequence[Piece], width: int, ascii_only: bool, wanted: int,
             label: Callable[[datetime], str]) -> Text:
    """Figures, bars and times, one column each; without figures where the terminal is narrow."""
    room = min(wanted, max(2, (width - 2) // len(pieces)))
    most = max((one.count for one in pieces), default=0) or 1
    figures = "".join((str(one.count) if one.count else "·").rjust(room) for one in pieces)
    bars = "".join(_bar(one.count, most, ascii_only).rjust(room) for one in pieces)
    every = -(-(len(label(pieces[0].at)) + 1) // room)
    labels = "".join(label(one.at.astimezone(output.zone())).rjust(room * every)
                     for one in pieces[every - 1::every])
    fits = all(len(str(one.count)) < room for one in pieces)
    lines = [figures, bars, labels] if fits else [bars, labels, f"  at most {most}"]
    return Text("\n".join(f"  {line}" for line in lines), no_wrap=True, overflow="crop")


def _bar(count: int, most: int, ascii_only: bool) -> str:
    if ascii_only:
        return "#" if count else "."
    return BARS[-(-count * (len(BARS) - 1) // most)]


def _sites(sites: Sequence[SiteView], now: datetime, width: int, ascii_only: bool) -> Table:
    table = Table(box=None, pad_edge=True, header_style="dim")
    heads = ["site", "state", "answered", "live", "ends 24h", "stuck", "past end", "places taken"]
    for head in heads if width >= WIDE else [heads[0], heads[1], heads[3], heads[7]]:
        table.add_column(head, justify="right" if head in heads[2:7] else "left", overflow="fold")
    for one in sites[:MOST_SITES]:
        row = [Text(plain(one.name)), _state(one), *([_answered(one, now)] if width >= WIDE else []),
               Text(str(sum(one.live.values())))]
        if width >= WIDE:
            row += [Text(str(one.ending)), _figure(one.stuck), _figure(one.unfenced)]
        row.append(Text("\n").join(_places(offer, ascii_only) for offer in one.places) if one.places else Text("-"))
        table.add_row(*row)
    return table


def _figure(count: int) -> Text:
    return Text(str(count), "bold red" if count else "")


def _answered(one: SiteView, now: datetime) -> Text:
    """How long ago it last did."""
    if one.look is None:
        return Text("never asked", "dim")
    if one.look.answered_at is None:
        return Text("never", "bold red")
    return Text(f"{ago(one.look.answered_at, now)} ago", "bold red" if one.look.silent_since else "")


def _state(one: SiteView) -> Text:
    silent = one.look is not None and one.look.silent_since is not None
    reaper_off = one.look is not None and one.look.reaper_off
    words = [word for word, so in (("silent", silent), ("reaper off", reaper_off), ("drained", one.drained),
                                   ("held", one.held), ("stuck", one.stuck > 0), ("past end", one.unfenced > 0)) if so]
    return Text(", ".join(words) or "ok", "yellow" if words else "green")


def _places(one: OfferPlaces, ascii_only: bool) -> Text:
    today, full = one.today, 10
    filled = min(full, -(-today.held * full // today.places)) if today.places else 0
    bar = ("#" if ascii_only else "█") * filled + ("." if ascii_only else "░") * (full - filled)
    booked = max(day.booked for day in one.days)
    more = (f", {one.overdue} overdue" if one.overdue else "") + (f", up to {booked} booked ahead" if booked else "")
    return Text(f"{bar} {plain(one.offer)} {today.held}/{today.places}{more}")


def _foot(it: Overview) -> list[RenderableType]:
    fences = it.fences
    said = (f"{'the latest ' if fences.capped else ''}{fences.count} in 7 days, "
            f"half within {_seconds(fences.p50)}, 99 % within {_seconds(fences.p99)}"
            if fences.count else "none in 7 days")
    worst = f"; slowest {fences.worst[0].account} at {plain(fences.worst[0].site)}: {_seconds(fences.worst[0].lag)}" \
        if fences.worst else ""
    owed = ", ".join(f"{one.count} {what.value} for {ago(one.since, it.at)}"
                     for what, one in it.waiting.items() if one.count) or "nothing"
    unsent = f"{it.unsent} for {ago(it.senders[0].since, it.at)}" if it.senders else "none"
    soon = ", ".join(f"{one.id} {_until(one.ends_at, it.at)}"
                     for one in it.next_ends[:MOST_ENDS] if one.ends_at is not None) or "none"
    rows = [("Fences", said + worst), ("Due and not taken up", owed), ("Callbacks and mail unsent", unsent),
            ("Next ends", soon)]
    return [_title("Beside"), *(Text.assemble((f"  {name}: ", "dim"), text) for name, text in rows)]


def _until(ends_at: datetime, now: datetime) -> str:
    return "open" if ends_at >= OPEN_END else f"in {times.show_span(ends_at - now)}"


def _seconds(lag: timedelta | None) -> str:
    if lag is None:
        return "-"
    seconds = round(lag.total_seconds(), 3)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.3g} s" if seconds < 100 else times.show_span(lag)
