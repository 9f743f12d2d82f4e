"""Layouts that R, pandas and spreadsheets write: read where nothing else can be meant, and named otherwise."""

from __future__ import annotations

from typing import Any

import h5py

from .case import MATRIX, Case, Says, both, case, content, note
from .good_study import FEATURES, HEADER, ROWS, SAMPLES, lsmat_text, metadata_text, tsv_table
from .hdf5_tables import hdf5

META, TABLE, DIST = "metadata.tsv", "table.biom", "distances.tsv"
NUMBERED = [[str(b + 1), *row] for b, row in enumerate(ROWS)]
DISTANCES: dict[str, Any] = {key[2:].replace("-", "_"): value for key, value in MATRIX.items()}
FROM_R = "write.table"


def blanks(header: list[str], rows: list[list[str]]) -> str:
    """A file of R's write.table with its defaults: blanks, quotes, no cell above the row names."""
    return "\n".join(" ".join(f'"{cell}"' for cell in row) for row in [header, *rows]) + "\n"


def csv(text: str) -> str:
    return text.replace("\t", ",")


def lzf(file: h5py.File) -> None:
    for name in ("sample/ids", "observation/ids", "sample/matrix/data", "sample/matrix/indices"):
        values, dtype = file[name][()], file[name].dtype
        del file[name]
        file.create_dataset(name, data=values, dtype=dtype, compression="lzf", chunks=True)


TSV_ROWS = tsv_table().splitlines()[1:]
LOWER = lsmat_text().splitlines()
NAMED = [[f"ASV{k}" if k else "", *row.split("\t")[1:]] for k, row in enumerate(TSV_ROWS)]
CASES: list[Case] = [
    case(
        "tsv_empty_columns_on_the_right",
        content(TABLE, "".join(f"{line}\t\t\n" for line in tsv_table().splitlines())),
        note(TABLE, "empty columns on the right"),
    ),
    case(
        "tsv_a_value_below_an_empty_name",
        content(TABLE, "".join(f"{line}\t{'' if line.startswith('#') else 7}\n" for line in tsv_table().splitlines())),
        Says(TABLE, "in the first row"),
    ),
    case(
        "metadata_numbered_rows",
        content("m.csv", csv(metadata_text(["", *HEADER], NUMBERED))),
        note("m.csv", "the first column has no name and numbers the rows"),
        metadata="m.csv",
    ),
    case(
        "metadata_header_one_cell_short",
        content(META, metadata_text(HEADER[1:])),
        note(META, "the header has no cell above the first column", "warning"),
    ),
    case(
        "metadata_numbered_rows_and_header_one_cell_short",
        content(META, metadata_text(HEADER, NUMBERED)),
        note(META, "numbers the rows"),
    ),
    case(
        "metadata_last_column_without_a_name",
        content(META, metadata_text(["sample", *HEADER[1:-1]])),
        Says(META, "rows with more cells than the header's 4", remedy="Name the first column too"),
        group_column=None,
    ),
    case(
        "metadata_below_a_title",
        content(META, "Supplementary Table 3\n\n" + metadata_text()),
        note(META, "row 1 is a title above the header", "warning"),
    ),
    case(
        "metadata_below_an_empty_title",
        content(META, "Table 3\t\t\t\t\n" + metadata_text()),
        note(META, "row 1 is a title above the header", "warning"),
    ),
    case(
        "metadata_separated_by_blanks",
        content(META, blanks(HEADER[1:], ROWS)),
        Says(META, "separated by blanks", remedy=FROM_R),
    ),
    case(
        "distances_header_one_cell_short",
        content(DIST, lsmat_text().lstrip("\t")),
        note(DIST, "the header has no cell above the ids"),
        **DISTANCES,
    ),
    case(
        "distances_separated_by_blanks",
        content(DIST, blanks(SAMPLES, [row.split("\t") for row in lsmat_text().splitlines()[1:]])),
        Says(DIST, "separated by blanks", remedy=FROM_R),
        **DISTANCES,
    ),
    case(
        "distances_of_pairs",
        content(DIST, "a\tb\tdistance\ns01\ts02\t0.1\n"),
        Says(DIST, "distances of pairs in three columns", remedy="square matrix"),
        **DISTANCES,
    ),
    case(
        "distances_of_pairs_separated_by_blanks",
        content(DIST, "s01 s02 0.1\ns01 s03 0.2\n"),
        Says(DIST, "distances of pairs in three columns", remedy="square matrix"),
        **DISTANCES,
    ),
    case(
        "distances_lower_triangle",
        content(DIST, "\n".join("\t".join(row.split("\t")[: b + 1 or None]) for b, row in enumerate(LOWER, -1))),
        Says(DIST, "only the lower triangle", "row 2", remedy="square matrix"),
        **DISTANCES,
    ),
    case(
        "distances_below_a_title",
        content(DIST, "Bray-Curtis\n" + lsmat_text()),
        Says(DIST, "a title, not the header of ids", "row 1", remedy="Remove the lines above"),
        **DISTANCES,
    ),
    case("table_csv", content("table.csv", csv("\n".join(TSV_ROWS))), table="table.csv"),
    case(
        "table_csv_with_an_unnamed_first_cell",
        content(TABLE, csv("\n".join(['""\t' + "\t".join(f'"{name}"' for name in SAMPLES), *TSV_ROWS[1:]]))),
    ),
    case(
        "table_csv_with_taxonomy_in_quotes",
        content(
            TABLE, csv("\n".join(row + "\t" + ('"k__B, p__F"', "taxonomy")[k == 0] for k, row in enumerate(TSV_ROWS)))
        ),
        note(TABLE, "taxonomy, contains text"),
    ),
    case(
        "table_with_semicolons", content(TABLE, tsv_table().replace("\t", ";")), Says(TABLE, "separated by semicolons")
    ),
    case(
        "table_separated_by_blanks",
        content(TABLE, blanks(SAMPLES, [row.split("\t") for row in TSV_ROWS[1:]])),
        Says(TABLE, "separated by blanks", remedy=FROM_R),
    ),
    case(
        "table_below_a_title",
        content(TABLE, "OTU table of May\n" + "\n".join(TSV_ROWS)),
        note(TABLE, "row 1 of table.biom is a title"),
    ),
    case(
        "table_with_row_numbers",
        content(TABLE, "\n".join(f"{k or ''}\t{row}".replace("#OTU ID", "OTU") for k, row in enumerate(TSV_ROWS))),
        Says(TABLE, "columns that are not samples", "", ("OTU",), 1, "row numbers"),
    ),
    case(
        "table_below_a_comment_with_commas",
        content(TABLE, "# counts, not rarefied\n" + "\n".join(TSV_ROWS).replace("#OTU ID", "OTU")),
    ),
    case(
        "table_with_features_in_columns",
        both(
            content(TABLE, "\n".join("\t".join(row) for row in zip(*NAMED, strict=True))),
            content("rep-seqs.fasta", "".join(f">ASV{k}\n{name}\n" for k, name in enumerate(FEATURES, 1))),
        ),
        Says(TABLE, "the table seems transposed", "", ("ASV1", "ASV2"), remedy="t() in R"),
        sequences="rep-seqs.fasta",
        metadata=None,
        group_column=None,
        tree=None,
    ),
    case("table_with_lzf", hdf5(lzf)),
]
