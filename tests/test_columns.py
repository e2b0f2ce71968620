import pytest

from streamcell.runtime.sources.columns import ColumnFinder, Columns, LineError, csv_number, json_number

FINDER = ColumnFinder(["ax", "ay"])


def test_other_names_keep_the_times_or_their_absence() -> None:
    """Lines that come before decide whether readings have times, since a stream of readings has all or none."""
    timed, plain = FINDER.of_names(["t_ms", "ax", "ay"]), FINDER.of_names(["ax", "ay"])
    assert FINDER.of_other_names(["ay", "ax", "time"], timed) == Columns(
        ["ay", "ax", "time"], [2, 1, 0], ["ax", "ay"], 1
    )
    assert FINDER.of_other_names(["time", "ay", "ax"], plain).wanted == [2, 1]
    assert FINDER.of_other_names(["time", "ay", "ax"], plain).scale is None
    with pytest.raises(LineError, match="there is no 't_ms', which the lines before have; there are 'ay', 'ax'"):
        FINDER.of_other_names(["ay", "ax"], timed)
    assert FINDER.of_keys(["AY", "AX", "ts"], None).wanted == ["ts", "AX", "AY"]
    with pytest.raises(LineError, match="there is no 'ts', which"):
        FINDER.of_keys(["AY", "AX"], FINDER.of_keys(["AY", "AX", "ts"], None))


@pytest.mark.parametrize(
    ("cells", "header"),
    [
        (["ax", "ay"], True),
        ([" AY ", "x", "Ax", "5"], True),
        (["1", "2"], False),
        (["walk", "2", "3"], False),
        (["nan", "-inf"], False),
        (["1e5", "x"], False),
    ],
)
def test_a_first_line_is_a_header_or_gives_the_count(cells: list[str], header: bool) -> None:
    assert FINDER.of_first(cells)[1] == header


def test_a_first_line_of_words_is_a_header_that_lacks_channels() -> None:
    with pytest.raises(LineError, match="no column is called 'ax'; there are 'walk', 'run'"):
        FINDER.of_first(["walk", "run"])


def test_text_is_a_number_in_csv_and_none_in_json() -> None:
    columns = FINDER.of_names(["t_us", "ax", "ay"])
    assert columns.row(["1500000", "1e1", " 2"], csv_number) == [1.5, 10, 2]
    assert columns.row([1500000.0, 10.0, 2.0], json_number) == [1.5, 10, 2]
    with pytest.raises(LineError, match="expected a number, got '1e1'") as error:
        columns.row([1.5, "1e1", 2.0], json_number)
    assert error.value.column == "ax"
    assert columns.row(["1970-01-01T00:00:02Z", 1.0, 2.0], json_number) == [2, 1, 2]
