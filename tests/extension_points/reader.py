"""A reader of tables with columns of fixed width."""

from .extension import DATA, Extension

READER = Extension(
    2,
    {
        f"{DATA}/readers/biom/fixed_width.py": [
            (
                "",
                '''"""Tables with columns of ten characters."""

from __future__ import annotations

from aam_data.readers.biom.tsv import read_tsv_table

MAGIC = b"FIXED10"


def read_fixed_width_table(content, path):
    lines = content.split(b"\\n")[1:]
    cells = [[line[i : i + 10].strip() for i in range(0, len(line), 10)] for line in lines if line]
    return read_tsv_table(b"\\n".join(b"\\t".join(row) for row in cells) + b"\\n", path)
''',
            )
        ],
        f"{DATA}/readers/biom/table.py": [
            (
                "            table = read_hdf5_table(BytesIO(content), path, max_bytes)",
                "\n        elif content.startswith(MAGIC):"
                "\n            table, notes = read_fixed_width_table(content, path)",
            ),
            (
                "from aam_data.readers.biom.checks import cells_of, check_fractions",
                "\nfrom aam_data.readers.biom.fixed_width import MAGIC, read_fixed_width_table",
            ),
        ],
    },
    """
from pathlib import Path
from aam_data import read_table
rows = [("#OTU ID", "S1", "S2"), ("ACGTACGT", "3", "0"), ("ACGTTTTT", "1", "5")]
Path("table.txt").write_text("FIXED10\\n" + "".join("".join(f"{c:<10}" for c in row) + "\\n" for row in rows))
table = read_table(Path("table.txt")).table
assert table.sample_ids.tolist() == ["S1", "S2"] and table.depths().tolist() == [4, 5]
""",
)
