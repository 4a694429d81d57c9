"""Which walls are taken, what is refused, and what is said of it."""

import errno
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headway.domain.errors import TransientError, UserError
from headway.sandbox.backends import backends, bubblewrap, network, remedies, seccomp
from headway.sandbox.backends.backends import PINS, Backends
from headway.sandbox.backends.bubblewrap import Bubblewrap, programs
from headway.sandbox.backends.host_binds import SYSTEM, HostBinds, host_binds
from headway.sandbox.backends.seccomp import MACHINES, program
from headway.sandbox.resources import Resources

NOTHING = Resources()


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Takes from this machine what a level needs."""

    def take(*what: str) -> None:
        if "bubblewrap" in what:
            missing = ("bubblewrap is not installed", "apt-get install bubblewrap")
            monkeypatch.setattr(remedies, "bubblewrap_missing", lambda: missing)

    return take


def test_the_strongest_that_stands_is_taken(tmp_path: Path) -> None:
    backends = Backends((tmp_path,), NOTHING)
    best = next(each for each in backends.tried if each.level is not None)
    assert backends.choose(allow_weak=True).level == best.pin
    assert [each.pin for each in backends.tried] == list(PINS)


def test_levels_that_are_forgotten_hold_no_descriptor(tmp_path: Path) -> None:
    """A process of tests, or one that looks again and again, would run out of them."""
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # names are all we need
    Backends((tmp_path,), NOTHING).choose(allow_weak=True)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


def test_without_control_groups_it_is_not_the_first(tmp_path: Path) -> None:
    first = Backends((tmp_path,), NOTHING).tried[0]
    assert first.level is None
    assert first.remedy


def test_a_level_that_is_pinned_never_gives_way(tmp_path: Path, without: Callable[..., None]) -> None:
    without("bubblewrap")
    backends = Backends((tmp_path,), NOTHING)
    with pytest.raises(UserError) as refused:
        backends.choose(allow_weak=True, pinned="bubblewrap+limits")
    assert refused.value.message == "HEADWAY_SANDBOX=bubblewrap+limits does not work here: bubblewrap is not installed."
    assert refused.value.remedy == "apt-get install bubblewrap"
    assert backends.choose(allow_weak=True, pinned="plain").level == "plain"


def test_a_level_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'bubble' is not a sandbox level"):
        Backends((tmp_path,), NOTHING).choose(allow_weak=True, pinned="bubble")


def test_no_walls_at_all_have_to_be_allowed(tmp_path: Path, without: Callable[..., None]) -> None:
    without("bubblewrap")
    backends = Backends((tmp_path,), NOTHING)
    with pytest.raises(UserError) as refused:
        backends.choose(allow_weak=False)
    for words in ("bubblewrap is not installed. apt-get install bubblewrap", "filesystem:", "network:"):
        assert words in refused.value.message
    assert refused.value.remedy == "Or accept that with --allow-weak-sandbox."
    assert backends.choose(allow_weak=True).level == "plain"
    states = {each.state for each in backends.findings() if each.topic == "sandbox"}
    assert states == {"broken", "lacking"}


def test_a_level_that_lets_a_command_out_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial is real: with walls that have a gap, it finds it."""
    if not programs():
        pytest.skip("no bubblewrap to make a gap in")
    backends, shown = Backends((tmp_path,), NOTHING), bubblewrap._shown
    monkeypatch.setattr(bubblewrap, "_shown", lambda seen: [*shown(seen), "--bind", str(tmp_path), str(tmp_path)])
    seen = HostBinds(tuple(Path(place) for place in SYSTEM if os.path.lexists(place)), ())
    found = backends._try(Bubblewrap(seen, programs()[0]))
    assert found.startswith("can write outside of its workspace; can read the state folder")


@pytest.mark.parametrize(
    ("gap", "found"),
    [
        ("options", "can choose the device of a socket"),
        ("routes", "can send to the services of this machine"),
    ],
)
def test_a_network_with_a_way_around_its_routes_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gap: str, found: str
) -> None:
    backends = Backends((tmp_path,), NOTHING)
    helper = network.helper()
    if helper is None or backends.tried[1].level is None:
        pytest.skip("needs bubblewrap and slirp4netns")
    if gap == "options":
        monkeypatch.setattr(bubblewrap, "_in_memory", lambda content: None)
    else:
        refused = network.refused()
        monkeypatch.setattr(bubblewrap, "refused", lambda: [each for each in refused if each != "127.0.0.0/8"])
    said = backends._try(Bubblewrap(host_binds((tmp_path,)), programs()[0], helper), reach=True)
    assert found in said


@pytest.mark.skipif(sys.platform != "linux", reason="the package is for Linux")
@pytest.mark.parametrize("place", range(len(programs())))
def test_each_bubblewrap_of_this_machine_holds_a_command_in(tmp_path: Path, place: int) -> None:
    """The one that `pip install` brings too, so that a machine without the system's package has walls."""
    assert not Backends((tmp_path,), NOTHING)._try(Bubblewrap(host_binds((tmp_path,)), programs()[place]))


def test_what_the_machine_is_set_to_tells_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    for name, value, why in (
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor"),
        ("kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"),
    ):
        kernel = tmp_path / name.replace("/", "-")
        (kernel / name).parent.mkdir(parents=True)
        (kernel / name).write_text(f"{value}\n")
        assert why in " ".join(remedies.bubblewrap_fails("no", kernel))


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ('ID=ubuntu\nID_LIKE="debian"\n', "apt-get install bubblewrap"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "dnf install bubblewrap"),
        ("ID=alpine\n", "apk add bubblewrap"),
        ("ID=homemade\n", "install the package bubblewrap"),
    ],
)
def test_the_command_that_installs_is_that_of_the_distribution(tmp_path: Path, release: str, command: str) -> None:
    (tmp_path / "os-release").write_text(release)
    said = remedies.install("bubblewrap", tmp_path / "os-release", lambda program: f"/usr/bin/{program}")
    assert said.removeprefix("sudo ") == command


def test_no_command_is_named_that_the_machine_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text("ID=debian\n")
    assert remedies.install("bubblewrap", tmp_path / "os-release", lambda _: None) == "install the package bubblewrap"


def test_the_remedy_of_a_missing_network_is_that_of_its_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remedies, "programs", lambda: [Path("bwrap")])
    tun = tmp_path / "tun"
    assert "slirp4netns" in remedies.network(installed=False, tun=tun)
    assert "modprobe tun" in remedies.network(installed=True, tun=tun)
    tun.touch()
    assert remedies.network(installed=True, tun=tun) == ""
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "chmod 666" in remedies.network(installed=True, tun=tun)


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_the_filter_is_one_that_a_kernel_takes(machine: str) -> None:
    """Every jump stays inside and it ends by a return, as a kernel checks; also for a machine that is not this one."""
    made = program(machine=machine)
    assert made is not None
    steps = [made[at : at + 8] for at in range(0, len(made), 8)]
    assert len(steps) < 4096
    for at, step in enumerate(steps):
        code, true, false = int.from_bytes(step[:2], "little"), step[2], step[3]
        if code & 0x07 == 0x05:
            assert at + 1 + max(true, false) < len(steps)
    assert int.from_bytes(steps[-1][:2], "little") == seccomp._RETURN


def test_an_unknown_processor_has_no_filter() -> None:
    assert program(machine="riscv64") is None


class TestABusyMachine:
    """A trial that runs out of time is tried again: no weaker level, and no end of the process."""

    @pytest.fixture
    def slow(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
        """Has the first so many starts of bwrap take longer than their time."""
        real = next(iter(bubblewrap.programs()), None)
        if real is None:
            pytest.skip("this machine has no bubblewrap")

        def make(times: int) -> None:
            counted = tmp_path / "starts"
            counted.write_text("")
            program = tmp_path / "bwrap"
            program.write_text(
                f'#!/bin/sh\necho >> "{counted}"\n[ "$(wc -l < "{counted}")" -gt {times} ] || exec sleep 60\n'
                f'exec "{real}" "$@"\n'
            )
            program.chmod(0o755)
            monkeypatch.setattr(bubblewrap, "programs", lambda: [program])
            monkeypatch.setattr(backends, "programs", lambda: [program])

        return make

    def test_takes_the_same_level_as_an_idle_one(self, tmp_path: Path, slow: Callable[[int], None]) -> None:
        slow(0)
        idle = Backends((tmp_path,), NOTHING).choose(allow_weak=True)
        slow(2)
        told: list[str] = []
        busy = Backends((tmp_path,), NOTHING, trial_s=0.2, tell=told.append).choose(allow_weak=False)
        assert (busy.level, busy.refuses_network) == (idle.level, idle.refuses_network)
        assert len(told) >= 2
        assert "it ran out of its 0 s; it is tried again" in told[0]

    def test_that_never_gets_there_is_told_to_whoever_waits(self, tmp_path: Path, slow: Callable[[int], None]) -> None:
        slow(1000)
        with pytest.raises(TransientError, match="found nothing out: it ran out of its"):
            Backends((tmp_path,), NOTHING, trial_s=0.1, tries=2)

    @pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENOSPC])
    def test_that_has_no_room_for_a_process_is_waited_for(
        self, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not bubblewrap.programs():
            pytest.skip("this machine has no bubblewrap")
        left, run = [2], subprocess.run

        def failing(*args: Any, **more: Any) -> object:
            if left[0] > 0:
                left[0] -= 1
                raise OSError(number, os.strerror(number))
            return run(*args, **more)

        monkeypatch.setattr(subprocess, "run", failing)
        monkeypatch.setattr(backends, "_PAUSE_S", 0.01)
        assert Backends((tmp_path,), NOTHING).choose(allow_weak=True).level != "plain"
        assert left == [0]
