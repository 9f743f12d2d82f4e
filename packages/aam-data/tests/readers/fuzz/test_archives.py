"""Damaged or malicious artifacts and archives are read or rejected."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .child import FUZZ, Reading, reading_in
from .damage import damaged

UUID = "0d9a2f4e-6b1c-4c3d-9e5f-7a8b9c0d1e2f"
PAYLOADS = {
    "table": ("FeatureTable[Frequency]", "feature-table.biom", b"#OTU ID\ts1\ts2\nf1\t1\t2\nf2\t0\t5\n"),
    "newick": ("Phylogeny[Rooted]", "tree.nwk", b"((a:1,b:2):1,c:1);"),
    "metadata": ("ImmutableMetadata", "metadata.tsv", b"id\tage\ns1\t4\ns2\t5\n"),
    "sequences": ("FeatureData[Sequence]", "dna-sequences.fasta", b">s1\nACGT\n>s2\nACGA\n"),
    "distances": ("DistanceMatrix", "distance-matrix.tsv", b"\ts1\ts2\ns1\t0\t0.5\ns2\t0.5\t0\n"),
    "taxonomy": ("FeatureData[Taxonomy]", "taxonomy.tsv", b"Feature ID\tTaxon\nf1\tk__Bacteria\n"),
    "diversity": ("SampleData[AlphaDiversity]", "alpha-diversity.tsv", b"\tfaith_pd\ns1\t1.5\n"),
}


def archive(members: list[tuple[str, bytes, dict[str, Any]]]) -> bytes:
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text, attributes in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in attributes.items():
                setattr(info, key, value)
            file.writestr(info, text)
    return content.getvalue()


def members(kind: str, name: str, payload: bytes) -> list[tuple[str, bytes, dict[str, Any]]]:
    return [
        (f"{UUID}/VERSION", b"QIIME 2\narchive: 5\nframework: 2024.10.1\n", {}),
        (f"{UUID}/metadata.yaml", f"uuid: {UUID}\ntype: {kind}\nformat: X\n".encode(), {}),
        (f"{UUID}/data/{name}", payload, {}),
    ]


@st.composite
def made_to_harm(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw a reader and an archive with members renamed, retyped, repeated, left out or added."""
    reader = draw(st.sampled_from(sorted(PAYLOADS)))
    parts = members(*PAYLOADS[reader])
    for _ in range(draw(st.integers(0, 2))):
        if parts:
            del parts[draw(st.integers(0, len(parts) - 1))]
    name = st.one_of(
        st.sampled_from(
            ["../x", "/etc/x", "C:\\x", f"{UUID}/../../x", f"{UUID}/", "", ".", f"{UUID}/VERSION", "a/b", "\u00e9"]
        ),
        st.text(max_size=8),
    )
    text = st.sampled_from([b"", b"x", b"QIIME 2\n", b"type: DistanceMatrix\n", bytes(10**6), b"\xff\xfe"])
    attributes = st.fixed_dictionaries(
        {},
        optional={
            "external_attr": st.sampled_from([0, 16, 0o120777 << 16, 0o010644 << 16, 2**32 - 1]),
            "create_system": st.sampled_from([0, 3, 255]),
        },
    )
    parts += [part for part in draw(st.lists(st.tuples(name, text, attributes), max_size=3)) if "\0" not in part[0]]
    return reader, archive(draw(st.permutations(parts)))


GOOD = {reader: archive(members(*payload)) for reader, payload in PAYLOADS.items()}

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # which would hide the failure


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reading]:
    with reading_in(tmp_path_factory.mktemp("fuzz")) as reading:
        yield reading


@pytest.mark.parametrize("reader", sorted(PAYLOADS))
def test_the_good_artifacts_are_accepted(reading: Reading, reader: str) -> None:
    assert reading(reader, GOOD[reader]) == "accepted"


@FUZZ
@given(reader=st.sampled_from(sorted(PAYLOADS)), data=st.data())
def test_damaged_artifacts(reading: Reading, reader: str, data: st.DataObject) -> None:
    reading(reader, data.draw(damaged(GOOD[reader])))


@FUZZ
@given(case=made_to_harm())
@pytest.mark.filterwarnings("ignore:Duplicate name")  # zipfile warns while it writes one
def test_archives_made_to_harm(reading: Reading, case: tuple[str, bytes]) -> None:
    reading(*case)


@FUZZ
@given(reader=st.sampled_from(sorted(PAYLOADS)), data=st.data())
def test_damaged_payloads(reading: Reading, reader: str, data: st.DataObject) -> None:
    kind, name, payload = PAYLOADS[reader]
    reading(reader, archive(members(kind, name, data.draw(damaged(payload)))))
