"""A word from the operator to a holder: by callback and mail, and in the terminals that are open at the site."""

from dataclasses import dataclass

from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit, effect
from orchestrator.flows.messages import texts
from orchestrator.flows.messages.callbacks import facts
from orchestrator.flows.messages.tell import tell
from orchestrator.flows.named import account_named
from orchestrator.flows.trouble import Trouble, tried
from orchestrator.lifecycle.account import USABLE, Account, State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import accounts, journal
from orchestrator.store.engine import Tx

LONGEST = 500
"""Characters of a text in one language: what fits on a terminal beside a warning."""


@dataclass(frozen=True, slots=True)
class Text:
    """What is said, in both languages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Noticed:
    """An account that was told; `shown` when the site has it for the terminals, too."""

    account: Account
    shown: bool


def checked(zh: str, en: str) -> Text:
    """RuleError `bad_text` for what no terminal and no mail should show."""
    for language, text in (("zh", zh), ("en", en)):
        plain = all(letter.isprintable() or letter == "\n" for letter in text)
        if not text.strip() or len(text) > LONGEST or not plain:
            raise RuleError("bad_text", f"the text ({language}) is 1 to {LONGEST} printable characters")
    return Text(zh.strip(), en.strip())


def notify(ctx: Context, account_id: str, said: Text, *, actor: str, why: str = "") -> Noticed:
    """Tell the holder. Each call is one notice. RuleError: not_found, too_late."""
    account = commit("notice.tell", ctx.store, lambda tx: _tell(ctx, tx, account_id, said, actor, why))
    ctx.wake.set()
    if account.state not in USABLE:
        return Noticed(account, False)
    # A site keeps one text for each account: a warning that was given goes on standing below this one.
    parts = [said.zh, said.en]
    if account.warned and account.ends_at is not None and account.ends_at > ctx.clock():
        parts.append(texts.warning(account, ctx.clock(), ctx.settings.timezone))
    shown = tried("notice", _show, ctx, account, "\n".join(parts))
    return Noticed(account, not isinstance(shown, Trouble))


def _tell(ctx: Context, tx: Tx, account_id: str, said: Text, actor: str, why: str) -> Account:
    account = account_named(tx, account_id)
    if account.state is State.RECLAIMED:
        raise RuleError("too_late", f"account {account_id} is reclaimed: it is nobody's any more")
    tell(ctx, tx, accounts.record(tx, account_id).sender, "account.notice", account_id,
         {**facts(account), "text_zh": said.zh, "text_en": said.en})
    journal.write(tx, "account.noticed", account_id, actor, why, text_zh=said.zh, text_en=said.en)
    return account


def _show(ctx: Context, account: Account, text: str) -> None:
    effect("notice.show", ctx.sites.get(account.site).warn, account.id, text)
