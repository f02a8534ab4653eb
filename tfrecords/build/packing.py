"""Several short sequences to a row."""

from collections.abc import Sequence


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Packs sequences into rows by best fit, longest first.

    Best-fit decreasing wastes a share of the room that goes to zero as the
    sequences grow many (Coffman and Lueker 1991; for language models Ding et
    al. 2024, "Fewer truncations improve language modeling"). Each sequence
    goes to the fullest row that still has room for it.

    Args:
      lengths: of the sequences, each from 1 to `capacity`.
      capacity: the room of a row.

    Returns:
      The rows as lists of indices into `lengths`; equal inputs give equal
      rows.
    """
    by_length = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    rows: list[list[int]] = []
    # with_room[r]: rows with room r. Bit r of `present` says whether there
    # are any, so the tightest fit is found without a search.
    with_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    present = 0
    for index in by_length:
        length = lengths[index]
        fitting = present >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            row = with_room[room].pop()
            if not with_room[room]:
                present &= ~(1 << room)
            rows[row].append(index)
        else:
            room, row = capacity, len(rows)
            rows.append([index])
        with_room[room - length].append(row)
        present |= 1 << (room - length)
    return rows
