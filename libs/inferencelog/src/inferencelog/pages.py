"""Structures of a Parquet file: its columns, and the sizes that its pages unpack to.

They are read here before Arrow reads them. Arrow's Python API ends the process at some values in a footer, such as
statistics of a wrong length. A footer may also lie about sizes: 64 kB of zstd unpack to 2 GB. Arrow allocates what the
page headers say, so those sizes are added up.

The structures (https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift) are written in
Thrift's compact protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ELEMENTS = 2_000
"""Most items of any list, including columns and row groups."""
HEADER_BYTES = 16 * 1024
"""Most bytes of a page's header."""
_DEEPEST = 16
_LONGEST_INTEGER = 10
"""Most bytes of an encoded integer."""

_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)

# Field numbers in parquet.thrift.
_ROW_GROUPS, _COLUMNS, _GROUP_ROWS, _COLUMN = 4, 1, 3, 3
_VALUES, _LENGTH, _DATA_OFFSET, _DICTIONARY_OFFSET = 5, 7, 9, 11
_UNPACKED, _PACKED = 2, 3


class PageError(ValueError):
    """Error for bytes that are not the expected structure."""


@dataclass(frozen=True, slots=True)
class Column:
    """Pages of a column in one row group."""

    start: int
    """Offset of the first page."""
    end: int


@dataclass(frozen=True, slots=True)
class Group:
    """Row group of a file."""

    rows: int
    columns: list[Column]
    """Columns in the order of the file's schema. The names given here are ignored, as Arrow ignores them."""


def read_groups(footer: bytes) -> list[Group]:
    """Return the row groups of a file.

    Args:
        footer: Metadata of the file, without its length and the magic number.

    Raises:
        PageError: If the bytes are not a footer.
    """
    try:
        groups = _Compact(footer).struct().get(_ROW_GROUPS, [])
        return [Group(int(group[_GROUP_ROWS]), list(map(_column, group[_COLUMNS]))) for group in groups]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise PageError(f"the footer lacks something or has it of another kind ({error!r})") from None


def _column(found: dict[int, Any]) -> Column:
    column = found[_COLUMN]
    if column[_VALUES] <= 0:
        return Column(0, 0)  # none of its pages is ever read
    start, dictionary = int(column[_DATA_OFFSET]), int(column.get(_DICTIONARY_OFFSET, 0))
    if 0 < dictionary < start:
        start = dictionary
    return Column(start, start + int(column[_LENGTH]))


def page_sizes(data: memoryview, start: int, end: int) -> Iterator[int]:
    """Yield the number of bytes that each page of a column unpacks to.

    Args:
        data: Content of the file, as unsigned bytes.
        start: Offset of the column's first page.
        end: Offset after its last page.

    Raises:
        PageError: If the bytes are not pages.
    """
    if not 0 <= start <= end <= len(data):
        raise PageError("a column lies outside the file")
    while start < end:
        compact = _Compact(bytes(data[start : min(end, start + HEADER_BYTES)]))
        header = compact.struct()
        unpacked, packed = header.get(_UNPACKED), header.get(_PACKED)
        if not isinstance(unpacked, int) or not isinstance(packed, int) or unpacked < 0 or packed < 0:
            raise PageError("a page has no size")
        yield unpacked
        start += compact.position + packed


class _Compact:
    """Reader of structures in Thrift's compact protocol."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return a structure's values by field number; of a repeated field the last value counts."""
        if depth > _DEEPEST:
            raise PageError("a structure is nested too deeply")
        found: dict[int, Any] = {}
        number = 0
        while (first := self._byte()) & 0x0F != _STOP:
            step = first >> 4
            number = number + step if step else self._integer()
            kind = first & 0x0F
            found[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _INTEGERS:
            return self._integer()
        if kind == _BINARY:
            return self._bytes(self._varint())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            return self._list(depth + 1)
        if kind in (_BYTE, _TRUE, _FALSE):  # in a list a boolean takes a byte of its own
            return self._byte()
        if kind == _DOUBLE:
            return self._bytes(8)
        # Parquet uses no maps.
        raise PageError(f"a structure holds a field of kind {kind}")

    def _list(self, depth: int) -> list[Any]:
        if depth > _DEEPEST:
            raise PageError("a structure is nested too deeply")
        first = self._byte()
        count = self._varint() if first >> 4 == 15 else first >> 4
        if count > ELEMENTS:
            raise PageError(f"a list has {count:,} items; at most {ELEMENTS:,} are read")
        return [self._value(first & 0x0F, depth) for _ in range(count)]

    def _byte(self) -> int:
        try:
            found = self._data[self.position]
        except IndexError:
            raise PageError("a structure is cut off") from None
        self.position += 1
        return found

    def _bytes(self, length: int) -> bytes:
        found = self._data[self.position : self.position + length]
        if len(found) < length:
            raise PageError("a structure is cut off")
        self.position += length
        return found

    def _varint(self) -> int:
        value = 0
        for place in range(_LONGEST_INTEGER):
            byte = self._byte()
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return value
        raise PageError("a structure holds an endless integer")

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
