"""`tenure site drain` and `undrain`: emptying a site, with a plan of what becomes of the accounts there."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.entry.cli import acting, output
from orchestrator.entry.cli.chosen import PREVIEW
from orchestrator.entry.cli.noticing import TextEn, TextZh, text_of
from orchestrator.entry.cli.opening import actor, opened
from orchestrator.entry.cli.output import USAGE, CommandError, Json, Why, Yes

if TYPE_CHECKING:
    from orchestrator.flows.accounts.drain import Stay
    from orchestrator.flows.context import Context
    from orchestrator.flows.messages.notice import Text
    from orchestrator.lifecycle.account import Account

Name = Annotated[str, typer.Argument(help="The site's name.")]
COLUMNS = ["account", "state", "contract", "ends_at", "becomes", "new_end", "empty_at"]


def add_to(app: typer.Typer) -> None:
    """Put these commands under `tenure site`."""
    app.command(epilog="Example: tenure site drain edge-1 --until '2027-03-31 18:00' --plan")(drain)
    app.command(epilog="Example: tenure site undrain edge-1")(undrain)


def drain(
    name: Name,
    until: Annotated[str | None, typer.Option(help="When no account is to be usable there any more; the plan then "
                                                   "names those that outlive it.")] = None,
    end_by: Annotated[str | None, typer.Option(help="End what goes on longer by then. Contracts are left alone.")
                      ] = None,
    contract: Annotated[list[str] | None, typer.Option(
        "--contract", metavar="ACCOUNT", help="With --end-by: this account under contract, too. Repeatable.")] = None,
    notify: Annotated[bool, typer.Option("--notify", help="Tell the holders until when their account is there.")
                      ] = False,
    text_zh: TextZh = None, text_en: TextEn = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what becomes of each account; change nothing.")] = False,
    most: Annotated[int, typer.Option("--max", min=1, help="Refuse to end or tell more than so many.")] = 100,
    why: Why = "", yes: Yes = False, json: Json = False,
) -> None:
    """Give a site no new accounts. Those that are there run out by themselves, unless --end-by says otherwise."""
    from orchestrator.flows.accounts import drain as flow

    said = text_of(text_zh, text_en) if text_zh or text_en else None
    if (said is not None and not notify) or (contract and end_by is None):
        raise CommandError("--text-zh and --text-en belong to --notify, and --contract to --end-by", USAGE)
    with opened() as ctx:
        now = ctx.clock()
        wish = flow.Wish(output.when(until, now) if until else None, output.when(end_by, now) if end_by else None,
                         contract or ())
        stays = flow.plan(ctx, name, wish)
        results: list[dict[str, Any]] = []
        if not json or not (plan or yes):
            _preview(stays)
        if not plan:
            told = flow.to_tell(stays) if notify else []
            shortened = [stay for stay in stays if stay.new_end is not None]
            _confirmed(name, shortened, told, most, yes)
            flow.drain(ctx, name, True, actor=actor(), why=why)
            results = _acted(ctx, shortened, told, said, why)
    _answer(name, plan, stays, results, json)


def _confirmed(name: str, shortened: "list[Stay]", told: "list[Stay]", most: int, yes: bool) -> None:
    """Before anything is done, the site's mark included."""
    touched = {stay.account.id for stay in (*told, *shortened)}
    if len(touched) > most:
        raise CommandError(f"{len(touched)} accounts would be touched; allow more with --max", USAGE)
    if touched:
        output.confirm(f"Drain {name}, end {len(shortened)} of its accounts earlier and tell {len(told)} holders?", yes)


def _acted(ctx: "Context", shortened: "list[Stay]", told: "list[Stay]", said: "Text | None",
           why: str) -> list[dict[str, Any]]:
    """End each, tell each; one that fails stops no other. Who is told is told the end that holds by then."""
    from orchestrator.flows.accounts import drain as flow

    stays = {stay.account.id: stay for stay in shortened}

    def end(ctx: "Context", id: str) -> "Account":
        return flow.shorten(ctx, stays[id], actor=actor(), why=why)

    def tell(ctx: "Context", id: str) -> "Account":
        return flow.tell_holder(ctx, id, said, actor=actor(), why=why).account

    results = []
    with output.progress("draining", len(shortened) + len(told)) as progress:
        for what, act, ids in (("end", end, list(stays)), ("notify", tell, [stay.account.id for stay in told])):
            for id in ids:
                results.append({"act": what} | acting.one(ctx, id, act))
                progress.step()
    return results


def _preview(stays: "list[Stay]") -> None:
    if not stays:
        output.note("no account is there")
        return
    output.note("  " + "  ".join(column.replace("_", " ") for column in COLUMNS))
    for stay in stays[:PREVIEW]:
        output.note("  " + "  ".join(output.cell(_row(stay)[column]) for column in COLUMNS))
    if len(stays) > PREVIEW:
        output.note(f"  … and {len(stays) - PREVIEW} more: --plan --json has them all")


def _row(stay: "Stay") -> dict[str, Any]:
    account = stay.account
    return {"account": account.id, "state": account.state, "offer": account.offer.name, "contract": account.contract,
            "begins_at": account.begins_at, "ends_at": stay.ends_at, "becomes": stay.fate, "new_end": stay.new_end,
            "empty_at": stay.empty_at}


def _answer(name: str, plan: bool, stays: "list[Stay]", results: list[dict[str, Any]], json: bool) -> None:
    from collections import Counter

    rows = [_row(stay) for stay in stays]
    counts = Counter(stay.fate.value for stay in stays)
    said = ", ".join(f"{fate}: {many}" for fate, many in sorted(counts.items())) or "no account is there"
    output.answer(json, {"site": name, "drained": not plan, "plan": rows, "results": results},
                  f"site {name} {'would get' if plan else 'gets'} no new accounts; there now: {said}")
    if plan:
        output.note("nothing was changed (--plan)")
    failed = [one for one in results if not one["ok"]]
    for one in failed:
        output.note(f"tenure: {one['act']} {one['account']}: {one['error']}")
    if failed:
        raise typer.Exit(output.FAILED)


def undrain(name: Name, why: Why = "", json: Json = False) -> None:
    """New accounts again. Ends that were moved stay where they are."""
    from orchestrator.flows.accounts import drain as flow

    with opened() as ctx:
        flow.drain(ctx, name, False, actor=actor(), why=why)
    output.answer(json, {"site": name, "drained": False}, f"site {name} gets new accounts again")
