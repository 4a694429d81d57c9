"""Fewer agents start while the machine is short, and as many as before when it is not."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headway.sandbox.admission.concurrency import STEP_EVERY_S, Concurrency
from headway.sandbox.admission.machine import Machine, MachineBounds
from headway.system.disk import Disk

EASY = Machine(pressure=0.0, memory=0.9, disk=Disk(0.9, 10**12))
FULL = Machine(pressure=0.0, memory=0.9, disk=Disk(0.12, 10**10))
"""88 % of the disk in use: commands still run, agents do not start."""

FEW_INODES = Machine(pressure=0.0, memory=0.9, disk=Disk(0.9, 10**12, inode_share=0.12, inodes=200_000))


@pytest.mark.parametrize("machine", [FULL, FEW_INODES])
def test_back_pressure_begins_before_commands_have_to_wait(machine: Machine) -> None:
    assert machine.short_of(MachineBounds()) is None
    crew = Concurrency(16, Path(), look=lambda _: machine, clock=iter(range(0, 1000, 10)).__next__)
    assert [crew.allowed() for _ in range(3)][-1] < 16


@given(shorts=st.lists(st.booleans(), max_size=60), most=st.integers(1, 300))
@example(shorts=[True, True, True], most=11)  # an eighth that was rounded down took too long to come back
def test_it_stays_between_one_and_all_and_comes_back(shorts: list[bool], most: int) -> None:
    now, machine = [0.0], [EASY]
    crew = Concurrency(most, Path(), look=lambda _: machine[0], clock=lambda: now[0])
    for short in shorts:
        before = crew.allowed()
        now[0] += STEP_EVERY_S
        machine[0] = FULL if short else EASY
        after = crew.allowed()
        assert 1 <= after <= most
        assert after <= before if short else after >= before
        assert crew.allowed() == after  # asked again at once, it does not move
    machine[0] = EASY
    for _ in range(9):
        now[0] += STEP_EVERY_S
        crew.allowed()
    assert crew.allowed() == most
