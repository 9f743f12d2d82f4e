"""The newick reader against hand-written trees, scikit-bio, and its own writer."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skbio
from hypothesis import given, settings
from hypothesis import strategies as st

from aam_data.errors import DataError
from aam_data.readers.newick import nodes as newick_nodes
from aam_data.readers.newick import tokens as newick_pieces
from aam_data.readers.newick.tip_names import TipNames
from aam_data.readers.newick.tree import NewickTree, format_newick, parse_newick, read_newick
from aam_data.readers.qiime2 import open_artifact


def by_hand(tree: NewickTree) -> dict[str, list[float]]:
    """Return the branch lengths from each tip up to the root."""
    paths = {}
    for name, tip in zip(tree.tip_names, tree.tips, strict=True):
        lengths, node = [], int(tip)
        while node > 0:
            lengths.append(float(tree.length[node]))
            node = int(tree.parent[node])
        paths[name] = lengths
    return paths


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("(A:1,B:2);", {"A": [1], "B": [2]}),
        ("((A:1,B:2)x:3,C:4)root:5;", {"A": [1, 3], "B": [2, 3], "C": [4]}),
        ("(A:1,(B:2,(C:3,D:4):5,E:6):7);", {"A": [1], "B": [2, 7], "C": [3, 5, 7], "D": [4, 5, 7], "E": [6, 7]}),
        ("(((A:1):2):3,B:0);", {"A": [1, 2, 3], "B": [0]}),
        ("A;", {"A": []}),
        ("(A:1);", {"A": [1]}),
        (" (\n A : 1e-3 ,\r\n\tB:+2.5E1 ) ;\n\n", {"A": [0.001], "B": [25]}),
        ("\ufeff(A_b:1,B c:2);", {"A_b": [1], "B c": [2]}),
        ("('A (1)':1,'it''s; [x]':2)'in''ner':9;", {"A (1)": [1], "it's; [x]": [2]}),
        ('("A":1,B"x":2);', {'"A"': [1], 'B"x"': [2]}),
        ("[&R] (A[c(,;:)c]:1,[it's]B:[&&NHX:S=h]2);[end]", {"A": [1], "B": [2]}),
        ("('[not a comment]':1,B[it is 'quoted' here]:2);", {"[not a comment]": [1], "B": [2]}),
        ("((A:1,B:2)0.98:3,C:4)'k__Bacteria; p__':0.0;", {"A": [1, 3], "B": [2, 3], "C": [4]}),
    ],
)
def test_hand_written_trees(text: str, paths: dict[str, list[float]]) -> None:
    assert by_hand(parse_newick(text.encode())) == paths


def test_order_of_nodes_is_depth_first() -> None:
    tree = parse_newick(b"((A:1,(B:1,C:1):1):1,D:1);")
    assert tree.parent.tolist() == [-1, 0, 1, 1, 3, 3, 0]
    assert tree.tips.tolist() == [2, 4, 5, 6]
    assert tree.last_descendants().tolist() == [6, 5, 2, 5, 4, 5, 6]
    assert tree.root_degree() == 2
    assert parse_newick(b"(A:1,B:1,C:1);").root_degree() == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "file is empty"),
        (" \n", "file is empty"),
        ("<!DOCTYPE html><html></html>;", "a web page"),
        ("(A:1,B:2)", "no semicolon"),
        ("#NEXUS\nbegin trees;", "a NEXUS file.*Export the tree as newick"),
        ("<?xml version='1.0'?><phyloxml/>;", "an XML file.*a tree as newick"),
        ("(\0A\0:\x001\0)\0;\0", "not UTF-8"),
        ("Not found", "no semicolon"),
        ("((A:1,B:2);", "unbalanced brackets: 1 are not closed"),
        (")A:1,B:2(;", r"byte 1: unbalanced brackets: '\)' without"),
        ("(A:1,B:2));", r"byte 10: unbalanced brackets: '\)' without"),
        ("(A:1,B:2);(C:1,D:2);", "after the semicolon"),
        ("A:1,B:2;", "byte 4, near.*not newick"),
        ("(A:1,B:2)(C:1,D:2);", "not newick"),
        ("(A:1:2,B:2);", "not newick"),
        ("(A(B:1,C:2):1,D:1);", "not newick"),
        ("('A:1,B:2);", "unbalanced '"),
        ("(A[c:1,B:2);", r"unbalanced \["),
        ("(A[a[b]c]:1,B:2);", r"unbalanced \]"),
        ("(A:1,B:-2,C:-1e-9);", "2 of 3 branch lengths are negative .-2.0 of B, -1e-09 of C.*--clip-negative-lengths"),
        ("(A:1,(B:1,C:2):-0.5);", "1 of 4 branch lengths are negative .-0.5 of the clade of B"),
        ("(A:nan,(B:inf,C:1):-inf);", "3 of 4 branch lengths.*not.*'nan' of A, 'inf' of B, '-inf' of the clade of B"),
        ("(A:1,B:1e999);", "1 of 2 branch lengths are not finite numbers .'1e999' of B"),
        ("(A:1,B:x);", "'x' of B"),
        ("(A:1,B:);", "'' of B"),
        ("(A:1,B:1_0);", "'1_0' of B"),
        ("(A:1,B:1 2,C: ,D:3);", "2 of 4 .*'1 2' of B, '' of C"),
        ("(A:0x1p3,B:1.e,C:--1);", "3 of 3 .*'0x1p3' of A, '1.e' of B, '--1' of C"),
        ("(A:1.2.3,B:1);", "1 of 2 .*'1.2.3' of A"),
        ("((A,B),C);", r"no branch has a length \(the clade of A, A, B, C\)"),
        ("((A:1,B:2),C);", r"2 of 4 branches do not have a length \(the clade of A, C\)"),
        ("(A:1,A:2,B:1,B:1,B:1);", r"2 tip names are used more than once \(A, B\)"),
        ("(A:1,:2,:3);", r"2 tips have no name \(tip 2, tip 3\)"),
        ("(A:1,(,):3);", r"2 tips have no name \(tip 2, tip 3\)"),
        ("(A:1,'':3);", r"1 tips have no name \(tip 2\)"),
        ("(A:1,'A':3);", r"1 tip names are used more than once \(A\)"),
        ("(A'b':1,'c'd:2,'e'[x]:3);", r"2 tip names have quotes inside \(A'b', 'c'd\)"),
    ],
)
def test_rejects(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "tree.nwk"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_newick(path)


def test_rejects_names_that_are_not_utf8() -> None:
    with pytest.raises(DataError, match="not UTF-8"):
        parse_newick(b"(A:1,\xff\xfe:2);")


def test_shows_the_first_five_of_many() -> None:
    tips = ",".join(f"t{i}:-1" for i in range(100))
    with pytest.raises(DataError, match=r"100 of 100 branch lengths .*, -1.0 of t4\)"):
        parse_newick(f"({tips});".encode())
    tips = ",".join(f"t{i}:x" for i in range(100))
    with pytest.raises(DataError, match=r"100 of 100 branch lengths .*, 'x' of t4\)"):
        parse_newick(f"({tips});".encode())
    with pytest.raises(DataError, match=r"100 tips have no name \(tip 1, .*, tip 5 and 95 more\)"):
        parse_newick(f"({':1,' * 100}x:1);".encode())


def test_more_nodes_than_int32_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newick_nodes, "_MAX_NODES", 6)
    assert parse_newick(b"((A:1,B:2):1,'C,D':3);").n_nodes == 5  # an upper bound counts the comma in quotes
    with pytest.raises(DataError, match="more than 6 nodes"):
        parse_newick(b"((A:1,B:2):1,(C:3,D:1):1);")


def test_negative_lengths_are_clipped_on_request(tmp_path: Path) -> None:
    path = tmp_path / "fasttree.nwk"
    path.write_text("((A:1,B:-1e-9):-0.5,C:2):-7;")
    tree = read_newick(path, clip_negative_lengths=True)
    assert by_hand(tree) == {"A": [1, 0], "B": [0, 0], "C": [2]}
    assert tree.notes == ("2 of 4 branch lengths are negative and were read as 0",)
    with pytest.raises(DataError, match="not finite"):
        parse_newick(b"(A:-1,B:nan);", clip_negative_lengths=True)


def test_underscores_and_quotes_as_in_scikit_bio() -> None:
    """Underscores stay (convert_underscores=False), quotes are removed, and quoted text is kept."""
    text = "(A_b:1,'C_d':2,'e f':3,'it''s':4,\"G\":5);"
    names = ["A_b", "C_d", "e f", "it's", '"G"']
    assert list(parse_newick(text.encode()).tip_names) == names
    theirs = skbio.TreeNode.read(io.StringIO(text), convert_underscores=False)
    assert [tip.name for tip in theirs.tips()] == names
    converted = skbio.TreeNode.read(io.StringIO(text), convert_underscores=True)
    assert next(converted.tips()).name == "A b"  # what we do not do


@pytest.mark.parametrize("name", ["t.nwk", "t.newick", "t.tre", "t.tree", "t.nwk.gz", "t.qza", "download"])
def test_reads_every_file_alike(name: str, tmp_path: Path, write_artifact: Callable[..., Path]) -> None:
    text, path = b"((A:1,B:2):3,C:4);", tmp_path / name
    if name == "t.qza":
        write_artifact(path, "Phylogeny[Rooted] % Properties('x')", "tree.nwk", text)
    else:
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    tree = read_newick(path)
    assert format_newick(tree) == "((A:1.0,B:2.0):3.0,C:4.0);"
    assert tree.notes == ()
    with pytest.raises(DataError, match="--max-input-gb"):
        read_newick(path, max_input_gb=1e-9)


def test_a_note_if_the_root_is_arbitrary(tmp_path: Path, write_artifact: Callable[..., Path]) -> None:
    write_artifact(tmp_path / "u.qza", "Phylogeny[Unrooted]", "tree.nwk", b"((A:1,B:2):3,C:4);")
    assert read_newick(tmp_path / "u.qza").notes == (
        "u.qza is a Phylogeny[Unrooted]; UniFrac depends on the root (qiime phylogeny midpoint-root adds one)",
    )
    (tmp_path / "t.nwk").write_text("(A:1,B:2,C:3);")
    assert read_newick(tmp_path / "t.nwk").notes == (
        "the root of t.nwk has 3 children, as in unrooted trees; UniFrac depends on the root "
        "(qiime phylogeny midpoint-root adds one)",
    )
    write_artifact(tmp_path / "m.qza", "DistanceMatrix", "distance-matrix.tsv", b"")
    with pytest.raises(DataError, match=r"expected Phylogeny\[Rooted\] or Phylogeny\[Unrooted\], got DistanceMatrix"):
        read_newick(tmp_path / "m.qza")


@pytest.mark.parametrize("deeper_on_the", ["left", "right"])
def test_twenty_thousand_levels(deeper_on_the: str) -> None:
    n = 20_000
    if deeper_on_the == "left":
        text = "(" * n + "t0:1" + "".join(f",t{i}:1):1" for i in range(1, n + 1)) + ";"
    else:
        text = "".join(f"(t{i}:1," for i in range(n)) + f"t{n}:1" + "):1" * n + ";"
    tree = parse_newick(text.encode())
    assert (tree.n_nodes, tree.n_tips, tree.root_degree()) == (2 * n + 1, n + 1, 2)
    assert len(set(tree.tip_names)) == n + 1
    depth = np.zeros(tree.n_nodes, dtype=int)
    for node in range(1, tree.n_nodes):
        depth[node] = depth[tree.parent[node]] + 1
    assert depth.max() == n
    last = tree.last_descendants()
    assert last[0] == tree.n_nodes - 1
    assert (last[tree.tips] == tree.tips).all()
    again = parse_newick(format_newick(tree).encode())
    assert np.array_equal(again.parent, tree.parent)


def test_more_levels_than_sixteen_bits() -> None:
    n = 70_000
    text = "(" * n + "t0:1" + "".join(f",t{i}:1):1" for i in range(1, n + 1)) + ";"
    tree = parse_newick(text.encode())
    internal = np.setdiff1d(np.arange(tree.n_nodes), tree.tips)
    assert np.array_equal(tree.parent[internal[1:]], internal[:-1])
    assert np.array_equal(tree.parent[tree.tips[1:]], internal[::-1])


@st.composite
def trees(draw: st.DrawFn) -> NewickTree:
    """Draw random shapes, including single children, in depth-first order, with any names and lengths."""
    n_nodes = draw(st.integers(1, 25))
    # In depth-first order, the next node's parent is the newest node or one of its ancestors.
    parent = [-1]
    for node in range(1, n_nodes):
        above = node - 1
        for _ in range(draw(st.integers(0, 4))):
            above = parent[above] if parent[above] >= 0 else above
        parent.append(above)
    tips = sorted(set(range(n_nodes)) - set(parent))
    letters = st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp"))
    names = draw(st.lists(st.text(letters, min_size=1), min_size=len(tips), max_size=len(tips), unique=True))
    sizes = st.floats(0, allow_nan=False, allow_infinity=False)
    lengths = [0.0, *draw(st.lists(sizes, min_size=n_nodes - 1, max_size=n_nodes - 1))]
    return NewickTree(
        np.array(parent, dtype=np.int32), np.array(lengths), TipNames.from_names(names), np.array(tips, dtype=np.int32)
    )


def assert_same(tree: NewickTree, expected: NewickTree) -> None:
    for field in ("parent", "length", "tips"):
        np.testing.assert_array_equal(getattr(tree, field), getattr(expected, field))
        assert getattr(tree, field).dtype == getattr(expected, field).dtype
    assert list(tree.tip_names) == list(expected.tip_names)


@settings(max_examples=200, deadline=None)
@given(trees())
def test_round_trip(tree: NewickTree) -> None:
    assert_same(parse_newick(format_newick(tree).encode()), tree)


@settings(max_examples=200, deadline=None)
@given(trees(), st.integers(1, 40))
def test_any_cut_into_blocks_gives_the_same_tree(tree: NewickTree, size: int) -> None:
    text = format_newick(tree).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(newick_pieces, "_BLOCK", size)
        assert_same(parse_newick(text), tree)


@settings(max_examples=50, deadline=None)
@given(trees())
def test_agrees_with_scikit_bio(tree: NewickTree) -> None:
    plain = TipNames.from_names(f"tip_{i}" for i in range(tree.n_tips))
    text = format_newick(NewickTree(tree.parent, tree.length, plain, tree.tips))
    theirs = skbio.TreeNode.read(io.StringIO(text), convert_underscores=False)
    paths = {tip.name: [node.length for node in [tip, *tip.ancestors()][:-1]] for tip in theirs.tips(include_self=True)}
    assert by_hand(parse_newick(text.encode())) == paths


@settings(max_examples=300, deadline=None)
@given(st.text("(),:;'[]A1 .-e\n", max_size=30), st.integers(1, 40))
def test_any_text_is_read_or_rejected(text: str, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(newick_pieces, "_BLOCK", size)
        try:
            tree = parse_newick(text.encode())
        except DataError:
            return
    assert_same(parse_newick(format_newick(tree).encode()), tree)


def test_a_name_given_twice_is_found_once() -> None:
    names = TipNames.from_names(["a", "", "b\u00e9", "c d"])
    assert names.find(["c d", "x", "a", "c d", ""]).tolist() == [3, -1, 0, -1, 1]
    assert names.find([]).tolist() == []
    assert (len(names), names[2], list(names)) == (4, "b\u00e9", ["a", "", "b\u00e9", "c d"])
    assert names.repeated() == []
    assert TipNames.from_names(["x", "y", "x", "z", "y"]).repeated() == ["x", "y"]


@pytest.mark.parametrize("size", [1, 7, 8, 9, 16, 17, 63, 64, 65, 255, 256, 257, 1000])
def test_repeated_names_of_every_length_are_found(size: int) -> None:
    letters = np.random.default_rng(size).integers(ord("A"), ord("Z") + 1, (200, size), dtype=np.uint8)
    names = list(dict.fromkeys(bytes(row).decode() for row in letters))
    again = names[:: max(1, len(names) // 3)]
    assert TipNames.from_names(names).repeated() == []
    assert TipNames.from_names(["é", *names, "ab", *again, "b"]).repeated() == again


def test_insertion_tree(shared_data: Path) -> None:
    """Against the text itself: tips, their lengths in order, and the internal names that are skipped."""
    path = shared_data / "ibd" / "insertion-tree.qza"
    tree = read_newick(path)
    assert (tree.n_tips, tree.n_nodes, tree.root_degree(), tree.notes) == (217_407, 434_813, 2, ())
    text = open_artifact(path, ("Phylogeny[Rooted]",), 10**9).payload.decode()
    tips = re.findall(r"[(,]([^'(),:;]+):([^(),:;]+)", text)
    assert list(tree.tip_names) == [name for name, _ in tips]
    assert tree.length[tree.tips].tolist() == [float(length) for _, length in tips]
    assert tree.length.sum() == pytest.approx(sum(map(float, re.findall(r":([-+.\deE]+)(?=[,);])", text))), rel=1e-12)
