"""Files of other programs under any name and option: spreadsheets, web pages, archives, other tables and matrices."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile
from typing import Any

from .case import MATRIX, Case, Says, case, content
from .good_study import COUNTS, FEATURES, SAMPLES, distances
from .hdf5_tables import table

TABLE, META, TREE, DIST, FASTA = "table.biom", "metadata.tsv", "tree.nwk", "distances.tsv", "rep-seqs.fasta"
AS_TEXT = "tab-separated text"


def zipped(**members: str) -> bytes:
    """A zip archive; ``xl__workbook_xml`` stands for xl/workbook.xml."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_xml", ".xml").replace("_tsv", ".tsv"), text)
    return stream.getvalue()


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("table.tsv"), io.BytesIO())
    return stream.getvalue()


XLSX = zipped(xl__workbook_xml="<x/>")
HTML = "\n<!DOCTYPE html>\n<html><body>Sign in</body></html>"
HEADER = "\t".join(SAMPLES)
ROWS = ["\t".join([f"Otu{k}", str(COUNTS[:, k].sum()), *map(str, COUNTS[:, k])]) for k in range(20)]
COUNT_TABLE = "\n".join([f"Representative_Sequence\ttotal\t{HEADER}", *ROWS]) + "\n"
COMPRESSED = (
    "#Compressed Format: groupIndex,abundance\n#1,s01\t2,s02\nRepresentative_Sequence\ttotal\ts01\ts02\nO\t3\t1,3\n"
)
OTUS = [f"Otu{k}" for k in range(20)]
SHARED = "\n".join(
    ["\t".join(["label", "Group", "numOtus", *OTUS])]
    + ["\t".join(["0.03", name, "20", *map(str, row)]) for name, row in zip(SAMPLES, COUNTS, strict=True)]
)
LOWER = "\n".join(["16", *("\t".join([name, *map(str, distances()[b, :b])]) for b, name in enumerate(SAMPLES))])
SQUARE = "\n".join(["  16", *(" ".join([name, *map(str, distances()[b])]) for b, name in enumerate(SAMPLES))])
METAPHLAN = f"#mpa_vJan21_CHOCOPhlAnSGB_202103\nclade_name\t{HEADER}\nk__Bacteria\t" + "\t".join(["100.0"] * 16) + "\n"
OPTION: dict[str, dict[str, Any]] = {TABLE: {}, META: {}, TREE: {}, DIST: MATRIX, FASTA: {"--sequences": FASTA}}


def everywhere(name: str, text: str | bytes, problem: str, remedy: str, *files: str) -> list[Case]:
    """One case for each option that may get such a file."""
    return [
        Case(
            f"{name}_as_{file.partition('.')[0]}",
            content(file, text),
            (Says(file, problem, remedy=remedy),),
            OPTION[file],
        )
        for file in files
    ]


def profile(name: str, problem: str, features: list[str]) -> Case:
    return case(
        f"features_are_{name}",
        table(features=features),
        Says(TABLE, problem, "", (features[0],), remedy="AAM needs counts of ASVs"),
        tree=None,
    )


CASES: list[Case] = [
    *everywhere(
        "utf_16", "\ufeff>A\nACGT\n".encode("utf-16-le"), "UTF-16", "Save it as UTF-8", TABLE, TREE, DIST, FASTA
    ),
    *everywhere("excel", XLSX, "is an Excel workbook", AS_TEXT, TABLE, META, TREE, DIST, FASTA),
    *everywhere(
        "old_excel", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is an Excel or Word file", AS_TEXT, TABLE, META
    ),
    *everywhere("opendocument", zipped(mimetype="x", content_xml="<x/>"), "is an OpenDocument file", AS_TEXT, META),
    *everywhere("word", zipped(word__document_xml="<x/>"), "is a Word document", AS_TEXT, META),
    *everywhere("zip", zipped(table_tsv="x"), "not a QIIME 2 artifact", "unpack it", TABLE, META, TREE, DIST),
    *everywhere("web_page", HTML, "is a web page (HTML)", "Download the file itself", TABLE, META, TREE, DIST, FASTA),
    *everywhere("packed_web_page", gzip.compress(HTML.encode()), "is a web page (HTML)", "Download", TABLE, META),
    *everywhere("not_found", "404: Not Found", "is the answer of a web server", "Download", TABLE, TREE),
    *everywhere(
        "excel_xml",
        '<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">',
        "saved as XML",
        AS_TEXT,
        META,
    ),
    *everywhere(
        "lfs_pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS", "git lfs pull", TABLE
    ),
    *everywhere("pdf", b"%PDF-1.7\n", "is a PDF file", "as text", META),
    *everywhere("rtf", b"{\\rtf1\\ansi", "is an RTF document", "plain text", META, TABLE),
    *everywhere("tar", tarred(), "is a tar archive", "Unpack it", TABLE, TREE),
    *everywhere("bzip2", b"BZh91AY&SY" + bytes(50), "is a bzip2 file", "bunzip2", TABLE, FASTA),
    *everywhere("xz", b"\xfd7zXZ\x00" + bytes(50), "is an xz file", "unxz", TABLE, TREE),
    *everywhere("7z", b"7z\xbc\xaf\x27\x1c" + bytes(50), "is a 7z archive", "Unpack it", META),
    *everywhere("rds", gzip.compress(b"X\n\0\0\0\3" + bytes(50)), "is an R object", "write.table", TABLE, META),
    *everywhere("pickle", pickle.dumps({"a": 1}), "is a Python pickle", "as text", TABLE, DIST),
    *everywhere("packed_twice", gzip.compress(gzip.compress(b"x")), "packed again", "gunzip", TABLE, TREE),
    *everywhere(
        "nothing_but_nul",
        bytes(5000),
        "starts with NUL bytes only",
        "copy the file again",
        TABLE,
        META,
        TREE,
        DIST,
        FASTA,
    ),
    *everywhere(
        "count_table", COUNT_TABLE, "whose column total is the sum of the samples", "cut -f 1,3-", TABLE, META, DIST
    ),
    *everywhere("compressed_count_table", COMPRESSED, "a compressed mothur count table", "compress=f", TABLE, META),
    *everywhere("shared", SHARED, "a mothur shared file", "make.biom(shared=", TABLE, META, DIST),
    *everywhere("phylip_lower", LOWER, "a PHYLIP distance matrix (lower triangle)", "phylip_dm", DIST, META, TABLE),
    *everywhere("phylip_square", SQUARE, "is a PHYLIP distance matrix", "phylip_dm", DIST, META),
    *everywhere("phylip_alignment", "2 4\nA ACGT\nB ACGA\n", "a PHYLIP alignment", "FASTA", FASTA),
    *everywhere("metaphlan", METAPHLAN, "a profile of taxa of MetaPhlAn", "counts of ASVs", TABLE, META),
    *everywhere("humann", f"# Pathway\t{HEADER}\n", "a profile of functions of HUMAnN", "counts of ASVs", TABLE),
    profile("orthologs", "KEGG orthologs", [f"K{k:05}" for k in range(20)]),
    profile("enzymes", "EC numbers", [f"EC:1.1.1.{k}" for k in range(20)]),
    profile("lineages", "taxa", [f"k__Bacteria|p__Firmicutes|g__{k}" for k in range(20)]),
    case(
        "names_of_asvs_like_orthologs",
        lambda folder: (
            table(features=[f"K{k:05}" for k in range(20)])(folder),
            content(FASTA, "".join(f">K{k:05}\n{name}\n" for k, name in enumerate(FEATURES)))(folder),
        ),
        sequences=FASTA,
    ),
]
