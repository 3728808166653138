"""Sequences whose entries are made when they are asked for, and not kept."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TypeVar, overload

T_co = TypeVar("T_co", covariant=True)


class Lazy(Sequence[T_co]):
    """A sequence that knows how to make the entry at a place."""

    @abstractmethod
    def at(self, place: int) -> T_co:
        """The entry at a place from 0 to the last, made anew."""

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> list[T_co]: ...
    def __getitem__(self, index: int | slice) -> T_co | list[T_co]:
        """One entry, or a list of them."""
        if isinstance(index, slice):
            return [self.at(place) for place in range(*index.indices(len(self)))]
        return self.at(range(len(self))[index])

    def __iter__(self) -> Iterator[T_co]:
        return (self.at(place) for place in range(len(self)))
