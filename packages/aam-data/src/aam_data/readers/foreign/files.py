"""Files that are not data, or data in a wrapping that AAM does not open: recognised by their first bytes.

Spreadsheets and documents, web pages saved under any name, archives, objects of R and Python.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from aam_data.errors import DataError

_AS_TEXT = "Save it as tab-separated text (in Excel: Text, tab delimited), and pass that file"
_UNPACK = "Unpack it, and pass the file inside"
_DOWNLOAD = "Download the file itself (on GitHub: the raw file), and look at it before you pass it"
_FROM_R = 'In R: write.table(x, "FILE.tsv", sep = "\\t", quote = FALSE, col.names = NA)'
_TAR_MAGIC = slice(257, 262)

# First bytes, what the file is, and the remedy.
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel or Word file (.xls, .doc, or one with a password)", _AS_TEXT),
    (b"%PDF-", "a PDF file", "Pass the data as text; a table in a PDF has to be copied or downloaded as text"),
    (b"{\\rtf", "an RTF document", "Save it as plain text (UTF-8)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"PK\x05\x06", "an empty zip archive", "Copy the file again"),
    (b"PK\x07\x08", "a zip archive in several parts", _UNPACK),
    (b"BZh", "a bzip2 file", "Unpack it first: bunzip2 FILE"),
    (b"\xfd7zXZ\x00", "an xz file", "Unpack it first: unxz FILE"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "Unpack it first: unzstd FILE"),
    (b"\x04\x22\x4d\x18", "an lz4 file", "Unpack it first: unlz4 FILE"),
    (b"\x1f\x9d", "a file of compress (.Z)", "Unpack it first: uncompress FILE"),
    (b"RDX", "an R object (.RData)", _FROM_R),
    (b"RDA", "an R object (.RData)", _FROM_R),
    (b"X\n\0\0\0", "an R object (.rds)", _FROM_R),
    (b"A\n2\n", "an R object (.rds)", _FROM_R),
    (b"A\n3\n", "an R object (.rds)", _FROM_R),
    (b"PAR1", "a Parquet file", _AS_TEXT),
    (b"ARROW1", "an Arrow file", _AS_TEXT),
    (b"SQLite format 3\0", "an SQLite database", _AS_TEXT),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file", _AS_TEXT),
    (b"\x89PNG", "a picture (PNG)", "Pass the data behind it"),
    (b"\xff\xd8\xff", "a picture (JPEG)", "Pass the data behind it"),
    (b"GIF8", "a picture (GIF)", "Pass the data behind it"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file", "Fetch the file: git lfs pull"),
)
_PICKLE = re.compile(rb"\x80[\x02-\x05](\x95|\x8c|[c}(\]])", re.DOTALL)
_NOT_FOUND = re.compile(rb"\d{3}:? (not found|forbidden|unauthorized)\s*", re.IGNORECASE)
_MARKUP = re.compile(rb"<[a-z!?]", re.IGNORECASE)
_HTML = re.compile(rb"<!doctype html|<(html|head|body|table|div|script|meta)\b", re.IGNORECASE)
_EXCEL_XML = b"schemas-microsoft-com:office:spreadsheet"
_OFFICE = {
    "xl/": "an Excel workbook (.xlsx)",
    "word/": "a Word document (.docx)",
    "ppt/": "a PowerPoint file (.pptx)",
}
_MIN_ZEROS = 16
_UTF16 = (b"\xff\xfe", b"\xfe\xff")  # byte order marks


def reject_foreign(head: bytes, path: Path) -> None:
    """Raise DataError if the first bytes of a file, plain or unpacked, are those of a format that AAM does not read.

    Args:
        head: about 1,000 bytes; zip, gzip and HDF5 pass.
        path: names the file in messages.
    """
    for magic, what, remedy in _MAGIC:
        if head.startswith(magic):
            raise DataError(f"is {what}", code="file-foreign-format", file=path, remedy=remedy)
    if head[_TAR_MAGIC] == b"ustar":
        raise DataError("is a tar archive", code="file-foreign-format", file=path, remedy=_UNPACK)
    if _PICKLE.match(head):
        remedy = "It could run code when it is read: save the data as text or .npy"
        raise DataError("is a Python pickle", code="file-foreign-format", file=path, remedy=remedy)
    if len(head) >= _MIN_ZEROS and not head.strip(b"\0"):
        raise DataError(
            "starts with NUL bytes only", code="file-blank", file=path, remedy="It has no content: copy the file again"
        )
    if head.startswith(_UTF16):
        raise DataError("UTF-16, not UTF-8 text", code="file-not-utf8", file=path, remedy="Save it as UTF-8")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _NOT_FOUND.fullmatch(text):
        problem = f"is the answer of a web server, {text.decode(errors='replace').strip()}"
        raise DataError(problem, code="file-web-page", file=path, remedy=_DOWNLOAD)
    if _MARKUP.match(text):
        if _EXCEL_XML in text:
            raise DataError("is an Excel workbook saved as XML", code="file-foreign-format", file=path, remedy=_AS_TEXT)
        if _HTML.search(text):
            raise DataError("is a web page (HTML), not data", code="file-web-page", file=path, remedy=_DOWNLOAD)
        remedy = "Export it as plain text: a tree as newick, a table as tab-separated text"
        raise DataError("is an XML file", code="file-foreign-format", file=path, remedy=remedy)


def reject_foreign_zip(names: Sequence[str], path: Path) -> None:
    """Raise DataError if a zip archive with the members ``names`` is a document of an office program."""
    for prefix, what in _OFFICE.items():
        if any(name.startswith(prefix) for name in names):
            raise DataError(f"is {what}", code="file-foreign-format", file=path, remedy=_AS_TEXT)
    if {"mimetype", "content.xml"} <= set(names):
        raise DataError("is an OpenDocument file (.ods, .odt)", code="file-foreign-format", file=path, remedy=_AS_TEXT)
    if any(name.endswith(".iwa") for name in names):
        raise DataError(
            "is a document of Apple Numbers or Pages", code="file-foreign-format", file=path, remedy=_AS_TEXT
        )
