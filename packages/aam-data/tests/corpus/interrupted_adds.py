"""Adds a study to a corpus of one study again and again, killed one change later each time, until it is in.

Writes a line after each attempt: how it ended, and the numbers of studies and samples that a reader sees.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from aam_data.corpus.add import add_study
from aam_data.corpus.check import check_corpus
from aam_data.corpus.read import read_corpus
from aam_data.options.corpus import CorpusStudyOptions
from aam_data.options.files import MetadataOptions, TableOptions

CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")


def add(corpus: Path, study: Path, name: str, last: int) -> None:
    """Add a study in this process, which kills itself at change number ``last`` below the folder of the corpus."""
    seen = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        is_write = event == "open" and isinstance(arguments[1], str) and arguments[1][:1] in "xwa"
        if (is_write or event in CHANGES) and str(corpus) in str(arguments[0]):
            seen += 1
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    options = CorpusStudyOptions(name, study / "tree.nwk", prefix_samples=True)
    add_study(corpus, options, TableOptions(study / "table.biom"), MetadataOptions(study / "metadata.tsv"))


def main(corpus: Path, study: Path, name: str) -> None:
    for last in range(1, 200):
        child = os.fork()
        if child == 0:
            add(corpus, study, name, last)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        n_studies, n_samples = len(check_corpus(corpus).studies), read_corpus(corpus).table.n_samples
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)} {n_studies} {n_samples}\n")
        if n_studies > 1:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
