"""Claims: minted for the holder's own key, the first key wins, and the end of the lease is the credential's."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from orchestrator.flows.accounts.extend import extend
from orchestrator.flows.vouchers.claim import account_of, checked_key, claim, claim_token
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store.errors import KeyTaken
from providers.protocol import BadKey, Credential, Spec
from tests.flows.town import Town, public_key

HOUR = timedelta(hours=1)


def _refusal(town: Town, account: str) -> str:
    with pytest.raises(RuleError) as refused:
        claim(town.ctx, account, public_key())
    return refused.value.code


def test_the_credential_ends_with_the_lease(town: Town) -> None:
    """To the second."""
    id = town.active()
    assert claim(town.ctx, id, public_key()).expires == town.account(id).ends_at


def test_the_same_key_gets_the_same_answer(town: Town) -> None:
    """Whatever its comment says."""
    id, key = town.active(), public_key()
    first = claim(town.ctx, id, key)
    assert claim(town.ctx, id, key.rsplit(" ", 1)[0] + " elsewhere") == first


def test_another_key_is_refused(town: Town) -> None:
    """The first one won."""
    id = town.active()
    claim(town.ctx, id, public_key())
    with pytest.raises(KeyTaken):
        claim(town.ctx, id, public_key())


def test_a_key_given_at_the_redemption_is_the_only_one(town: Town) -> None:
    """Whoever finds the link later cannot claim with another."""
    key = public_key()
    id = town.active(ssh_public_key=key)
    with pytest.raises(KeyTaken):
        claim(town.ctx, id, public_key())
    assert claim(town.ctx, id, key).login.startswith(f"tn-{id}@")


def test_claims_in_parallel_get_one_answer(town: Town) -> None:
    """Twenty at once with one key."""
    id, key = town.active(), public_key()
    with ThreadPoolExecutor(20) as crowd:
        answers = set(crowd.map(lambda _: claim(town.ctx, id, key), range(20)))
    assert len(answers) == 1


def test_claims_in_parallel_with_two_keys_have_one_winner(town: Town) -> None:
    """The other key gets KeyTaken every time."""
    id, keys = town.active(), [public_key(), public_key()]

    def one(number: int) -> str:
        try:
            claim(town.ctx, id, keys[number % 2])
        except KeyTaken:
            return f"refused {number % 2}"
        return f"won {number % 2}"

    with ThreadPoolExecutor(10) as crowd:
        assert set(crowd.map(one, range(20))) in ({"won 0", "refused 1"}, {"won 1", "refused 0"})


def test_after_an_extension_the_same_key_gets_the_new_end(town: Town) -> None:
    """Renewed at the next claim, and the same again after that."""
    id, key = town.active(), public_key()
    claim(town.ctx, id, key)
    extend(town.ctx, id, by=HOUR, actor="test")
    renewed = claim(town.ctx, id, key)
    assert renewed.expires == town.account(id).ends_at
    assert claim(town.ctx, id, key) == renewed


def test_there_is_nothing_to_claim_before_it_is_usable(town: Town) -> None:
    """`not_ready`, so the page can wait."""
    assert _refusal(town, town.redeem().account) == "not_ready"


def test_there_is_nothing_to_claim_after_the_end(town: Town) -> None:
    """Fenced, then gone."""
    id = town.active()
    town.advance(town.offer.duration)
    town.work()
    fenced = _refusal(town, id)
    town.advance(town.offer.grace)
    town.work()
    assert (fenced, _refusal(town, id)) == ("fenced", "ended")


def test_when_the_site_has_fenced_already_nothing_is_minted(town: Town) -> None:
    """The database does not know yet; the site's answer counts."""
    id = town.active()
    town.clock.at -= timedelta(seconds=1)
    town.advance(town.offer.duration)
    assert _refusal(town, id) == "fenced"


class Cloud:
    """A site whose credentials are sealed sessions of an hour, and which has no use for one of the keys."""

    def __init__(self, town: Town, useless: str = "") -> None:
        self.town, self.useless, self.minted = town, useless, 0

    def issue(self, spec: Spec, holder_key: str, end: datetime) -> Credential:
        if holder_key in self.useless:
            raise BadKey("nothing can be sealed to this key")
        self.minted += 1
        return Credential("", "role", 443, (), min(end, self.town.clock.at + HOUR), f"sealed {self.minted}")

    def close(self) -> None:
        """Nothing to drop."""


def test_a_session_that_is_over_before_the_lease_is_minted_anew(town: Town) -> None:
    """Within its hour the same answer; after it a fresh one, without any change of the end."""
    id, key = town.active(), public_key()
    town.instead("north", Cloud(town))
    assert [claim(town.ctx, id, key).sealed for _ in range(2)] == ["sealed 1"] * 2
    town.clock.at += HOUR
    assert [claim(town.ctx, id, key).sealed for _ in range(2)] == ["sealed 2"] * 2


def test_a_key_of_no_use_at_the_site_is_not_pinned(town: Town) -> None:
    """The holder is told, and claims with another."""
    id, useless, key = town.active(), public_key(), public_key()
    town.instead("north", Cloud(town, useless))
    with pytest.raises(RuleError) as refused:
        claim(town.ctx, id, useless)
    assert refused.value.code == "bad_key"
    assert claim(town.ctx, id, key).sealed == "sealed 1"


def test_a_claim_link_is_ours_or_it_is_not(town: Town) -> None:
    """One changed letter, another account's mark, no mark at all."""
    id, keys = town.active(), town.store.keyring
    token = claim_token(keys, id)
    assert account_of(keys, token) == id
    for wrong in (token[:-1] + ("A" if token[-1] != "A" else "B"), claim_token(keys, "aaaaaaaaaa").replace(
            "aaaaaaaaaa", id), id, "", ".", "ä" * 40):
        assert account_of(keys, wrong) is None


@pytest.mark.parametrize("key", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-dss AAAAB3NzaC1kc3M= x", "a\nb c",
                                 "x" * 5000, "ssh-ed25519 ä", "command=\"x\" ssh-ed25519 AAAA"])
def test_what_is_no_public_key_is_refused(key: str) -> None:
    """With one code."""
    with pytest.raises(RuleError) as refused:
        checked_key(key)
    assert refused.value.code == "bad_key"
