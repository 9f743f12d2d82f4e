"""The newick reader against hand-written trees, scikit-bio, and its own writer."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
import skbio
from hypothesis import given, settings
from hypothesis import strategies as st

from aam_data.errors import DataError
from aam_data.readers.newick import NewickTree, format_newick, parse_newick, read_newick


def by_hand(tree: NewickTree) -> dict[str, list[float]]:
    """Branch lengths from each tip up to the root."""
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
def test_reads_what_the_text_says(text: str, paths: dict[str, list[float]]) -> None:
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
        ("((A:1,B:2);", r"unbalanced brackets: 2 '\(' and 1 '\)'"),
        (")A:1,B:2(;", "unbalanced brackets"),
        ("(A:1,B:2);(C:1,D:2);", "after the semicolon"),
        ("A:1,B:2;", "byte 4, near.*not newick"),
        ("(A:1,B:2)(C:1,D:2);", "not newick"),
        ("(A:1:2,B:2);", "not newick"),
        ("(A(B:1,C:2):1,D:1);", "not newick"),
        ("('A:1,B:2);", "unbalanced '"),
        ("(A[c:1,B:2);", r"unbalanced \["),
        ("(A[a[b]c]:1,B:2);", r"unbalanced \]"),
        ("(A:1,B:-2,C:-1e-9);", r"2 branch lengths are negative.*'-2' of B, '-1e-9' of C"),
        ("(A:nan,(B:inf,C:1):-inf);", "3 branch lengths.*'nan' of A, 'inf' of B, '-inf' of the clade of B"),
        ("(A:1,B:x);", "'x' of B"),
        ("(A:1,B:);", "'' of B"),
        ("((A,B),C);", r"no branch has a length \(the clade of A, A, B, C\)"),
        ("((A:1,B:2),C);", r"2 branches do not have a length \(the clade of A, C\)"),
        ("(A:1,A:2,B:1,B:1,B:1);", r"2 tip names are used more than once \(A, B\)"),
        ("(A:1,:2,:3);", r"2 tips have no name \(tip 2, tip 3\)"),
        ("(A:1,(,):3);", r"2 tips have no name \(tip 2, tip 3\)"),
        ("(A:1,'':3);", r"1 tips have no name \(tip 2\)"),
    ],
)
def test_refuses(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "tree.nwk"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_newick(path)


def test_refuses_names_that_are_not_utf8() -> None:
    with pytest.raises(DataError, match="not UTF-8"):
        parse_newick(b"(A:1,\xff\xfe:2);")


def test_shows_the_first_five_of_many() -> None:
    tips = ",".join(f"t{i}:-1" for i in range(100))
    with pytest.raises(DataError, match=r"100 branch lengths .* of t4 and 95 more\)"):
        parse_newick(f"({tips});".encode())


def test_reads_gzip_and_artifact_alike(tmp_path: Path, write_artifact) -> None:
    text = b"((A:1,B:2):3,C:4);"
    (tmp_path / "t.nwk.gz").write_bytes(gzip.compress(text))
    write_artifact(tmp_path / "t.qza", "Phylogeny[Rooted]", "tree.nwk", text)
    for name in ("t.nwk.gz", "t.qza"):
        assert format_newick(read_newick(tmp_path / name)) == "((A:1.0,B:2.0):3.0,C:4.0);"
    write_artifact(tmp_path / "u.qza", "Phylogeny[Unrooted]", "tree.nwk", text)
    with pytest.raises(DataError, match=r"expected Phylogeny\[Rooted\], got Phylogeny\[Unrooted\]"):
        read_newick(tmp_path / "u.qza")
    with pytest.raises(DataError, match="--max-input-gb"):
        read_newick(tmp_path / "t.nwk.gz", max_input_gb=1e-9)


@pytest.mark.parametrize("deeper_on_the", ["left", "right"])
def test_twenty_thousand_levels(deeper_on_the: str) -> None:
    n = 20_000
    if deeper_on_the == "left":
        text = "(" * n + "t0:1" + "".join(f",t{i}:1):1" for i in range(1, n + 1)) + ";"
    else:
        text = "".join(f"(t{i}:1," for i in range(n)) + f"t{n}:1" + "):1" * n + ";"
    tree = parse_newick(text.encode())
    assert (tree.n_nodes, tree.n_tips, tree.root_degree()) == (2 * n + 1, n + 1, 2)
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
    """Random shapes, single children included, in depth-first order, with any names and lengths."""
    n_nodes = draw(st.integers(1, 25))
    # In depth-first order, the next node's parent is the newest node or one of its ancestors.
    parent = [-1]
    for node in range(1, n_nodes):
        above = node - 1
        for _ in range(draw(st.integers(0, 4))):
            above = parent[above] if parent[above] >= 0 else above
        parent.append(above)
    tips = sorted(set(range(n_nodes)) - set(parent))
    letters = st.characters(codec="utf-8")
    names = draw(st.lists(st.text(letters, min_size=1), min_size=len(tips), max_size=len(tips), unique=True))
    sizes = st.floats(0, allow_nan=False, allow_infinity=False)
    lengths = [0.0, *draw(st.lists(sizes, min_size=n_nodes - 1, max_size=n_nodes - 1))]
    return NewickTree(
        np.array(parent, dtype=np.int32),
        np.array(lengths),
        np.array(names, dtype=object),
        np.array(tips, dtype=np.int32),
    )


@settings(max_examples=200, deadline=None)
@given(trees())
def test_round_trip(tree: NewickTree) -> None:
    again = parse_newick(format_newick(tree).encode())
    for field in ("parent", "length", "tip_names", "tips"):
        assert np.array_equal(getattr(again, field), getattr(tree, field))
        assert getattr(again, field).dtype == getattr(tree, field).dtype


@settings(max_examples=50, deadline=None)
@given(trees())
def test_agrees_with_scikit_bio(tree: NewickTree) -> None:
    plain = np.array([f"tip_{i}" for i in range(tree.n_tips)], dtype=object)
    text = format_newick(NewickTree(tree.parent, tree.length, plain, tree.tips))
    theirs = skbio.TreeNode.read(io.StringIO(text), convert_underscores=False)
    paths = {tip.name: [node.length for node in [tip, *tip.ancestors()][:-1]] for tip in theirs.tips(include_self=True)}
    assert by_hand(parse_newick(text.encode())) == paths


@settings(max_examples=200, deadline=None)
@given(st.text("(),:;'[]A1 .-e\n", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        tree = parse_newick(text.encode())
    except DataError:
        return
    assert np.array_equal(parse_newick(format_newick(tree).encode()).parent, tree.parent)
