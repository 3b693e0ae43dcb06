"""Limits: ranges that refuse instead of clamping, and the prlimit arguments they become."""

import resource

import pytest

from homarus.backends.limits import hard_limits, prlimit_argv
from homarus.base.errors import Invalid
from homarus.kernel.limits import MIB, RANGES, Limits


@pytest.mark.parametrize("name", sorted(RANGES))
def test_both_ends_of_each_range(name: str) -> None:
    least, greatest = RANGES[name]
    for value in (least, greatest):
        assert getattr(Limits.from_json({name: value}), name) == value
    for value in (least - 1, greatest + 1, float(least), str(least), True, None):
        with pytest.raises(Invalid, match=name) as caught:
            Limits.from_json({name: value})
        assert caught.value.code == "limits.out_of_range"
        assert str(greatest) in caught.value.message


def test_what_is_not_named_keeps_its_default() -> None:
    assert Limits.from_json({}) == Limits()
    assert Limits.from_json({"cpu_s": 7}) == Limits(cpu_s=7)


def test_an_unknown_limit_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match="'ram'") as caught:
        Limits.from_json({"ram": 1})
    assert caught.value.code == "limits.unknown"
    assert "memory_bytes" in caught.value.remedy


@pytest.mark.parametrize(
    ("hard", "expected"),
    [
        (
            {},
            ["--cpu=10:11", f"--data={64 * MIB}:{64 * MIB}", "--fsize=100:100", "--nofile=64:64"],
        ),
        (
            {"cpu": resource.RLIM_INFINITY, "data": MIB, "fsize": 50, "nofile": 64},
            ["--cpu=10:11", f"--data={MIB}:{MIB}", "--fsize=50:50", "--nofile=64:64"],
        ),
        (
            {"cpu": 5},
            ["--cpu=5:5", f"--data={64 * MIB}:{64 * MIB}", "--fsize=100:100", "--nofile=64:64"],
        ),
        (
            {"cpu": 10},
            ["--cpu=10:10", f"--data={64 * MIB}:{64 * MIB}", "--fsize=100:100", "--nofile=64:64"],
        ),
    ],
)
def test_prlimit_arguments_stay_below_our_own_hard_limits(
    hard: dict[str, int], expected: list[str]
) -> None:
    limits = Limits(cpu_s=10, memory_bytes=64 * MIB, file_bytes=100, open_files=64)
    assert prlimit_argv("/p", limits, hard) == ["/p", "--core=0:0", *expected, "--"]


def test_hard_limits_bear_the_names_prlimit_has() -> None:
    assert set(hard_limits()) == {"cpu", "data", "fsize", "nofile"}
