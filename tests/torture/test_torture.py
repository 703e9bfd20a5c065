"""A short round of ill-treatment; `scripts/torture N` for as many as one likes."""

import sys

import pytest

from tests.torture.campaign import Campaign, torture


@pytest.mark.skipif(sys.platform != "linux", reason="signals, forks and limits of Linux")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize(
    ("kind", "rounds"),
    [("runs", 8), ("storms", 2), ("operations", 8), ("disks", 4), ("pairs", 3), ("forks", 1), ("starts", 1)],
)
def test_nothing_hangs_and_nothing_is_torn_or_wrong(kind: str, rounds: int) -> None:
    assert kind in Campaign.KINDS
    outcomes, faults = torture(rounds, kinds=(kind,))
    assert not faults
    assert outcomes.total() == rounds
