"""Metadata that are broken as text, as a table, or as what a target needs; and unusual ones that are read."""

from __future__ import annotations

from collections.abc import Callable

from .case import Case, Says, Spoil, both, case, content, edited, note, replaced
from .good_study import HEADER, ROWS, SAMPLES, metadata_text
from .hdf5_tables import table

FILE = "metadata.tsv"
DAYS = "degree_days"


def column(name: str, value: Callable[[int], str]) -> Spoil:
    """A column in which row b became ``value(b)``."""
    at = HEADER.index(name)
    rows = [[*row[:at], value(b), *row[at + 1 :]] for b, row in enumerate(ROWS)]
    return content(FILE, metadata_text(rows=rows))


def some(name: str, **by_row: str) -> Spoil:
    """A column in which some rows, counted from 0, became other values: ``some("age", _3="x")``."""
    at = HEADER.index(name)
    return column(name, lambda b: by_row.get(f"_{b}", ROWS[b][at]))


def renamed(names: list[str]) -> Spoil:
    """Samples with other names in table and metadata."""
    rows = [[name, *row[1:]] for name, row in zip(names, ROWS, strict=True)]
    return both(table(samples=names), content(FILE, metadata_text(rows=rows)))


def written(edit: Callable[[str], str | bytes], name: str = FILE) -> Spoil:
    """The good metadata as another text, or under another name."""
    return content(name, edit(metadata_text()))


def below_header(*lines: str) -> Spoil:
    header, rest = metadata_text().split("\n", 1)
    return content(FILE, "\n".join([header, *lines, rest]))


LIKE_NUMBERS = ["001", "002", "1e5", "10.10", "1E5", "0x1f", "1_000", "+7", *(f"0{b}0" for b in range(10, 18))]
MANY = [f"{name}: 1" for name in ("'<5'", "'1,5'", "'warm'")]

CASES: list[Case] = [
    case("metadata_empty_file", content(FILE, b""), Says(FILE, "file is empty")),
    case("metadata_blank", content(FILE, "\n \n"), Says(FILE, "no header", remedy="#SampleID")),
    case("metadata_header_only", content(FILE, "\t".join(HEADER) + "\n"), Says(FILE, "a header without rows")),
    case("metadata_absent", lambda folder: (folder / FILE).unlink(), Says(FILE, "cannot be read", remedy="--metadata")),
    case("metadata_is_a_folder", lambda folder: None, Says(".", "is a directory", remedy="--metadata"), metadata="."),
    case(
        "metadata_duplicate_ids",
        some("sample-id", _3="s01", _5="s02", _6="s02"),
        Says(FILE, "sample ids that appear more than once", "column sample-id", ("s01", "s02"), 2),
    ),
    case(
        "metadata_empty_ids",
        some("sample-id", _3="", _5=" "),
        Says(FILE, "rows without a sample id", "column sample-id", ("row 5", "row 7"), 2),
    ),
    case("metadata_ids_like_numbers", renamed(LIKE_NUMBERS)),
    case("metadata_byte_order_mark", written(lambda text: b"\xef\xbb\xbf" + text.encode())),
    case("metadata_crlf", written(lambda text: text.replace("\n", "\r\n"))),
    case("metadata_old_mac", written(lambda text: text.replace("\n", "\r"))),
    case(
        "metadata_latin_1",
        written(lambda text: text.replace("h3", "h\u00e9", 1).encode("latin-1")),
        Says(FILE, "not UTF-8 text", "", (r"row 8, column 2: b'\xe9'",), 1, remedy="Save it as UTF-8"),
    ),
    case("metadata_utf_16", written(lambda text: text.encode("utf-16")), Says(FILE, "UTF-16", remedy="UTF-8")),
    case("metadata_nul_bytes", written(lambda text: text.replace("h3", "h\0", 1)), Says(FILE, "NUL bytes")),
    case("metadata_short_rows", written(lambda text: text.replace("\t37\n", "\n")), group_column=None),
    case(
        "metadata_long_rows",
        written(lambda text: text.replace("\t37\n", "\t37\tx\n")),
        Says(FILE, "rows with more cells than the header's 5", "", ("row 16: 6", "row 17: 6"), 2, remedy="Quote"),
    ),
    case("metadata_empty_cells_at_the_right", written(lambda text: text.replace("\n", "\t\t\n"))),
    case("metadata_commas_in_tsv", written(lambda text: text.replace("\t", ",")), note(FILE, "separated by commas")),
    case("metadata_csv", written(lambda text: text.replace("\t", ","), "m.csv"), metadata="m.csv"),
    case("metadata_tabs_in_csv", written(lambda text: text, "m.csv"), note("m.csv", "by tabs"), metadata="m.csv"),
    case(
        "metadata_tabs_and_commas",
        written(lambda text: text.replace("\t", ",", 2), "m.csv"),
        Says("m.csv", "the header has tabs and commas", remedy="Save it with one of them"),
        metadata="m.csv",
    ),
    case(
        "metadata_header_and_rows_differ",
        written(lambda text: text.replace("\t", ",", 4)),
        Says(FILE, "the header has commas and the row under it has tabs", remedy="commas in all rows"),
    ),
    case("metadata_semicolons", written(lambda text: text.replace("\t", ";")), Says(FILE, "semicolons", remedy="tabs")),
    case(
        "metadata_unclosed_quote",
        written(lambda text: text.replace("\th5\t", '\t"h5\t', 1)),
        Says(FILE, "cannot be split", "row 12", remedy="quote"),
    ),
    case(
        "metadata_header_again",
        written(lambda text: text + text),
        Says(FILE, "the header appears again", "", ("row 18",), 1, remedy="Were files joined?"),
    ),
    case(
        "metadata_no_id_column",
        both(table(samples=[f"x{b}" for b in range(16)]), replaced(FILE, "sample-id", "what")),
        Says(FILE, "no column of sample ids", "", ("what", *HEADER[1:]), 5, remedy="--id-column"),
    ),
    case(
        "metadata_id_column_by_its_values",
        replaced(FILE, "sample-id", "what"),
        note(FILE, "first column (what)", "warning"),
    ),
    case(
        "metadata_id_column_absent",
        lambda folder: None,
        Says(FILE, "no column nme", "", tuple(HEADER), 5, remedy="--id-column"),
        id_column="nme",
    ),
    case(
        "metadata_unnamed_columns",
        replaced(FILE, "host\tstatus", "\tstatus"),
        Says(FILE, "columns without a name", "row 1", ("number 2",), 1),
    ),
    case("metadata_q2_types", below_header("#q2:types\tcategorical\tcategorical\tNumeric\tnumeric")),
    case(
        "metadata_q2_types_unknown",
        below_header("#q2:types\tfloat\tcategorical\tnumeric\tinteger"),
        Says(FILE, "unknown values", "row 2 (#q2:types)", ("float", "integer"), 2, remedy="categorical, numeric"),
    ),
    case(
        "metadata_q2_types_twice",
        below_header("#q2:types\tcategorical", "#q2:types\tcategorical"),
        Says(FILE, "#q2:types appears twice", "row 3"),
    ),
    case(
        "metadata_q2_types_below_data",
        written(lambda text: text + "#q2:types\tnumeric\n"),
        Says(FILE, "are not directly under the header", "", ("row 18: #q2:types",), 1, remedy="Move"),
    ),
    case(
        "metadata_q2_no_missing",
        both(
            some("age", _4="", _9="not provided"),
            edited(FILE, lambda text: text.replace(b"\n", b"\n#q2:missing\t\t\t\tno-missing\n", 1)),
        ),
        Says(FILE, "column age has missing values", "", ("s05", "s10"), 2, remedy="directive"),
    ),
    case(
        "metadata_q2_unknown_directive",
        below_header("#q2:units\tm"),
        note(FILE, "row 2, the directive #q2:units is not known and was skipped", "warning"),
    ),
    case("metadata_comments", below_header("# a comment", "#\t1\t2"), note(FILE, "start with # and were skipped")),
    case(
        "metadata_column_twice",
        replaced(FILE, "status", "age"),
        Says(FILE, "several columns are named age", remedy="Rename"),
        metadata_column="age",
    ),
    case(
        "metadata_other_column_twice",
        replaced(FILE, "status", "age"),
        note(FILE, "cannot be used"),
        metadata_column=DAYS,
    ),
    case(
        "metadata_column_absent",
        lambda folder: None,
        Says(FILE, "no column degre_days", remedy=DAYS),
        metadata_column="degre_days",
    ),
    case(
        "metadata_group_absent", lambda folder: None, Says(FILE, "no column hosts", remedy="host"), group_column="hosts"
    ),
    case(
        "metadata_no_shared_samples",
        column("sample-id", lambda b: f"X{b}"),
        Says(FILE, "contains none of the table's samples; the table has s01, s02, s03", remedy="one study"),
    ),
    case(
        "metadata_other_spelling",
        column("sample-id", lambda b: f"2538.S{b + 1:02}"),
        Says(FILE, "contains none of the table's samples", remedy="Qiita's study prefix"),
    ),
    case(
        "metadata_lacks_samples",
        content(FILE, metadata_text(rows=ROWS[:9])),
        Says(FILE, "7 of 16 samples of the table are not in", "", tuple(SAMPLES[9:14]), 7, "--missing-samples ignore"),
    ),
    case(
        "metadata_lacks_samples_ignored",
        content(FILE, metadata_text(rows=ROWS[:9])),
        note(FILE, "7 of 16 samples of the table are not in metadata.tsv (s10, s11, s12 and 4 more)"),
        missing_samples="ignore",
    ),
    case(
        "metadata_has_more_samples",
        content(FILE, metadata_text(rows=[*ROWS, ["z1", "h9", "well", "5", "3"]])),
        note(FILE, "1 of 17 samples of metadata.tsv are not in the table (z1)"),
    ),
    case(
        "target_of_text",
        some(DAYS, _2="<5", _3="1,5", _4="warm", _5="NA", _6="not provided"),
        Says(FILE, "values that are not numbers", f"column {DAYS}", tuple(MANY), 3, remedy="--na-value"),
        metadata_column=DAYS,
    ),
    case(
        "target_of_missing_words",
        some(DAYS, _2="Missing: Not collected", _5="NA", _6="not provided"),
        note(FILE, f"3 samples have no value in {DAYS}"),
        metadata_column=DAYS,
    ),
    case(
        "target_with_thousands",
        some(DAYS, _2="1,200", _3="12,5"),
        Says(FILE, "not numbers", f"column {DAYS}", ("'1,200': 1",), 2, "1,200 may be 1200"),
        metadata_column=DAYS,
    ),
    case(
        "target_with_points_between_thousands",
        some(DAYS, _2="1.200.000", _3="1.200"),
        Says(FILE, "not numbers", f"column {DAYS}", ("'1.200.000': 1",), 1, "1.200.000 may be 1200000"),
        metadata_column=DAYS,
    ),
    case(
        "target_with_blanks_between_thousands",
        some(DAYS, _2="1 200", _3="1'300", _4="1\u202f400"),
        Says(FILE, "not numbers", f"column {DAYS}", ("'1 200': 1",), 3, "write thousands without a separator"),
        metadata_column=DAYS,
    ),
    case(
        "target_with_decimal_commas",
        some(DAYS, _2="12,5", _3="0,125"),
        Says(FILE, "not numbers", f"column {DAYS}", ("'12,5': 1",), 2, "Write decimal points"),
        metadata_column=DAYS,
    ),
    case(
        "target_with_a_typographic_minus",
        some(DAYS, _2="\u22122.5"),
        Says(FILE, "not numbers", f"column {DAYS}", ("'\u22122.5': 1",), 1, "Write -2.5 instead of"),
        metadata_column=DAYS,
    ),
    case(
        "metadata_id_with_a_control_character",
        some("sample-id", _3="s04\x9b", _5="s06\x85", _7="s\u2029x"),
        Says(FILE, "sample ids with control characters", "column sample-id", (r"'s04\x9b'", r"'s06\x85'"), 3),
    ),
    case("target_with_na_value", some(DAYS, _2="<5"), note(FILE, "1 samples"), metadata_column=DAYS, na_value="<5"),
    case(
        "target_infinite",
        some(DAYS, _2="inf", _3="-inf", _4="1e999"),
        Says(FILE, "values that are not numbers", f"column {DAYS}", ("'inf': 1", "'-inf': 1", "'1e999': 1"), 3),
        metadata_column=DAYS,
    ),
    case(
        "target_constant",
        column(DAYS, lambda b: "12"),
        Says(FILE, "12", f"column {DAYS}", remedy="--metadata-column"),
        metadata_column=DAYS,
    ),
    case(
        "target_all_missing",
        column(DAYS, lambda b: "NA"),
        Says(FILE, "no", f"column {DAYS}", remedy="--metadata-column"),
        metadata_column=DAYS,
    ),
    case(
        "target_single_class",
        column("status", lambda b: "well"),
        Says(FILE, "the only class of the samples is well", "column status", remedy="--metadata-column"),
        metadata_column="status",
        classifier=True,
    ),
    case(
        "target_rare_classes",
        some("status", _2="rare", _5="odd"),
        Says(FILE, "classes with a single sample", "column status", ("odd", "rare"), 2, remedy="--na-value"),
        metadata_column="status",
        classifier=True,
    ),
    case(
        "target_class_that_may_mean_missing",
        some("status", _2="unknown", _5="unknown"),
        note(FILE, "status has classes that may mean missing: 'unknown' (2)", "warning"),
        metadata_column="status",
        classifier=True,
    ),
    case(
        "target_classes_in_several_spellings",
        column("status", lambda b: ("Sick", "sick", "well", "WELL")[b // 2 % 4]),
        note(FILE, "status has 4 classes that would be 2 without differences of spelling", "warning"),
        metadata_column="status",
        classifier=True,
    ),
    case(
        "target_classes_differ_in_spelling_only",
        some("status", _0="Well", _2="SICK"),
        Says(FILE, "classes with a single sample", remedy="differ from others in spelling only"),
        metadata_column="status",
        classifier=True,
    ),
    case(
        "groups_in_several_spellings",
        column("host", lambda b: (f"{b // 4}", f"{b // 4}.0")[b % 2]),
        note(FILE, "host has 8 groups that would be 4 without differences of spelling", "warning"),
    ),
    case(
        "target_classes_are_numbers",
        lambda folder: None,
        Says(FILE, "classes with a single sample", f"column {DAYS}", remedy="leave out --classifier"),
        metadata_column=DAYS,
        classifier=True,
    ),
    case(
        "target_class_is_a_spreadsheet_error",
        some("status", _2="#N/A", _5="#DIV/0!", _6="#REF!"),
        note(FILE, "3 cells hold errors of a spreadsheet (#N/A, #DIV/0!, #REF!) and count as missing"),
        note(FILE, "3 samples have no value in status"),
        metadata_column="status",
        classifier=True,
    ),
    case(
        "target_number_is_a_spreadsheet_error",
        some(DAYS, _2="#VALUE!", _5="#NV"),
        note(FILE, f"(by column: {DAYS}: 2)"),
        metadata_column=DAYS,
    ),
    *(
        case(f"metadata_ids_{name}", column("sample-id", change), Says(FILE, "contains none", remedy=remedy))
        for name, change, remedy in (
            ("in_cyrillic", lambda b: f"\u0455{b + 1:02}", "U+0455 CYRILLIC SMALL LETTER DZE"),
            ("with_invisible_ends", lambda b: f"s{b + 1:02}\u200b", "U+200B ZERO WIDTH SPACE"),
            ("of_full_width", lambda b: f"\uff53{b + 1:02}", "U+FF53"),
            ("of_redbiom", lambda b: f"s{b + 1:02}.58152", "the number that redbiom puts after samples"),
            ("with_quotes", lambda b: f"'s{b + 1:02}'", "quotes were removed"),
            ("with_folders", lambda b: f"raw/s{b + 1:02}.fasta.gz", "folders were removed"),
            ("with_a_common_end", lambda b: f"s{b + 1:02}.clean", "the end '.clean' were removed"),
        )
    ),
    case(
        "no_sample_deep_enough",
        lambda folder: None,
        Says("table.biom", "no sample", remedy="--rarefy-depth"),
        rarefy_depth=10**6,
    ),
]
