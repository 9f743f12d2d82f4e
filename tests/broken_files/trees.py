"""Newick trees that are broken, and unusual ones that are read."""

from __future__ import annotations

import re
from collections.abc import Callable

from .case import Case, Says, Spoil, case, content, note
from .good_study import FEATURES, tree_text

FILE = "tree.nwk"
FIRST, SECOND = FEATURES[:2]


def tree(edit: Callable[[str], str | bytes]) -> Spoil:
    """The good tree after an edit of its text."""
    return content(FILE, edit(tree_text()))


def lengths(first: str) -> Spoil:
    """The good tree with another length of the branch of its first tip."""
    return tree(lambda text: text.replace(f"{FIRST}:0.01", f"{FIRST}:{first}", 1))


def nested(levels: int) -> str:
    """The good tree below that many nodes with one child each."""
    return "(" * levels + tree_text()[:-1] + ":0.1)" * levels + ";"


UNREADABLE = "of 40 branch lengths are not finite numbers"
CASES: list[Case] = [
    case("tree_empty_file", content(FILE, b""), Says(FILE, "file is empty")),
    case("tree_blank", content(FILE, " \n"), Says(FILE, "file is empty")),
    case("tree_absent", lambda folder: (folder / FILE).unlink(), Says(FILE, "cannot be read", remedy="--tree")),
    case("tree_without_semicolon", tree(lambda text: text[:-1]), Says(FILE, "semicolon", remedy="copy the file again")),
    case(
        "tree_cut_in_half",
        tree(lambda text: text[: len(text) // 2]),
        Says(FILE, "no semicolon at the end", remedy="copy the file again"),
    ),
    case("tree_bracket_not_closed", tree(lambda text: "(" + text), Says(FILE, "bracket")),
    case("tree_bracket_not_opened", tree(lambda text: text[1:]), Says(FILE, "bracket")),
    case("tree_is_html", content(FILE, "<!DOCTYPE html><p>404</p>"), Says(FILE, "is a web page", remedy="Download")),
    case(
        "tree_is_nexus", content(FILE, "#NEXUS\nbegin trees;"), Says(FILE, "NEXUS", remedy="Export the tree as newick")
    ),
    case("tree_is_text", content(FILE, "no tree at all\n"), Says(FILE, "not a newick tree")),
    case("tree_of_nothing", content(FILE, ";\n"), Says(FILE, "an empty tree")),
    case("tree_of_empty_brackets", content(FILE, "((),());"), Says(FILE, "an empty tree", remedy="Pass the tree")),
    case("tree_is_a_name", content(FILE, "abc\n"), Says(FILE, "a single name (abc), not a newick tree")),
    case("tree_is_a_name_with_a_length", content(FILE, "'a b':0.1;"), Says(FILE, "a single name")),
    case(
        "tree_with_control_characters",
        tree(lambda text: text.replace(FIRST, "a\x85b").replace(SECOND, "a\tb")),
        Says(FILE, "2 tip names contain control characters", "", (r"'a\x85b'", r"'a\tb'"), 2),
    ),
    case("tree_with_a_tip_on_every_line", tree(lambda text: text.replace(",", ",\n"))),
    case("tree_two_trees", tree(lambda text: text + text), Says(FILE, "after")),
    case("tree_comment_not_closed", tree(lambda text: "[" + text), Says(FILE, "unbalanced [", "byte 1")),
    case(
        "tree_quote_not_closed", tree(lambda text: text.replace(FIRST, "'" + FIRST)), Says(FILE, "unbalanced '", "byte")
    ),
    case(
        "tree_not_utf8",
        tree(lambda text: text.replace(FIRST, "\xe9").encode("latin-1")),
        Says(FILE, "not UTF-8", offenders=(r"b'\xe9'",), count=1),
    ),
    case(
        "tree_negative_length",
        lengths("-0.5"),
        Says(FILE, "1 of 40 branch lengths are negative", "", (f"-0.5 of {FIRST}",), remedy="--clip-negative-lengths"),
    ),
    case(
        "tree_negative_length_clipped",
        lengths("-0.5"),
        note(FILE, "1 of 40 branch lengths are negative and were read as 0"),
        clip_negative_lengths=True,
    ),
    case("tree_nan_length", lengths("nan"), Says(FILE, f"1 {UNREADABLE}", "", (f"'nan' of {FIRST}",))),
    case("tree_infinite_length", lengths("inf"), Says(FILE, f"1 {UNREADABLE}", "", (f"'inf' of {FIRST}",))),
    case("tree_length_overflows", lengths("1e999"), Says(FILE, f"1 {UNREADABLE}", "", (f"'1e999' of {FIRST}",))),
    case("tree_length_is_text", lengths("long"), Says(FILE, f"1 {UNREADABLE}", "", (f"'long' of {FIRST}",))),
    case("tree_length_twice", lengths("1:2"), Says(FILE, "not newick", "byte 48, near")),
    case(
        "tree_without_lengths",
        tree(lambda text: re.sub(r":[\d.]+", "", text)),
        Says(FILE, "no branch has a length", remedy="UniFrac needs every branch length"),
    ),
    case(
        "tree_some_lengths_missing",
        tree(lambda text: text.replace(":0.01", "", 7)),
        Says(FILE, "7 of 40 branches do not have a length", "", tuple(FEATURES[:5])),
    ),
    case(
        "tree_duplicate_tips",
        tree(lambda text: text.replace(SECOND, FIRST)),
        Says(FILE, "1 tip names are used more than once", "", (FIRST,), 1),
    ),
    case(
        "tree_unnamed_tips",
        tree(lambda text: text.replace(FIRST, "").replace(SECOND, "")),
        Says(FILE, "2 tips have no name", "", ("tip 1", "tip 2"), 2),
    ),
    case(
        "tree_quotes_inside_a_name",
        tree(lambda text: text.replace(FIRST, f"{FIRST[:9]}'x'{FIRST[9:]}")),
        Says(FILE, "1 tip names have quotes inside", remedy="Quote whole names"),
    ),
    case("tree_quoted_names", tree(lambda text: text.replace(FIRST, f"'{FIRST}'"))),
    case("tree_comments_and_blanks", tree(lambda text: text.replace(FIRST, f"\n {FIRST} [comment]"))),
    case(
        "tree_root_with_three_children", tree(lambda text: f"({text[1:-2]},other:0.1);"), note(FILE, "has 3 children")
    ),
    case("tree_of_20000_levels", content(FILE, nested(20_000))),
    case(
        "tree_of_other_features",
        tree(lambda text: text.replace("A", "tip")),
        Says(FILE, "no ASV of the table is a tip of the tree", remedy="--tree"),
    ),
    case(
        "tree_of_features_in_lower_case",
        tree(lambda text: re.sub("[ACGT]", lambda base: base[0].lower(), text)),
        Says(FILE, "no ASV", remedy="20 of 20 ids would match if upper and lower case were the same"),
    ),
    case(
        "tree_of_annotated_features",
        tree(lambda text: re.sub("([ACGT]+)", r"'\1;size=12'", text)),
        Says(FILE, "no ASV", remedy="annotations after a semicolon"),
    ),
    case(
        "tree_of_reverse_complements",
        tree(lambda text: re.sub("[ACGT]+", lambda tip: tip[0].translate(str.maketrans("ACGT", "TGCA"))[::-1], text)),
        Says(FILE, "no ASV", remedy="sequences were in one orientation"),
    ),
    case(
        "tree_of_shorter_features",
        tree(lambda text: re.sub("([ACGT]{35})[ACGT]+", r"\1", text)),
        Says(FILE, "no ASV", remedy="sequences were cut to 35 bases"),
    ),
    case(
        "tree_lacks_features_in_another_case",
        tree(lambda text: text.replace(FIRST, FIRST.lower()).replace(SECOND, SECOND.lower())),
        Says(FILE, "2 of 20 ASVs, with", remedy="2 of 2 ids would match if upper and lower case were the same"),
    ),
    case(
        "tree_with_lengths_of_0",
        tree(lambda text: re.sub(r":[\d.]+", ":0", text)),
        Says(FILE, "have length 0, so all distances are 0", remedy="branch lengths"),
    ),
    case(
        "tree_of_giant_lengths",
        tree(lambda text: re.sub(r":[\d.]+", ":1e300", text)),
        Says(FILE, "add up to", "", ("the longest is",), remedy="Correct the branch lengths"),
    ),
    case(
        "tree_whose_sum_overflows",
        tree(lambda text: re.sub(r":[\d.]+", ":1e308", text)),
        Says(FILE, "add up to inf", remedy="Correct the branch lengths"),
    ),
    case(
        "tree_with_equal_distances",
        content(FILE, f"(({','.join(f'{name}:0' for name in FEATURES)}):1,other:1);"),
        Says(FILE, "distances (unifrac) are", remedy="--unifrac-metric"),
        rarefy_depth=0,
    ),
    case(
        "tree_lacks_features",
        tree(lambda text: text.replace(FIRST, "x").replace(SECOND, "y")),
        Says(FILE, "2 of 20 ASVs, with", "", (FIRST, SECOND), 2, remedy="--missing-tips ignore"),
    ),
    case(
        "tree_lacks_features_ignored",
        tree(lambda text: text.replace(FIRST, "x")),
        note(FILE, "1 of 20 ASVs, with"),
        missing_tips="ignore",
    ),
]
