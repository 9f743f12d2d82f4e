"""Model configurations of older formats, brought to the present one step by step.

``MIGRATIONS[n]`` takes the content of format n + 1 to format n + 2. A format that changes gets a step here; the tests
keep folders of every format (``packages/aam-train/tests/stored_models``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aam_models.errors import ModelError

Content = dict[str, Any]


def migrate(content: Content, version: int, steps: Sequence[Callable[[Content], Content]], file: str) -> Content:
    """Apply the steps that lead from ``version`` to the newest format; ``file`` is named in errors.

    Raises:
        ModelError: the content is not what its version says.
    """
    for number, step in enumerate(steps[version - 1 :], version):
        try:
            content = step(content)
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{file}: not a configuration of format version {number} ({error})") from error
    return content


def _methods_and_taxonomy(content: Content) -> Content:
    """Version 2: how abundances are told, the taxonomy head, distances above 1, the number of ASVs."""
    added = {"count_embedding_method": "add", "taxonomy_classes": [], "distance_scale": 1.0}
    return _of_encoder(content, added | {"size_embedding": False})


def _site_sums(content: Content) -> Content:
    """Version 3: the sum of site embeddings in those of ASVs."""
    return _of_encoder(content, {"site_sum": False})


def _of_encoder(content: Content, added: Content) -> Content:
    model = content["model"]
    encoder = {**model.get("encoder", model), **added}
    return {**content, "model": {**model, "encoder": encoder} if "encoder" in model else encoder}


def _conditions(content: Content) -> Content:
    """Version 4: metadata as input of a predictor, other heads and links than a plain one."""
    if content["kind"] != "predictor":
        return content
    fusion = {"kind": "none", "heads": 8, "latents": 64, "layers": 2}
    added: Content = {"conditioning": {"categories": [], "covariates": 0, "embed_dim": 16, "fusion": fusion}}
    added |= {"residual": False, "film_columns": [], "experts": 0, "routing_column": -1, "layer_norm": True}
    link = {"learned_scale": False, "scaling_columns": [], "activation": "none", "floors": []}
    added |= {"target_widths": [], "anchors": [], "link": {**link, "bounded": False, "low": [], "high": []}}
    return {**content, "model": {**content["model"], **added}}


MIGRATIONS: tuple[Callable[[Content], Content], ...] = (_methods_and_taxonomy, _site_sums, _conditions)
