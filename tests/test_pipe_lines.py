import os
import threading
import time

from sensors import CHANNELS
from streamcell.runtime.sources.pipe_lines import PipeLines


def test_a_pipe_can_be_closed_while_it_is_waited_for() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"1,2,3\n4,5,")
    source = PipeLines(f"/dev/fd/{reader}", CHANNELS)
    assert next(iter(source)).values.tolist() == [[1, 2, 3]]
    timer = threading.Timer(0.2, source.close)
    begin = time.monotonic()
    timer.start()
    assert list(source) == []
    assert 0.15 < time.monotonic() - begin < 5
    timer.join()
    source.close()
    os.close(writer)
    os.close(reader)
