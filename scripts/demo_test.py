"""What the demo's consumer must notice: run as `python -m unittest demo_test` in this folder."""

import unittest
from collections import Counter

from demo import HEAD, Check, Shared, Wrong, split_lines
from demo_picture import ticks

LINES = [b"zero one", b"", b"two", b"three", b"four"]


def record(producer: int, number: int, line: bytes | None = None, zero: int = 0) -> bytes:
    return HEAD.pack(producer, zero, number, 5) + (LINES[number] if line is None else line)


class Checks(unittest.TestCase):
    def setUp(self) -> None:
        self.shared = Shared.of(2)
        self.check = Check(LINES, self.shared)

    def take(self, *numbers: int) -> None:
        for number in numbers:
            self.check.record(record(number % 2, number), 7)

    def wrong(self, why: str, broken: bytes) -> None:
        with self.assertRaisesRegex(Wrong, why):
            self.check.record(broken, 7)

    def test_every_line_once_in_any_mixture_of_producers(self) -> None:
        self.take(1, 0, 2, 3, 4)
        self.assertEqual(self.check.finish(), 5)
        self.assertEqual(self.check.words, Counter(b" ".join(LINES).split()))
        self.assertEqual(list(self.check.latencies), [2] * 5)

    def test_a_lost_line(self) -> None:
        self.take(0)
        self.wrong("line 4 of producer 0 arrived where line 2 was next", record(0, 4))

    def test_lines_lost_at_the_end(self) -> None:
        self.take(0, 1, 2, 3)
        with self.assertRaisesRegex(Wrong, "line 4 of producer 0 and what follows never arrived"):
            self.check.finish()

    def test_a_line_that_comes_twice(self) -> None:
        self.take(0, 1, 2)
        self.wrong("line 2 of producer 0 arrived where line 4", record(0, 2))

    def test_a_changed_line(self) -> None:
        self.wrong("line 0 arrived changed", record(0, 0, b"zero onf"))

    def test_a_damaged_head(self) -> None:
        self.wrong("damaged head", record(0, 0, zero=1))
        self.wrong("damaged head", HEAD.pack(2, 0, 0, 0))
        self.wrong("damaged head", HEAD.pack(0, 0, 5, 0))
        self.wrong("line 1 of producer 0", record(0, 1))

    def test_a_restarted_producer_may_send_again(self) -> None:
        self.take(0, 2)
        self.shared.again_from[0] = 1  # its first line from there on is line 2
        self.take(2, 4, 1, 3)
        self.assertEqual((self.check.finish(), self.check.again), (5, 1))
        self.assertEqual(self.check.words[b"two"], 1)

    def test_a_restarted_producer_may_go_on(self) -> None:
        self.take(0)
        self.shared.again_from[0] = 1
        self.take(2, 4, 1, 3)
        self.assertEqual((self.check.finish(), self.check.again), (5, 0))

    def test_the_first_push_of_a_restarted_producer_is_noted(self) -> None:
        old, other, new = HEAD.pack(0, 0, 0, 5), HEAD.pack(1, 0, 1, 9), HEAD.pack(0, 0, 2, 8)
        self.check.look_for_restarted([old, other, new])
        self.assertEqual(list(self.shared.back), [0, 0])
        self.shared.died[0] = 6
        self.check.look_for_restarted([old, other])
        self.assertEqual(list(self.shared.back), [0, 0])
        self.check.look_for_restarted([old, other, new, HEAD.pack(0, 0, 4, 9)])
        self.assertEqual(list(self.shared.back), [8, 0])

    def test_a_restart_by_session_excuses_no_step_back(self) -> None:
        self.take(0, 2)
        self.shared.died[0] = 6
        self.wrong("line 2 of producer 0 arrived where line 4", record(0, 2))

    def test_a_restart_excuses_one_step_back_to_its_start_only(self) -> None:
        self.take(0, 2)
        self.shared.again_from[0] = 1
        self.wrong("line 0 of producer 0 arrived where line 4", record(0, 0))
        self.take(2)
        self.wrong("line 2 of producer 0 arrived where line 4", record(0, 2))
        self.wrong("line 3 of producer 1 arrived where line 1", record(1, 3))


class Pieces(unittest.TestCase):
    def test_lines_end_at_newlines_only(self) -> None:
        self.assertEqual(split_lines(b""), [])
        self.assertEqual(split_lines(b"a\n\nb\r\n\x0c\xff"), [b"a", b"", b"b\r", b"\x0c\xff"])

    def test_ticks_reach_the_top(self) -> None:
        self.assertEqual(ticks(430_000), [0, 200_000, 400_000, 600_000])
        for top in (0.001, 1, 7, 99_999):
            self.assertGreaterEqual(ticks(top)[-1], top)


if __name__ == "__main__":
    unittest.main()
