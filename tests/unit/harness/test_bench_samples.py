# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The samples of `make bench`: read, counted, and summed up."""

import pytest
from bench.noise import Noise, noise
from bench.samples import Sample, Samples, parse, percentile

HEAD = "name,peer,size,value,errno\n"


def test_samples_are_read_in_order() -> None:
    text = HEAD + "latency,cma,4096,270000,0\nfull,cma,1048576,-16,16\n"
    assert parse(text) == [
        Sample("latency", "cma", 4096, 270000),
        Sample("full", "cma", 1 << 20, -16, 16),
    ]


@pytest.mark.parametrize("text", ["", "latency,cma,4096,270000,0\n", "name,peer\n"])
def test_text_without_the_columns_is_no_samples(text: str) -> None:
    with pytest.raises(ValueError, match="columns"):
        parse(text)


@pytest.mark.parametrize(
    "line", ["latency,cma,4096,270000", "latency,cma,4096,fast,0", "a,b,1,2,3,4"]
)
def test_line_that_is_no_sample_is_named(line: str) -> None:
    with pytest.raises(ValueError, match="line 3"):
        parse(f"{HEAD}latency,cma,4096,1,0\n{line}\n")


def test_percentile_is_what_so_many_did_not_exceed() -> None:
    assert percentile(range(100), 50) == 50
    assert percentile(range(100), 99) == 99
    assert percentile([7], 99) == 7


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_failures_are_counted_and_are_no_values() -> None:
    samples = Samples([Sample("full", "cma", 4096, 5), Sample("full", "cma", 4096, -16, 16)])
    assert samples.values("full", "cma", 4096) == [5]
    assert samples.failures("full", "cma", 4096) == 1
    assert samples.median("full", "cma", 4096) == 5


def test_what_was_not_measured_has_no_median() -> None:
    samples = Samples()
    assert samples.median("latency", "cma", 4096) is None
    assert samples.failures("latency", "cma", 4096) == 0
    assert samples.sizes("latency") == []
    assert samples.peers("latency") == []


def test_samples_of_later_runs_come_after_the_first() -> None:
    samples = Samples([Sample("noise", "computing", 0, 1)])
    samples.add([Sample("noise", "computing", 0, 2)])
    assert samples.values("noise", "computing", 0) == [1, 2]


def test_noise_is_in_terms_of_the_median_and_drift_of_the_first_half() -> None:
    values = [100] * 100 + [200] * 99 + [1000]
    found = noise(Samples(Sample("noise", "computing", 0, it) for it in values))
    assert found == Noise(p99=1.0, longest=5.0, drift=2.0)
