"""Triangular numbers against Gauss."""

from hypothesis import given
from hypothesis import strategies as st

from factorexe.tasks.triangular import Triangular


def solved(task, n):
    found = task.complete(task.parse(str(n))[None])
    return task.text(found.chain[0]), task.text(found.answer[0])


def test_four_downwards_and_upwards():
    assert solved(Triangular(digit_order="plain"), 4) == (">4>7>9>10", "10")
    assert solved(Triangular(), 4) == (">4>7>9>01", "01")
    assert solved(Triangular(digit_order="plain", order="ascending"), 4) == (">1>3>6>10", "10")


def test_modulo_seven():
    assert solved(Triangular(form="modulus", modulus=7), 4) == (">4>0>2>3", "3")


@given(
    n=st.integers(1, 300),
    order=st.sampled_from(["descending", "ascending"]),
    modulus=st.none() | st.integers(2, 400),
)
def test_sums_are_those_of_gauss(n, order, modulus):
    form = {} if modulus is None else {"form": "modulus", "modulus": modulus}
    chain, answer = solved(Triangular(digit_order="plain", order=order, **form), n)
    whole = n * (n + 1) // 2
    sums = (
        [k * (k + 1) // 2 for k in range(1, n + 1)]
        if order == "ascending"
        else [whole - k * (k + 1) // 2 for k in range(n - 1, -1, -1)]
    )
    sums = [value % modulus if modulus else value for value in sums]
    assert chain == "".join(f">{value}" for value in sums)
    assert answer == str(sums[-1])


def test_the_largest_number_is_exact():
    assert solved(Triangular(digit_order="plain"), 4096)[1] == str(4096 * 4097 // 2)


def test_widths_are_exact():
    task = Triangular()
    for n in (1, 10, 24):
        chain, answer = solved(task, n)
        assert list(task.widths(n)) == [len(str(n)), len(chain), len(answer)]
