"""Bounded reading of Parquet files that anybody may have made.

Whoever can write to the log's store can put any file there. So nothing in a file is believed before it is checked: its
footer, the types of its columns, the sizes that its pages unpack to, and its number of rows.
"""

from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from inferencelog.errors import StoreError
from inferencelog.pages import ELEMENTS, Group, page_sizes, read_groups
from inferencelog.schema import LABEL
from inferencelog.store import Store

FILE_ROWS = 1_000_000
"""Most rows of one file, twice as many as a transformer can be configured to write."""
FILE_BYTES = 256 * 1024 * 1024
"""Most bytes of one file."""
UNPACKED_BYTES = 256 * 1024 * 1024
"""Most bytes that the pages to be read may unpack to, according to their own headers."""
FOOTER_BYTES = 1024 * 1024
"""Most bytes of a footer; the log's own files have a few thousand."""
PAGES = 20_000
"""Most pages to be read."""
LABELS = 1_000
"""Most different values of a label in a file; the log's own files have a handful."""
TEXT_CHARACTERS = 256
"""Most characters of a value: a label, or a request id, which has at most 128."""
BATCH_ROWS = 65_536
"""Rows that are decoded at a time."""

_TAIL = 8
"""Bytes after the footer: its length and the magic number."""
_NAMED = 5
"""Most columns of a foreign file that an error names."""
_MAGIC, _ENCRYPTED = b"PAR1", b"PARE"


class ForeignFileError(ValueError):
    """Error for a file that is not what its place requires; the message says why."""


def _check_size(size: int) -> None:
    if size > FILE_BYTES:
        raise ForeignFileError(f"has {size:,} bytes; at most {FILE_BYTES:,} are read of one file")


def read_whole(store: Store, path: str, before: Callable[[int], None] = lambda size: None) -> pa.Buffer:
    """Return the content of a file, unless it is too large.

    Args:
        store: Store that holds the file.
        path: Path of the file in the store.
        before: Called with the size in bytes before the file is read.

    Raises:
        StoreError: If the store cannot be read.
        ForeignFileError: If the file has more than `FILE_BYTES`.
    """
    with store.open(path) as file:
        try:
            size = file.size()
            _check_size(size)
            before(size)
            return file.read_buffer()
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"cannot read {store.uri(path)}: {error}") from error


def _footer(data: memoryview) -> bytes:
    tail = bytes(data[-_TAIL:])
    if tail[-4:] == _ENCRYPTED:
        raise ForeignFileError("is encrypted; the log is not")
    length = int.from_bytes(tail[-_TAIL:-4], "little")
    if len(tail) < _TAIL or tail[-4:] != _MAGIC or (length > len(data) - _TAIL and length <= FOOTER_BYTES):
        raise ForeignFileError("is no whole Parquet file")
    if length > FOOTER_BYTES:
        raise ForeignFileError(f"has a footer of {length:,} bytes; at most {FOOTER_BYTES:,} are read")
    return bytes(data[-_TAIL - length : -_TAIL])


class BoundedFile:
    """Parquet file whose footer has been checked.

    Args:
        data: Content of the file.
        wanted: Columns that are needed; the file may have others.

    Raises:
        ForeignFileError: If it lacks columns, has other types, or has too many rows.
        Exception: If it is not Parquet; Arrow raises errors of many kinds.
    """

    def __init__(self, data: pa.Buffer, wanted: pa.Schema) -> None:
        self._data = memoryview(data).cast("B")  # Arrow's own are signed bytes
        self._groups = read_groups(_footer(self._data))
        self.rows = _rows(self._groups)
        self._wanted = wanted
        texts = [field.name for field in wanted if _is_text(field.type)]
        # Texts are read as dictionaries, which hold each value once: a megabyte that a million rows share stays a
        # megabyte.
        self._file = _opened(data, texts)
        paths = [
            column.path for column in map(self._file.metadata.schema.column, range(self._file.metadata.num_columns))
        ]
        self._places = _places(paths, wanted)
        _check_types(self._file.schema_arrow, wanted)
        if any(len(group.columns) != len(paths) for group in self._groups):
            raise ForeignFileError("has row groups that lack columns")

    @property
    def schema_metadata(self) -> dict[bytes, bytes]:
        """Return the metadata that the writer stored beside the columns."""
        return self._file.schema_arrow.metadata or {}

    def unpacked_bytes(self) -> int:
        """Return the bytes that the wanted columns unpack to.

        Raises:
            ForeignFileError: If there are more than `UNPACKED_BYTES`, or more than `PAGES` pages.
            PageError: If a column is not a sequence of pages.
        """
        total = pages = 0
        for size in self._pages():
            total, pages = total + size, pages + 1
            if total > UNPACKED_BYTES:
                raise ForeignFileError(f"unpacks to more than {UNPACKED_BYTES:,} bytes")
            if pages > PAGES:
                raise ForeignFileError(f"has more than {PAGES:,} pages to read")
        return total

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the wanted columns with the wanted types; call it only after `unpacked_bytes`.

        Raises:
            ForeignFileError: If more rows come than the footer says, or if a text is too long.
            Exception: If the pages are damaged; Arrow raises errors of many kinds.
        """
        left = self.rows
        # Use one thread, because several files are read side by side.
        for batch in self._file.iter_batches(BATCH_ROWS, columns=self._wanted.names, use_threads=False):
            left -= batch.num_rows
            if left < 0:
                raise ForeignFileError("has more rows than its footer says")
            columns = [_converted(batch.column(field.name), field) for field in self._wanted]
            yield pa.RecordBatch.from_arrays(columns, schema=self._wanted)

    def _pages(self) -> Iterator[int]:
        for group in self._groups:
            for place in self._places:
                column = group.columns[place]
                yield from page_sizes(self._data, column.start, column.end)


def _opened(data: pa.Buffer, as_dictionaries: list[str]) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(
            pa.BufferReader(data),
            read_dictionary=as_dictionaries,
            thrift_string_size_limit=FOOTER_BYTES,
            thrift_container_size_limit=ELEMENTS,
        )
    except KeyError as error:
        name = error.args[0]
        raise ForeignFileError(f"lacks column {name.decode() if isinstance(name, bytes) else name}") from None


def read_bounded(data: pa.Buffer, wanted: pa.Schema) -> pa.Table:
    """Return all rows of a file, with its schema's metadata.

    Args:
        data: Content of the file.
        wanted: Columns to return; others are left out.

    Raises:
        ForeignFileError: For the reasons of `BoundedFile` and its methods.
        Exception: If the file is damaged; Arrow raises errors of many kinds.
    """
    file = BoundedFile(data, wanted)
    file.unpacked_bytes()
    table = pa.Table.from_batches(file.batches(), wanted)
    return table.replace_schema_metadata(file.schema_metadata)


def _rows(groups: list[Group]) -> int:
    if any(group.rows < 0 for group in groups):
        raise ForeignFileError("has a negative number of rows")
    rows = sum(group.rows for group in groups)
    if rows > FILE_ROWS:
        raise ForeignFileError(f"has {rows:,} rows; at most {FILE_ROWS:,} are read from one file")
    return rows


def _places(paths: list[str], wanted: pa.Schema) -> list[int]:
    """Return the position of each wanted column among the file's; refuse a name that is repeated or is a group's."""
    found: dict[str, list[int]] = {name: [] for name in wanted.names}
    for place, path in enumerate(paths):
        found.get(path.partition(".")[0], []).append(place)
    missing = [name for name, places in found.items() if not places]
    if missing:
        others = ", ".join([path for path in paths if path not in found][:_NAMED]) or "no others"
        raise ForeignFileError(
            f"lacks {'column' if len(missing) == 1 else 'columns'} {', '.join(missing)}, has {others}"
        )
    for name, places in found.items():
        if [paths[place] for place in places] != [name]:
            raise ForeignFileError(f"has {len(places)} columns {name}, or one that is no plain column; expected one")
    return [places[0] for places in found.values()]


def _check_types(schema: pa.Schema, wanted: pa.Schema) -> None:
    for field in wanted:
        found = schema.field(field.name).type
        if not _takes(field.type, found):
            raise ForeignFileError(f"column {field.name} has type {found}; expected {_expected(field.type)}")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind) or pa.types.is_string(kind))


def _takes(wanted: pa.DataType, found: pa.DataType) -> bool:
    if pa.types.is_timestamp(wanted):
        return bool(pa.types.is_timestamp(found) and found.tz)
    if _is_text(wanted):
        found = found.value_type if pa.types.is_dictionary(found) else found
    return any(found == each for each in _also_taken(wanted))


def _also_taken(wanted: pa.DataType) -> list[pa.DataType]:
    """Return the types accepted for a column; other tools write the same values as these."""
    if _is_text(wanted):
        return [pa.string(), pa.large_string()]
    if pa.types.is_floating(wanted):
        return [pa.float32(), pa.float64()]
    return [pa.int32(), pa.int64()] if pa.types.is_integer(wanted) else [wanted]


def _expected(wanted: pa.DataType) -> str:
    if _is_text(wanted):
        return "string"
    return "timestamp with a time zone" if pa.types.is_timestamp(wanted) else str(wanted)


def _converted(column: pa.Array, field: pa.Field) -> pa.Array:
    if _is_text(field.type):
        _check_texts(column, field)
        if column.type != field.type:
            column = column.cast(pa.string())
        return column.dictionary_encode() if pa.types.is_dictionary(field.type) and column.type != LABEL else column
    # Let nanoseconds lose their last digits; values of all other types must fit.
    safe = not (pa.types.is_timestamp(column.type) and column.type.unit == "ns")
    return column if column.type == field.type else column.cast(field.type, safe=safe)


def _check_texts(column: pa.Array, field: pa.Field) -> None:
    values = column.dictionary if pa.types.is_dictionary(column.type) else column
    values.validate(full=True)  # Arrow accepts any bytes as text until they are validated
    if pa.types.is_dictionary(field.type) and len(values) > LABELS:
        raise ForeignFileError(f"column {field.name} has {len(values):,} different values; at most {LABELS:,}")
    longest = pc.max(pc.utf8_length(values)).as_py() or 0
    if longest > TEXT_CHARACTERS:
        raise ForeignFileError(
            f"column {field.name} has a value of {longest:,} characters; at most {TEXT_CHARACTERS} are read"
        )
