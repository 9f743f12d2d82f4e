"""Lists of sample ids that divide the samples, and cannot."""

from __future__ import annotations

from pathlib import Path

from .case import Case, Says, Spoil
from .good_study import SAMPLES


def lists(train: list[str] | None, val: list[str] | None, test: list[str] | None = None) -> Spoil:
    """The files train.txt, val.txt and test.txt; None leaves one out."""

    def spoil(folder: Path) -> None:
        for name, ids in zip(("train.txt", "val.txt", "test.txt"), (train, val, test), strict=True):
            if ids is not None:
                (folder / name).write_text("".join(f"{one}\n" for one in ids))

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
            (Says("val.txt", "sample ids are listed twice", offenders=("s09",), count=1),),
            {},
        ),
        (
            "ids_unknown",
            lists([*TRAIN, "zz"], VAL),
            (Says("train.txt", "1 samples are not in the table", "", ("zz",), 1),),
            {},
        ),
    )
]
