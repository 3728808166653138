"""Points that nothing else beats."""

from hypothesis import given
from hypothesis import strategies as st

from prefsmith.evaluate.pareto import front


def test_a_front_by_hand():
    points = [(0.7, 0.1), (0.8, 0.3), (0.6, 0.2), (0.8, 0.4), (0.5, 0.0)]
    assert front(points, [True, False]) == [0, 1, 4]
    assert front(points, [True, True]) == [3]


def test_equal_points_are_both_on_it():
    assert front([(1.0, 1.0), (1.0, 1.0), (0.0, 2.0)], [True, False]) == [0, 1]


def test_with_one_objective_it_is_the_best():
    assert front([(3.0,), (1.0,), (2.0,)], [False]) == [1]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20))
def test_every_point_is_on_it_or_beaten_by_one_that_is(points):
    kept = front(points, [True, False])
    assert kept
    for point in points:
        assert any(points[index][0] >= point[0] and points[index][1] <= point[1] for index in kept)
