"""Lists of sample ids that divide the samples, and cannot."""

from __future__ import annotations

from pathlib import Path

from .case import Case, Says, Spoil, both, content, note
from .good_study import SAMPLES


def lists(train: list[str] | None, val: list[str] | None, test: list[str] | None = None) -> Spoil:
    """The files train.txt, val.txt and test.txt; None leaves one out."""

    def spoil(folder: Path) -> None:
        for name, ids in zip(("train.txt", "val.txt", "test.txt"), (train, val, test), strict=True):
            if ids is not None:
                (folder / name).write_bytes("".join(f"{one}\n" for one in ids).encode())

    return spoil


TRAIN, VAL, TEST = SAMPLES[:8], SAMPLES[8:12], SAMPLES[12:]
CASES: list[Case] = [
    Case(
        name,
        spoil,
        says,
        {"--group-column": None, "--train-samples": "train.txt", "--val-samples": "val.txt"} | options,
    )
    for name, spoil, says, options in (
        ("ids_good", lists(TRAIN, VAL, TEST), (), {"--test-samples": "test.txt"}),
        ("ids_absent", lists(TRAIN, None), (Says("val.txt", "cannot be read", remedy="--val-samples"),), {}),
        ("ids_empty", lists(TRAIN, []), (Says("val.txt", "file is empty"),), {}),
        ("ids_blank", lists(TRAIN, ["", " "]), (Says("val.txt", "contains no sample id"),), {}),
        (
            "ids_overlap",
            lists(TRAIN, [*VAL, "s01", "s02"]),
            (Says("val.txt", "2 samples are in another list too", "", ("s01 (also train)", "s02"), 2),),
            {},
        ),
        (
            "ids_twice",
            lists(TRAIN, [*VAL, "s09"]),
            (Says("val.txt", "sample ids that appear more than once", offenders=("s09",), count=1),),
            {},
        ),
        (
            "ids_unknown",
            lists([*TRAIN, "zz"], VAL),
            (Says("train.txt", "1 samples are not in the table", "", ("zz",), 1),),
            {},
        ),
        (
            "ids_with_a_header",
            lists(["sample-id", *TRAIN], ["#SampleID", *VAL]),
            (
                note("train.txt", "the first line, sample-id, is a header"),
                note("val.txt", "the first line, #SampleID, is a header"),
            ),
            {},
        ),
        (
            "ids_in_a_table",
            lists(TRAIN, ["sample-id\tage", *(f"{name}\t5" for name in VAL)]),
            (Says("val.txt", "several columns", "", ("row 1", "row 2"), 5, remedy="cut -f 1"),),
            {},
        ),
        (
            "ids_with_a_separator_of_lines",
            lists(TRAIN, ["s09\u2028s10", "s11\x85"]),
            (Says("val.txt", "control characters", "", (r"'s09\u2028s10'", r"'s11\x85'"), 2),),
            {},
        ),
        (
            "ids_in_a_workbook",
            both(lists(TRAIN, None), content("val.txt", b"PK\3\4" + bytes(40))),
            (Says("val.txt", "is a zip archive, such as an Excel workbook", remedy="--val-samples"),),
            {},
        ),
        ("ids_with_crlf", lists([f"{name}\r" for name in TRAIN], VAL), (), {}),
    )
]
