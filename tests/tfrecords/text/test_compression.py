import bz2
import gzip
import io
import lzma
import os
import struct

import pytest
import zstandard

from tfbert.errors import UserError
from tfrecords.text import compression
from tfrecords.text.corpus import Corpus, Reading

PACK = {
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
TEXT = b"".join(b"Line %d of some text.\n" % n for n in range(20_000))


def unpack(data, name="a.txt"):
    stream, ending = compression.decompressed(io.BytesIO(data), name)
    return stream.read(), ending


@pytest.mark.parametrize("ending", PACK)
def test_streams_one_behind_the_other_are_one_file(ending):
    pack = PACK[ending]
    data = pack(TEXT[:99]) + pack(b"") + pack(TEXT[99:])
    # The content decides, not the name.
    for name in ("a.txt", f"a.txt{ending}", f"A.TXT{ending.upper()}", "a.gz"):
        assert unpack(data, name) == (TEXT, ending)


def test_text_under_the_name_of_a_compression_is_text():
    assert unpack(b"plain\n", "a.txt.gz") == (b"plain\n", "")
    for data in (b"", b"\x1f\x00 neither"):
        with pytest.raises(EOFError, match="it is to be gzip and"):
            unpack(data, "a.txt.gz")


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize("part", ["first", "second"])
@pytest.mark.parametrize("harm", ["cut", "magic", "garbage"])
def test_damage_is_never_taken_for_the_end(tmp_path, ending, part, harm):
    """Nor at the border of two streams, where the libraries do."""
    pack = PACK[ending]
    first = bytearray(pack(TEXT))
    second = bytearray(pack(TEXT)) if part == "second" else bytearray()
    hurt = second if part == "second" else first
    if harm == "cut":
        del hurt[-3:]
    elif harm == "magic" and part == "second":
        hurt[1] ^= 1
    elif harm == "magic":
        hurt[len(hurt) // 2] ^= 1
    else:
        hurt += b"garbage behind it"
    path = tmp_path / f"a.txt{ending}"
    path.write_bytes(first + second)
    with pytest.raises(UserError, match=f"a.txt{ending}.*damaged or cut off"):
        list(Corpus([str(path)], Reading(), None))


@pytest.mark.parametrize("ending", PACK)
def test_every_cut_but_those_between_streams_is_found(ending):
    pack = PACK[ending]
    first, second = pack(b"one\n" * 9), pack(os.urandom(50))
    data = first + second
    for end in range(12, len(data)):
        if end == len(first):
            assert unpack(data[:end])[0] == b"one\n" * 9
            continue
        with pytest.raises((EOFError, gzip.BadGzipFile)):
            unpack(data[:end])


def test_zeros_may_lie_between_xz_streams():
    pack = lzma.compress
    data = pack(b"a") + bytes(8) + pack(b"b") + bytes(4)
    assert unpack(data)[0] == b"ab"
    with pytest.raises(EOFError, match="between its streams"):
        unpack(data + bytes(3))


def frames(**how):
    engine = zstandard.ZstdCompressor(**how)
    whole = engine.compress(TEXT)
    stream = io.BytesIO()
    with engine.stream_writer(stream, closefd=False) as writer:
        for start in range(0, len(TEXT), 30_000):
            writer.write(TEXT[start : start + 30_000])
            writer.flush()
    return whole, stream.getvalue()


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"write_checksum": True, "level": 19},
        {"write_content_size": False},
    ],
    ids=str,
)
def test_the_borders_of_zstandard_frames(how):
    skipped = b"\x5a\x2a\x4d\x18" + struct.pack("<I", 70_000) + bytes(70_000)
    small = zstandard.ZstdCompressor(**how).compress(b"x")
    runs = zstandard.ZstdCompressor(**how).compress(bytes(1 << 20))
    for data in frames(**how):
        whole = skipped + data + small + skipped + runs + data
        assert unpack(whole)[0] == TEXT + b"x" + bytes(1 << 20) + TEXT
        for cut in (1, 4, 5, len(data) // 2):
            with pytest.raises(EOFError):
                unpack(whole[:-cut])
    with pytest.raises(EOFError):
        unpack(small + skipped[:-1])
    with pytest.raises(EOFError):
        unpack(small + skipped[:6])
