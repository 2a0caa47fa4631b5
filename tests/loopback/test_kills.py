"""The real process against the real sandbox, killed at random moments under load: nothing twice, lost or left."""

from benchmarks.kills import kills


def test_nothing_is_lost_or_left_when_the_process_is_killed_again_and_again() -> None:
    seen = kills(12, seed=3)
    assert seen["agrees"], seen
    assert seen["kills"] == 12
    assert seen["duplicates"] == seen["orphans"] == 0
    # Deaths before the first order would prove nothing.
    assert seen["lives_that_traded"] >= 6, seen
    assert seen["creates_in_doubt"] >= 1, seen
