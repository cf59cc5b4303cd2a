"""The two small algorithms below a write: places that move little, and digests kept in order."""

from hypothesis import given
from hypothesis import strategies as st

from schemawire.schema import Header, digest_of
from schemawire.service.store.digests import DigestMemory, OrderedDigests, RankedKey
from schemawire.service.store.ordering import STRIDE, place

KEYS = st.lists(st.sampled_from("abcdefghij"), unique=True)
HEADER = Header(name="s")


@given(before=KEYS, wanted=KEYS, gap=st.sampled_from([1, 2, STRIDE]))
def test_places_give_the_wanted_order(before: list[str], wanted: list[str], gap: int) -> None:
    """Sorted by the numbers that result, the keys stand as wanted, each with a number of its own."""
    current = {key: gap * position for position, key in enumerate(before, 1)}
    numbers = {key: number for key, number in current.items() if key in wanted} | place(current, wanted)
    assert sorted(numbers, key=lambda key: numbers[key]) == wanted
    assert len(set(numbers.values())) == len(wanted)


@given(before=KEYS, data=st.data())
def test_few_places_move(before: list[str], data: st.DataObject) -> None:
    """Where there is room, only what is new or out of order gets another number."""
    current = {key: STRIDE * position for position, key in enumerate(before, 1)}
    kept = [key for key in before if data.draw(st.booleans())]
    wanted = data.draw(st.sampled_from([[*kept, "new"], ["new", *kept], [*kept[:1], "new", *kept[1:]]]))
    assert place(current, wanted).keys() == {"new"}
    if len(before) > 1:
        moved = place(current, [before[-1], *before[:-1]])
        assert moved.keys() == {before[-1]} or len(before) == 2


def test_places_without_room_are_given_anew() -> None:
    """When neighbours have no number left between them, all are numbered again, and the order still holds."""
    current = {"a": 1, "b": 2}
    given_anew = place(current, ["a", "x", "b"])
    assert given_anew == {"a": STRIDE, "x": 2 * STRIDE, "b": 3 * STRIDE}


RANKED = st.tuples(st.integers(0, 3), st.sampled_from(["A", "Z", "a", "Ö"]))
STEPS = st.lists(st.tuples(st.sets(RANKED), st.dictionaries(RANKED, st.binary(min_size=32, max_size=32))))


@given(steps=STEPS, many=st.booleans())
def test_ordered_digests_follow_a_plain_dictionary(
    steps: list[tuple[set[RankedKey], dict[RankedKey, bytes]]], many: bool
) -> None:
    """Whatever was put and removed, few at once or many, the total is that of the digests in order."""
    model: dict[RankedKey, bytes] = {}
    digests = OrderedDigests([], bytearray())
    for gone, come in steps:
        padding: set[RankedKey] = {(9, str(number)) for number in range(40)} if many else set()
        digests.update(gone | padding, come)
        model = {key: digest for key, digest in model.items() if key not in gone} | come
        assert len(digests) == len(model)
        assert digests.total(HEADER) == digest_of(HEADER, (model[key] for key in sorted(model)))


def test_remembered_digests_are_copies_and_bounded() -> None:
    """Changing what was taken does not change what is kept, and the least used is forgotten first."""
    memory = DigestMemory(max_elements=300)
    for number in range(4):
        keys: list[RankedKey] = [(0, str(position)) for position in range(100)]
        memory.keep(str(number), OrderedDigests(keys, bytearray(3200)))
    assert memory.take("0") is None
    taken = memory.take("3")
    assert taken is not None
    taken.remove((0, "1"))
    again = memory.take("3")
    assert again is not None
    assert (len(taken), len(again)) == (99, 100)
