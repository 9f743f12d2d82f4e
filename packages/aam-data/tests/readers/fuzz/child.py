"""Parent side of the process that reads damaged files."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings

SECONDS = 120.0  # for one small file; a reader needs milliseconds, and a busy machine seconds
_EXAMPLES = os.environ.get("AAM_FUZZ_EXAMPLES")  # set by the nox session `fuzz`
_FOLDER = os.environ.get("AAM_FUZZ_FOLDER")
# A file that shows a bug is kept as it is, so there is nothing to shrink. Without the session every run is the same.
FUZZ = settings(
    max_examples=int(_EXAMPLES or 300),
    derandomize=_EXAMPLES is None,
    database=None,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


class Reading:
    """Readers in a process that is started again when it hangs or dies.

    Attributes:
        ends: number of files by reader and outcome.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept = Path(_FOLDER) if _FOLDER else folder
        self._child: subprocess.Popen[bytes] | None = None
        self.ends: Counter[tuple[str, str]] = Counter()

    def __call__(self, reader: str, content: bytes, **options: Any) -> str:
        """Read a file with this content: ``accepted`` or ``refused``, else an AssertionError naming the kept file."""
        path = self._folder / "file"
        path.write_bytes(content)
        end, text = self._ask(json.dumps([reader, str(path), options]))
        self.ends[reader, end] += 1
        if end not in ("accepted", "refused"):
            kept = self._kept / f"{reader}-{end}-{sha256(content).hexdigest()[:12]}"
            kept.write_bytes(content)
            raise AssertionError(f"{end}: {kept}\n{text}")
        return end

    def _ask(self, question: str) -> tuple[str, str]:
        if self._child is None:
            script = Path(__file__).with_name("reader_process.py")
            environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            self._child = subprocess.Popen(
                [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
            )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it died after its last answer; there will be none
            self._child.stdin.write(f"{question}\n".encode())
            self._child.stdin.flush()
        if not select.select([self._child.stdout], [], [], SECONDS)[0]:
            self.close()
            return "hang", f"no answer in {SECONDS:g} s"
        line = self._child.stdout.readline()
        if not line:
            status = self._child.wait()
            self.close()
            return "crash", f"the process ended with status {status}"
        end, text = json.loads(line)
        return end, text

    def close(self) -> None:
        """End the process, if it runs."""
        if self._child is not None:
            self._child.kill()
            with contextlib.suppress(BrokenPipeError):
                self._child.communicate()
            self._child = None


@contextmanager
def reading_in(folder: Path) -> Iterator[Reading]:
    """Provide the readers for the tests of a module, and append the number of files read to the session's folder."""
    reading = Reading(folder)
    try:
        yield reading
    finally:
        reading.close()
        if _FOLDER:
            with Path(_FOLDER, "counts.tsv").open("a", encoding="utf-8") as file:
                file.writelines(f"{reader}\t{end}\t{n}\n" for (reader, end), n in reading.ends.items())
