"""Character sets: the standard's own examples byte by byte, and what happens to text that does not fit."""

import pytest

from pacs.archive.charset import UTF_8, UndecodableText, UnencodableText, parse_character_set

# PS3.5 Annexes H (Japanese), I (Korean), J (Chinese), K (Chinese with code extensions) and L (Arabic, Greek, ...).
EXAMPLES = [
    (
        "\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    (
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    (
        "\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    (
        "\\ISO 2022 IR 58",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        "Zhang^XiaoDong=张^小东=",
    ),
    (
        "ISO_IR 192",
        b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1=",
        "Wang^XiaoDong=王^小東=",
    ),
    ("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="),
    ("GBK", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="),
    ("ISO_IR 100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
    ("ISO_IR 101", b"W\xb3cz\xeaga^\xd3", "Włczęga^Ó"),
    ("ISO_IR 109", b"\xc6ampetro", "Ĉampetro"),
    ("ISO_IR 110", b"\xc0ne", "Āne"),
    ("ISO_IR 126", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"),
    ("ISO_IR 127", b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", "قباني^لنزار"),
    ("ISO_IR 138", b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה"),
    ("ISO_IR 144", b"\xbb\xee\xdace\xdc\xd1yp\xd3", "Люкceмбypг"),
    ("ISO_IR 148", b"\xc7avu\xfeo\xf0lu", "Çavuşoğlu"),
    ("ISO_IR 166", b"\xe4\xb7\xc2", "ไทย"),
    ("ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    ("ISO_IR 203", b"\xa4uro", "€uro"),
    ("ISO 2022 IR 100\\ISO 2022 IR 126", b"D\xefo^\x1b-F\xc4\xe9\xef", "Dïo^Διο"),
]


@pytest.mark.parametrize(("declared", "raw", "text"), EXAMPLES, ids=[f"{e[0]}-{e[2][:6]}" for e in EXAMPLES])
def test_names_are_read_and_written_as_in_the_standard(declared: str, raw: bytes, text: str) -> None:
    character_set = parse_character_set(declared)
    assert character_set.decode(raw, is_name=True) == text
    assert character_set.encode(text, is_name=True) == raw


@pytest.mark.parametrize("declared", ["ISO-IR 100", "ISO IR 100", "ISO_IR_100", "iso_ir 100", "ISO 2022 IR 100"])
def test_common_spellings_of_a_term_are_understood(declared: str) -> None:
    assert parse_character_set(declared).decode(b"\xe9", is_name=False) == "é"


def test_a_delimiter_returns_to_the_first_character_set() -> None:
    character_set = parse_character_set("ISO 2022 IR 100\\ISO 2022 IR 126")
    assert character_set.decode(b"\x1b-F\xe1^\xe1", is_name=True) == "α^á"
    assert character_set.decode(b"\x1b-F\xe1\r\n\xe1", is_name=False) == "α\r\ná"
    # A caret is a letter like others outside person names.
    assert character_set.decode(b"\x1b-F\xe1^\xe1", is_name=False) == "α^α"


def test_a_backslash_byte_inside_a_chinese_character_is_not_a_delimiter() -> None:
    raw = "誠言".encode("gbk")
    assert b"\\" in raw
    assert parse_character_set("GBK").decode(raw, is_name=True) == "誠言"


@pytest.mark.parametrize(
    ("declared", "raw"),
    [
        ("", b"J\xe9r\xf4me"),
        ("ISO_IR 192", b"J\xe9r\xf4me"),
        ("ISO_IR 42", b"J\xe9r\xf4me"),
        ("nonsense", b"J\xe9r\xf4me"),
        ("\\ISO 2022 IR 87", b"J\x1b$@r\xf4me"),
    ],
)
def test_bytes_without_meaning_are_an_error_in_text_and_a_wildcard_in_a_key(declared: str, raw: bytes) -> None:
    character_set = parse_character_set(declared)
    with pytest.raises(UndecodableText) as caught:
        character_set.decode(raw, is_name=True)
    assert "me" not in repr(caught.value.args)
    assert character_set.decode_key(raw, is_name=True) == "J*r*me"


def test_an_unknown_character_set_still_reads_plain_ascii() -> None:
    assert parse_character_set("nonsense").decode(b"DUPONT^JEAN", is_name=True) == "DUPONT^JEAN"


@pytest.mark.parametrize("declared", ["", "ISO_IR 100", "ISO_IR 13", "ISO 2022 IR 100\\ISO 2022 IR 126", "GBK"])
def test_text_without_a_code_is_refused_and_never_replaced(declared: str) -> None:
    with pytest.raises(UnencodableText):
        parse_character_set(declared).encode("é山Ω\U0001f600", is_name=True)


def test_utf_8_encodes_everything() -> None:
    assert UTF_8.encode("é山Ω", is_name=True).decode("utf-8") == "é山Ω"
