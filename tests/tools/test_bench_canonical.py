"""The measurements of canonical keys, at sizes that take no time."""

from archcast.tools.bench_parts.canonical import Count, count_classes, measure


def test_counts_are_compared_with_the_published_ones():
    counts = list(count_classes((2, 3, 4)))
    assert [count.found for count in counts] == [1, 6, 84]
    assert all(count.exact for count in counts)
    assert "exact" in str(counts[0])
    assert "WRONG, published are 84" in str(Count(4, 83, 84, 0.1))


def test_a_row_says_what_was_timed():
    small, large = measure(sizes=(40, 400), subset=100, repeats=1)
    assert small.note == "networkx: 100 cells timed"
    assert large.note == "networkx: 100 cells timed, scaled"
    assert large.reference_seconds == 10 * small.reference_seconds
    assert large.ratio > 1
    assert f"{large.ratio:.0f}x" in str(large)
