"""Token buckets under a clock that is turned by hand."""

from coordinator.health.rate import Buckets


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_and_then_the_rate():
    clock = Clock()
    buckets = Buckets(rate=2.0, burst=3.0, clock=clock)
    assert [buckets.take("a") for _ in range(4)] == [True, True, True, False]
    clock.now += 0.5
    assert [buckets.take("a") for _ in range(2)] == [True, False]
    clock.now += 1000
    assert [buckets.take("a") for _ in range(4)] == [True, True, True, False]


def test_keys_do_not_share():
    buckets = Buckets(rate=1.0, burst=1.0, clock=Clock())
    assert buckets.take("a")
    assert buckets.take("b")
    assert not buckets.take("a")


def test_looking_takes_nothing():
    buckets = Buckets(rate=1.0, burst=1.0, clock=Clock())
    assert all(buckets.has("a") for _ in range(5))
    assert buckets.take("a")
    assert not buckets.has("a")


def test_refused_calls_do_not_push_the_end_away():
    clock = Clock()
    buckets = Buckets(rate=1.0, burst=1.0, clock=clock)
    buckets.take("a")
    for _ in range(9):
        clock.now += 0.1
        assert not buckets.take("a")
    clock.now += 0.11
    assert buckets.take("a")


def test_the_number_of_keys_is_bounded():
    buckets = Buckets(rate=1.0, burst=1.0, clock=Clock(), most=3)
    for key in "abcde":
        buckets.take(key)
    assert len(buckets) == 3
    assert not buckets.has("e")
