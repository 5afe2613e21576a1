"""`tenure account notify`: a word from the operator to holders, in Chinese and English."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.entry.cli import acting, output
from orchestrator.entry.cli.acting import How
from orchestrator.entry.cli.chosen import AtSite, Choice, EndingBefore, Ids, InState, Most, OfSender
from orchestrator.entry.cli.opening import actor, opened
from orchestrator.entry.cli.output import USAGE, CommandError, DryRun, Json, Why, Yes

if TYPE_CHECKING:
    from orchestrator.flows.context import Context
    from orchestrator.flows.messages.notice import Text
    from orchestrator.lifecycle.account import Account

TextZh = Annotated[str | None, typer.Option("--text-zh", help="What is said, in Chinese; no names.")]
TextEn = Annotated[str | None, typer.Option("--text-en", help="The same in English.")]


def add_to(app: typer.Typer) -> None:
    """Put it under `tenure account`."""
    app.command(epilog="Example: tenure account notify --site edge-1 --text-zh '今晚 20:00 维护，请保存结果。' "
                       "--text-en 'Maintenance tonight at 20:00: save your results.'")(notify)


def notify(ids: Ids = None, text_zh: TextZh = None, text_en: TextEn = None, site: AtSite = None,
           sender: OfSender = None, state: InState = None, ending_before: EndingBefore = None, most: Most = 100,
           why: Why = "", yes: Yes = False, dry_run: DryRun = False, json: Json = False) -> None:
    """Tell holders something: in their open terminals and at each login, by callback and by mail."""
    said = text_of(text_zh, text_en)
    unseen: list[str] = []
    with opened() as ctx:
        from orchestrator.flows.messages.notice import notify as notify_

        def act(ctx: "Context", id: str) -> "Account":
            noticed = notify_(ctx, id, said, actor=actor(), why=why)
            if not noticed.shown:
                unseen.append(id)
            return noticed.account

        if not json:
            output.note(f"  {said.zh}\n  {said.en}")
        try:
            acting.run(ctx, "notify", Choice(ids, site, sender, state, ending_before),
                       How(most, yes, dry_run, json, done="told"), act)
        finally:
            if unseen:
                output.note(f"not on the terminals of {', '.join(unseen[:10])}{', …' if len(unseen) > 10 else ''}: "
                            "callback and mail go out all the same")


def text_of(zh: str | None, en: str | None) -> "Text":
    """Both texts, fit for a terminal."""
    from orchestrator.flows.messages.notice import checked

    if not zh or not en:
        raise CommandError("say it in both languages: --text-zh and --text-en", USAGE)
    return checked(zh, en)
