import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.model.ids import (
    EPOCH_MAX,
    GENERATION_MAX,
    ClientId,
    account_fingerprint,
    account_tag,
    client_id,
    parse_client_id,
    valid_slot,
)

tags = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=6, max_size=6)
slots = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=12)
names = st.builds(ClientId, tags, st.integers(0, EPOCH_MAX), slots, st.integers(0, GENERATION_MAX))


@given(name=names)
@example(name=ClientId("ABCDEF", EPOCH_MAX, "-" * 12, GENERATION_MAX))
@example(name=ClientId("ABCDEF", 0, "a-1", 0))
def test_a_name_says_what_it_was_made_of(name: ClientId) -> None:
    text = client_id(name.tag, name.epoch, name.slot, name.generation)
    assert parse_client_id(text) == name
    assert len(text) <= 30
    assert set(text) <= set(string.ascii_uppercase + string.digits + "-")


@given(one=names, other=names)
def test_two_orders_never_share_a_name(one: ClientId, other: ClientId) -> None:
    assert (str(one) == str(other)) is (one == other)


@given(name=names, slot=slots, generation=st.integers(0, GENERATION_MAX))
def test_slots_and_generations_cannot_be_mistaken_for_each_other(name: ClientId, slot: str, generation: int) -> None:
    other = ClientId(name.tag, name.epoch, slot, generation)
    assert (str(name) == str(other)) is ((name.slot, name.generation) == (slot, generation))


@given(text=st.text(max_size=32) | st.text("RABCDEF012-ab", max_size=32))
def test_only_what_we_can_have_written_is_read(text: str) -> None:
    name = parse_client_id(text)
    assert name is None or client_id(name.tag, name.epoch, name.slot, name.generation) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "HBOT-BROGERBTC1700000000123456",
        "RABCDEF12345-BID-",
        "RABCDEF12345-BID-01",
        "RABCDEF12345--A",
        "RABCDEF12345-ABCDEFGHIJKLM-A",
        "RABCDEF12345-bid-A",
        "RABCDE112345-BID-A",
        "RABCDEF12345-BID-A\n",
        "RABCDEF12345-BID-12345",
    ],
)
def test_strangers_names(text: str) -> None:
    assert parse_client_id(text) is None


@pytest.mark.parametrize(
    ("tag", "epoch", "slot", "generation"),
    [
        ("ABCDE", 0, "bid", 0),
        ("abcdef", 0, "bid", 0),
        ("ABCDEF\n", 0, "bid", 0),
        ("ABCDEF", -1, "bid", 0),
        ("ABCDEF", EPOCH_MAX + 1, "bid", 0),
        ("ABCDEF", 0, "", 0),
        ("ABCDEF", 0, "a" * 13, 0),
        ("ABCDEF", 0, "Bid", 0),
        ("ABCDEF", 0, "bid\n", 0),
        ("ABCDEF", 0, "bid", -1),
        ("ABCDEF", 0, "bid", GENERATION_MAX + 1),
    ],
)
def test_what_has_no_name(tag: str, epoch: int, slot: str, generation: int) -> None:
    with pytest.raises(ValueError, match=r"tag|slot|epoch"):
        client_id(tag, epoch, slot, generation)


@given(slot=st.text(max_size=14))
def test_slots(slot: str) -> None:
    allowed = set(string.ascii_lowercase + string.digits + "-")
    assert valid_slot(slot) is (1 <= len(slot) <= 12 and set(slot) <= allowed)


@given(fingerprint=st.text(), name=st.text())
def test_a_tag_fits_into_a_name_and_is_always_the_same(fingerprint: str, name: str) -> None:
    tag = account_tag(fingerprint, name)
    assert tag == account_tag(fingerprint, name)
    assert parse_client_id(client_id(tag, 1, "bid", 1)) == ClientId(tag, 1, "bid", 1)
    assert account_tag(fingerprint + "x", name) != tag
    assert account_tag(fingerprint, name + "x") != tag


def test_a_fingerprint_does_not_show_the_key() -> None:
    fingerprint = account_fingerprint("https://v2.altmarkets.io", "a1b2c3d4e5f60718")
    assert fingerprint == account_fingerprint("https://v2.altmarkets.io", "a1b2c3d4e5f60718")
    assert fingerprint != account_fingerprint("https://v2.altmarkets.dev", "a1b2c3d4e5f60718")
    assert len(fingerprint) == 16
    assert "a1b2" not in fingerprint
