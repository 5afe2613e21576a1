"""The operators' page: how things stand, as pictures with tables beside them, in English or Chinese, no JavaScript."""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from orchestrator.entry.http.pages import Language, Pages
from orchestrator.entry.http.pictures import Column, Picture, columns
from orchestrator.flows.overview.alarms import Alarm
from orchestrator.flows.overview.model import Overview, Piece
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.contract import OPEN_END
from orchestrator.store.calendar import OfferPlaces

PAGES = Pages("operators", "operators/style.css", others={"Referrer-Policy": "same-origin"})
"""Browsers say where signing out comes from only when the referrer may be told."""
REFRESH = 15
"""Seconds between two looks of a browser that nobody touches."""
MOST_PICTURES = 24
PROMISED = timedelta(seconds=2)
"""Within which a site stops everything of an account."""
_ENDING = (State.ACTIVE, State.CONTRACTED, State.FENCED)


@dataclass(frozen=True, slots=True)
class Supply:
    """Places of one offer at one site, and their picture; None beyond the first few."""

    places: OfferPlaces
    booked: int
    """On the day that has most."""
    picture: Picture | None


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks; `form_key` lets a browser's session sign out."""

    actor: str
    role: str
    form_key: str | None


class Words:
    """How figures and instants are written in one language and one zone, at `now`."""

    def __init__(self, lang: Language, where: tzinfo, now: datetime) -> None:
        self.t, self._where, self._now = PAGES.texts[lang], where, now

    def clock(self, at: datetime, form: str = "%H:%M") -> str:
        """The zone's civil time."""
        return f"{at.astimezone(self._where):{form}}"

    def day(self, at: datetime) -> str:
        """The weekday's name."""
        return self.t["weekdays"].split()[at.astimezone(self._where).weekday()]

    def when(self, at: datetime | None) -> str:
        """Date, weekday and time; the year where it is not this one. `open` for the end of what has none."""
        if at is None:
            return "–"
        if at >= OPEN_END:
            return self.t["open"]
        date = "%m-%d" if self.clock(at, "%Y") == self.clock(self._now, "%Y") else "%Y-%m-%d"
        return f"{self.clock(at, date)} {self.day(at)} {self.clock(at)}"

    def left(self, ends_at: datetime) -> str:
        """How long until then."""
        return "–" if ends_at >= OPEN_END else self.span(ends_at - self._now)

    def span(self, length: timedelta | None) -> str:
        """A length in its largest unit and what is left in the next one; under a minute with three figures."""
        if length is None:
            return "–"
        seconds = max(0.0, length.total_seconds())
        day, hour, minute, second = (f" {unit}" for unit in self.t["units"].split())
        if seconds < 60:
            return f"{seconds:.3g}{second}"
        unit, worth, smaller, part = ((day, 86400, hour, 3600) if seconds >= 86400 else
                                      (hour, 3600, minute, 60) if seconds >= 3600 else (minute, 60, second, 1))
        left = int(seconds % worth // part)
        return f"{int(seconds // worth)}{unit}" + (f" {left}{smaller}" if left else "")

    def lag(self, length: timedelta | None) -> str:
        """A length that is short when all is well: thousandths of a second below one."""
        short = length is not None and length < timedelta(seconds=1)
        return f"{length.total_seconds() * 1000:.0f} ms" if short and length is not None else self.span(length)

    def weekend(self, at: datetime) -> bool:
        """Saturday or Sunday."""
        return at.astimezone(self._where).weekday() >= 5

    def work(self, alarm: Alarm) -> str:
        """What fails or waits; a word of a later version as it is."""
        return self.t["comma"].join(self.t.get(f"work_{one}", one) for one in alarm.work)

    def sentence(self, alarm: Alarm) -> str:
        """What an alarm says first."""
        return self.t[f"alarm_{alarm.kind}"].format(count=alarm.count, site=alarm.site, work=self.work(alarm),
                                                    sender=alarm.sender)


def render(it: Overview, lang: Language, where: tzinfo, by: Visitor, *, paused: bool) -> str:
    """The page."""
    words = Words(lang, where, it.at)
    return PAGES.render(
        "page.html.j2", lang, it=it, w=words, by=by, refresh=None if paused else REFRESH, zone=str(where),
        paused=paused, states=_ENDING,
        hours=columns([_ending(one, words, words.clock(one.at, "%H"), False) for one in it.hours], every=3),
        days=columns([_ending(one, words, f"{words.day(one.at)}\n{words.clock(one.at, '%d')}", words.weekend(one.at))
                      for one in it.days]),
        supplies=_supplies(it, words), fences=_fences(it, words), late=_seldom(it))


def _ending(one: Piece, words: Words, label: str, strong: bool) -> Column:
    of_state = words.t["comma"].join(f"{words.t[f'state_{state}']} {one.by_state[state]}"
                                     for state in _ENDING if one.by_state.get(state))
    says = f"{words.when(one.at)} – {words.when(one.until)}: {one.count}" + (f" ({of_state})" if of_state else "")
    return Column(label, [(state.value.lower(), one.by_state.get(state, 0)) for state in _ENDING], says, strong)


def _supplies(it: Overview, words: Words) -> list[Supply]:
    every = [places for site in it.sites for places in site.places]
    return [Supply(places, max(day.booked for day in places.days),
                   _place_picture(places, words) if nth < MOST_PICTURES else None) for nth, places in enumerate(every)]


def _place_picture(places: OfferPlaces, words: Words) -> Picture:
    stacks = []
    for nth, day in enumerate(places.days):
        says = words.t["places_says"].format(at=words.when(day.at), taken=day.taken, booked=day.booked,
                                             count=day.places, free=day.free)
        stacks.append(Column(
            words.t["today"] if nth == 0 else f"{day.day:%d}", [("taken", day.taken), ("booked", day.booked)], says,
            words.weekend(day.at), day.places, min(day.places, places.today.coming - day.coming)))
    return columns(stacks, 340, 130, every=2, figures=False)


def _fences(it: Overview, words: Words) -> Picture:
    stacks = []
    for bucket in it.fences.buckets:
        label = words.t["longer"] if bucket.upto is None else "≤ " + words.span(bucket.upto)
        kind = "prompt" if bucket.upto is not None and bucket.upto <= PROMISED else "slow"
        stacks.append(Column(label, [(kind, bucket.count)], f"{label}: {bucket.count}"))
    return columns(stacks, height=170)


def _seldom(it: Overview) -> int:
    """Fences that took longer than what a site promises."""
    return sum(one.count for one in it.fences.buckets if one.upto is None or one.upto > PROMISED)
