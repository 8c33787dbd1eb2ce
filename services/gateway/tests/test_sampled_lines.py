from waiting import Clock

from gateway.http.sampled_lines import SampledLines


def test_ten_lines_a_second_are_written_and_say_what_they_stand_for() -> None:
    clock = Clock()
    lines = SampledLines(clock)
    written = []
    for i in range(1000):
        clock.now = i / 1000
        left_out = lines.left_out("404")
        if left_out is not None:
            written.append(left_out)
    assert len(written) == 10
    assert written[0] == 0
    assert sum(written) + len(written) > 890


def test_each_kind_has_lines_of_its_own() -> None:
    lines = SampledLines(Clock())
    assert lines.left_out(("401", "a")) == 0
    assert lines.left_out(("401", "a")) is None
    assert lines.left_out(("401", "b")) == 0
