"""What a picture looks like once it is read, whatever way its file stores it."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from growsearch.datasets.reading import picture_pixels
from growsearch.datasets.reading.image_file import read_images
from growsearch.datasets.reading.picture_pixels import FROM_16_BITS, ODD_EXIF, ON_WHITE, TURNED
from growsearch.errors import UsageError

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)
PALETTE = (b"PLTE", bytes([*RED, *GREEN]))
GREY_1000 = struct.pack(">H", 1000)


def _chunk(kind, content):
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def _png(size, depth, colour_type, row, extra=b""):
    """Return a PNG of equal rows."""
    width, height = size
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + extra
        + _chunk(b"IDAT", zlib.compress((b"\0" + row) * height))
        + _chunk(b"IEND", b"")
    )


def _colours(path):
    """Return the colours of the left and right half as read, and what was changed."""
    read = read_images([path])
    pixels = read.images[0].permute(1, 2, 0).numpy()
    left, right = pixels[:, :20].reshape(-1, 3), pixels[:, -20:].reshape(-1, 3)
    assert (left == left[0]).all()
    assert (right == right[0]).all()
    return tuple(left[0].tolist()), tuple(right[0].tolist()), set(read.changes)


def _halves(left, right, mode):
    """Return 64 x 64 in two halves."""
    image = Image.new(mode, (64, 64), left)
    image.paste(right, (32, 0, 64, 64))
    return image


def test_sixteen_bits_are_scaled_to_eight_and_not_cut_off_at_white(tmp_path):
    pixels = np.repeat([0, 257 * 100], 32)[None].repeat(64, axis=0).astype(np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert _colours(tmp_path / "a.png") == ((0, 0, 0), (100, 100, 100), {FROM_16_BITS})
    # The extremes and the roundings: 65,535 is white, and 128 is nearer to 1 of 257 than to 0.
    for level, grey in ((65535, 255), (128, 0), (129, 1), (65535 - 129, 254)):
        Image.fromarray(np.full((64, 64), level, dtype=np.uint16)).save(tmp_path / "b.png")
        assert _colours(tmp_path / "b.png")[0] == (grey,) * 3


def test_sixteen_bits_of_colour_keep_their_upper_bits(tmp_path):
    row = struct.pack(">HHH", 256 * 7, 256 * 200, 256 * 90) * 64
    (tmp_path / "a.png").write_bytes(_png((64, 64), 16, 2, row))
    assert _colours(tmp_path / "a.png") == ((7, 200, 90), (7, 200, 90), {FROM_16_BITS})


@pytest.mark.parametrize(
    ("mode", "left", "right"),
    [
        ("RGBA", (*RED, 255), (*GREEN, 0)),
        ("LA", (90, 255), (3, 0)),
    ],
)
def test_what_is_transparent_is_white_whatever_colour_lies_below(mode, left, right, tmp_path):
    _halves(left, right, mode).save(tmp_path / "a.png")
    colour = left[:3] if mode == "RGBA" else (left[0],) * 3
    assert _colours(tmp_path / "a.png") == (colour, WHITE, {ON_WHITE})


def test_half_transparent_black_is_grey_and_an_opaque_layer_changes_nothing(tmp_path):
    _halves((0, 0, 0, 102), (9, 8, 7, 255), "RGBA").save(tmp_path / "a.png")
    assert _colours(tmp_path / "a.png") == ((153, 153, 153), (9, 8, 7), {ON_WHITE})
    _halves((1, 2, 3, 255), (9, 8, 7, 255), "RGBA").save(tmp_path / "a.png")
    assert _colours(tmp_path / "a.png") == ((1, 2, 3), (9, 8, 7), set())


@pytest.mark.parametrize(
    ("depth", "colour_type", "row", "extra", "left"),
    [
        (8, 3, bytes([0] * 32 + [1] * 32), [PALETTE, (b"tRNS", b"\xff\0")], RED),
        (8, 3, bytes([0] * 32 + [1] * 32), [PALETTE, (b"tRNS", b"\xff")], RED),
        (8, 0, bytes([7] * 32 + [9] * 32), [(b"tRNS", b"\0\x09")], (7, 7, 7)),
        # Levels of 4 and of 2 bits are stretched to 255, and the transparent one with them.
        (4, 0, bytes([0x55] * 16 + [0x66] * 16), [(b"tRNS", b"\0\x06")], (85, 85, 85)),
        (2, 0, bytes([0x55] * 8 + [0xAA] * 8), [(b"tRNS", b"\0\x02")], (85, 85, 85)),
        (1, 0, bytes([0x00] * 4 + [0xFF] * 4), [(b"tRNS", b"\0\x01")], (0, 0, 0)),
        (8, 2, bytes([1, 2, 3] * 32 + [4, 5, 6] * 32), [(b"tRNS", b"\0\4\0\5\0\6")], (1, 2, 3)),
        (16, 0, b"\0\0" * 32 + GREY_1000 * 32, [(b"tRNS", GREY_1000)], (0, 0, 0)),
    ],
)
def test_a_colour_that_a_png_names_transparent_is_white(
    depth, colour_type, row, extra, left, tmp_path
):
    chunks = b"".join(_chunk(*chunk) for chunk in extra)
    (tmp_path / "a.png").write_bytes(_png((64, 64), depth, colour_type, row, chunks))
    opaque = extra[-1] == (b"tRNS", b"\xff")
    right = GREEN if opaque else WHITE
    found_left, found_right, _ = _colours(tmp_path / "a.png")
    assert (found_left, found_right) == (left, right)


def test_a_transparent_colour_of_16_bits_is_refused(tmp_path):
    content = _png((64, 64), 16, 2, b"\1\0" * 192, _chunk(b"tRNS", b"\1\0\1\0\1\1"))
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.png: a transparent colour of 16 bits"):
        read_images([tmp_path / "a.png"])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
def test_black_and_white_stay_black_and_white_in_every_mode(mode, tmp_path):
    image = _halves(0, 255, "L").convert("RGB").convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    image.save(path, **({"quality": 100} if mode == "CMYK" else {}))
    read = read_images([path]).images[0].numpy()
    assert read[:, :, :20].max() <= 1
    assert read[:, :, -20:].min() >= 254


def test_a_palette_without_the_colour_of_a_pixel_is_refused(tmp_path):
    row = bytes([0] * 32 + [9] * 32)
    for extra in (_chunk(b"PLTE", bytes([*RED, *GREEN])), b""):
        (tmp_path / "a.png").write_bytes(_png((64, 64), 8, 3, row, extra))
        with pytest.raises(UsageError, match=r"a\.png: .*(colour 9 of a palette|not a readable)"):
            read_images([tmp_path / "a.png"])


# Where the mark in the upper left corner of the upright image lies in the file, by orientation.
CORNERS = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}


@pytest.mark.parametrize("kind", ["jpg", "png", "16-bit png"])
@pytest.mark.parametrize("orientation", CORNERS)
def test_an_image_is_upright_whichever_way_the_camera_was_held(orientation, kind, tmp_path):
    row, column = CORNERS[orientation]
    pixels = np.zeros((64, 64), dtype=np.uint8)
    pixels[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32] = 200
    if kind == "16-bit png":
        image = Image.fromarray(pixels.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f"a.{kind[-3:]}"
    image.save(path, exif=exif)
    read = read_images([path])
    corners = read.images[0, 0][16::32, 16::32].numpy()
    assert corners.round(-1).tolist() == [[200, 0], [0, 0]]
    assert (TURNED in read.changes) == (orientation != 1)


def test_a_wide_image_that_lies_on_its_side_is_cut_as_the_high_one_that_it_is(tmp_path):
    # 90 wide and 30 high in the file, with the left third bright: upright it is 30 x 90.
    pixels = np.zeros((30, 90), dtype=np.uint8)
    pixels[:, :30] = 255
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    read = read_images([tmp_path / "a.png"])
    assert dict(read.sizes) == {(30, 90): 1}
    assert read.images[0, 0, 8:-8].max() == 0


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0"]
)
def test_exif_data_that_nobody_can_read_leave_an_image_as_it_lies(exif, tmp_path):
    _halves(0, 255, "L").save(tmp_path / "a.jpg", exif=exif, quality=100)
    left, right, changes = _colours(tmp_path / "a.jpg")
    assert (left, right) == ((0, 0, 0), WHITE)
    assert changes <= {ODD_EXIF}


def _saved(image, **options):
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def _pixel_flipped():
    content = bytearray(_saved(Image.new("L", (64, 64), 5), format="PNG"))
    content[content.index(b"IDAT") + 8] ^= 1
    return bytes(content)


ANIMATION = [Image.new("RGB", (64, 64), colour) for colour in (RED, GREEN)]
FLOAT = Image.fromarray(np.zeros((64, 64), dtype=np.float32))
NOISE = Image.effect_noise((64, 64), 90)
HOSTILE = {
    "a GIF": (_saved(ANIMATION[0], format="GIF"), "not a readable"),
    "an animated WebP": (
        _saved(ANIMATION[0], format="WEBP", save_all=True, append_images=ANIMATION[1:]),
        "not a readable",
    ),
    "a TIFF of floats": (_saved(FLOAT, format="TIFF"), "not a readable"),
    "a BMP": (_saved(ANIMATION[0], format="BMP"), "not a readable"),
    "an animated PNG": (
        _saved(ANIMATION[0], format="PNG", save_all=True, append_images=ANIMATION[1:]),
        "an animation of 2 frames",
    ),
    "a PNG with a wrong checksum": (_pixel_flipped(), "not a readable"),
    "a cut JPEG": (_saved(NOISE, format="JPEG")[:-200], "not a readable"),
    "a long line": (_saved(Image.new("L", (1, 30_000)), format="PNG"), "1 x 30,000 pixels"),
    "a bomb": (_png((60_000, 60_000), 8, 0, b""), "more than 89,478,485 pixels"),
    "a large bomb": (_png((2**31 - 1, 2**31 - 1), 16, 6, b""), "more than 89,478,485 pixels"),
    "no width": (_png((0, 64), 8, 0, b""), "not a readable"),
    "a zip bomb in a text": (
        _png((64, 64), 8, 0, b"\0" * 64, _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26)))),
        "not a readable",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_still_image_of_a_sensible_size_is_named(kind, tmp_path):
    content, message = HOSTILE[kind]
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UsageError, match=rf"a\.png: {message}"):
        read_images([tmp_path / "a.png"])


def test_the_longest_sides_that_are_read_are_read(tmp_path):
    Image.new("L", (2, 200), 9).save(tmp_path / "a.png")
    assert (read_images([tmp_path / "a.png"]).images == 9).all()
    Image.new("L", (2, 201), 9).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="one side is more than 100 times the other"):
        read_images([tmp_path / "a.png"])


def test_a_photo_with_a_second_picture_behind_it_is_read_as_the_first(tmp_path):
    # Telephones write such files: the depth or a preview comes after the photo.
    first = _halves(0, 255, "L")
    first.save(
        tmp_path / "a.jpg",
        format="MPO",
        save_all=True,
        append_images=[Image.new("L", (64, 64), 90)],
        quality=100,
    )
    assert _colours(tmp_path / "a.jpg")[:2] == ((0, 0, 0), WHITE)


def test_the_bound_on_pixels_is_checked_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_pixels, "MAX_PIXELS", 64 * 63)
    Image.new("L", (64, 64)).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="64 x 64 pixels; at most 4,032 are read"):
        read_images([tmp_path / "a.png"])
