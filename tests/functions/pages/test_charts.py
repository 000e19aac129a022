"""Charts: what the shapes say of the samples, and that odd samples spoil nothing."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.pages.charts import DAY, HEIGHT, buckets, charts, spark
from state.sample import Sample, Use

NOW = 1_800_000_000.0 - 1
QUARTER = 900.0


def heights(svg: str, kind: str) -> list[int]:
    """The height of the area of this kind in each bucket."""
    (path,) = re.findall(rf'<path class="{kind}" d="([^"]*)"', svg)
    width = int(re.search(r'viewBox="0 0 (\d+)', svg)[1])
    found, place, height = [], 0, 0
    for command, number in re.findall(r"([HV])(\d+)", path):
        if command == "H":
            found += [height] * (int(number) - place)
            place = int(number)
        else:
            height = HEIGHT - int(number)
    assert len(found) == width
    return found


def test_a_bucket_has_the_means_of_states_and_the_sums_of_events():
    samples = [
        Sample(at=NOW - 100, max=4, taken=1, waiting=3, grants=2, waited=1.0, waited_longest=5.0, started=1, failed=1),
        Sample(at=NOW - 40, max=5, taken=2, waiting=1, grants=1, waited=3.0, waited_longest=3.0, started=2),
    ]
    *before, last = buckets(samples, NOW, 96)
    assert before == [None] * 95
    assert (last.max, last.taken, last.waiting, last.grants) == (5, 1.5, 3, 3)
    assert (last.waited, last.waited_longest, last.started, last.failed, last.start_took) == (2.0, 5.0, 3, 1, None)


def test_samples_older_than_a_day_or_in_the_future_are_left_out():
    samples = [Sample(at=NOW - DAY - QUARTER), Sample(at=NOW + 2 * QUARTER)]
    assert buckets(samples, NOW, 96) == [None] * 96
    assert charts(samples, NOW) == []
    assert spark([Use(sample.at) for sample in samples], NOW) == ""


def test_the_small_chart_shows_taken_resources_and_max():
    svg = str(spark([Use(at=NOW - 100, max=3, taken=2), Use(at=NOW - 40, max=4, taken=1)], NOW))
    assert heights(svg, "taken")[-1] == round(100 * 1.5 / 4)
    assert 'class="most" d="M47 0H48"' in svg
    assert 'aria-label="last day: 2 taken at most"' in svg


def test_resources_are_stacked_below_max():
    samples = [Sample(at=NOW - 100, max=20, taken=10, going=1, ready=4, starting=2)]
    svg = str(charts(samples, NOW)[0].shapes)
    assert [heights(svg, kind)[-1] for kind in ("taken", "going", "ready", "starting")] == [50, 55, 75, 85]
    assert 'class="most" d="M95 0H96"' in svg
    assert "10 taken, 4 ready, 2 starting, 1 released or deleted, max 20" in svg


def test_time_without_samples_is_a_gap():
    samples = [Sample(at=NOW - QUARTER * number - 1, max=4, taken=4) for number in (2, 0)]
    svg = str(charts(samples, NOW)[0].shapes)
    assert heights(svg, "taken")[-4:] == [0, 100, 0, 100]
    assert 'class="most" d="M93 0H94M95 0H96"' in svg


def test_each_chart_has_a_summary():
    samples = [
        Sample(
            at=NOW - 100,
            max=4,
            taken=3,
            waiting=2,
            grants=4,
            waited=2.0,
            waited_longest=90.0,
            started=3,
            failed=1,
            start_took=2.0,
        )
    ]
    words = {chart.title: chart.words for chart in charts(samples, NOW)}
    assert words == {
        "Resources": "3 taken at most",
        "Tickets waiting": "2 at most",
        "Wait until served": "4 tickets served, the longest wait was 90 s",
        "Start time": "median 2 s, longest 2 s",
        "Starts": "75 % of 4 starts succeeded",
    }


def test_failed_starts_are_not_summarised_as_no_starts():
    words = {chart.title: chart.words for chart in charts([Sample(at=NOW - 100, max=4, failed=3)], NOW)}
    assert (words["Start time"], words["Starts"]) == ("no start succeeded", "0 % of 3 starts succeeded")


def test_an_idle_pool_has_charts():
    assert [chart.words for chart in charts([Sample(at=NOW - 1)], NOW)] == [
        "0 taken at most",
        "no tickets waited",
        "none served",
        "no starts",
        "no starts",
    ]


numbers = st.integers(-5, 10**6)
seconds = st.floats(-1e9, 1e9) | st.none()


@given(
    st.lists(
        st.builds(
            Sample,
            at=st.floats(NOW - 2 * DAY, NOW + DAY),
            max=numbers,
            taken=numbers,
            ready=numbers,
            starting=numbers,
            going=numbers,
            waiting=numbers,
            grants=numbers,
            started=numbers,
            failed=numbers,
            waited=seconds,
            waited_longest=seconds,
            start_took=seconds,
        ),
        max_size=8,
    )
)
def test_charts_are_well_formed_for_any_samples(samples):
    for chart in charts(samples, NOW):
        ET.fromstring(str(chart.shapes))
    if drawn := spark([Use(sample.at, sample.max, sample.taken) for sample in samples], NOW):
        ET.fromstring(str(drawn))


@pytest.mark.parametrize("at", [NOW, NOW + 1, NOW - QUARTER / 2])
def test_the_newest_sample_is_at_the_right_edge(at):
    assert buckets([Sample(at=at)], at, 96)[-1] is not None
