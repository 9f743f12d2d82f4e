"""Model configurations of older formats, converted to the current one step by step.

``MIGRATIONS[n]`` converts format n + 1 to format n + 2. A change of format adds a step here; the tests keep folders of
every format (``packages/aam-train/tests/stored_models``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aam_models.errors import ModelError

Content = dict[str, Any]


def migrate(content: Content, version: int, steps: Sequence[Callable[[Content], Content]], file: str) -> Content:
    """Apply the steps that lead from ``version`` to the newest format; ``file`` is named in errors.

    Raises:
        ModelError: the content does not match its version.
    """
    for number, step in enumerate(steps[version - 1 :], version):
        try:
            content = step(content)
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{file}: not a configuration of format version {number} ({error})") from error
    return content


def _add_methods_and_taxonomy(content: Content) -> Content:
    """Convert to version 2: methods of abundance, the taxonomy head, distances above 1, the number of ASVs."""
    added = {"count_embedding_method": "add", "taxonomy_classes": [], "distance_scale": 1.0}
    return _add_to_encoder(content, added | {"size_embedding": False})


def _add_site_sums(content: Content) -> Content:
    """Convert to version 3: the sum of site embeddings in those of ASVs."""
    return _add_to_encoder(content, {"site_sum": False})


def _add_conditions(content: Content) -> Content:
    """Convert to version 4: metadata as input of a predictor, more kinds of heads and links."""
    if content["kind"] != "predictor":
        return content
    fusion = {"kind": "none", "heads": 8, "latents": 64, "layers": 2}
    added: Content = {"conditioning": {"categories": [], "covariates": 0, "embed_dim": 16, "fusion": fusion}}
    added |= {"residual": False, "film_columns": [], "experts": 0, "routing_column": -1, "layer_norm": True}
    link = {"learned_scale": False, "scaling_columns": [], "activation": "none", "floors": []}
    added |= {"target_widths": [], "anchors": [], "link": {**link, "bounded": False, "low": [], "high": []}}
    return {**content, "model": {**content["model"], **added}}


def _name_parts(content: Content) -> Content:
    """Convert to version 5: the encoder's objectives, the ASV encoder and the head of a predictor by name."""
    flags = {
        "unifrac": "distance_head",
        "faith_pd": "faith_pd_head",
        "nucleotides": "nucleotide_head",
        "counts": "count_head",
    }
    model = content["model"]
    encoder = dict(model.get("encoder", model))
    objectives = [name for name, flag in flags.items() if encoder.pop(flag)]
    objectives += ["taxonomy"] if encoder["taxonomy_classes"] else []
    encoder |= {"objectives": objectives, "asv_encoder": "transformer"}
    if content["kind"] != "predictor":
        return {**content, "model": encoder}
    kind = "film" if model["film_columns"] else "mlp"
    return {**content, "model": {**model, "encoder": encoder, "head_kind": kind}}


def _add_features(content: Content) -> Content:
    """Convert to version 6: what the head of a predictor reads, if not the sample embedding."""
    if content["kind"] != "predictor":
        return content
    return {**content, "model": {**content["model"], "features": None}}


def _add_to_features(content: Content) -> Content:
    """Convert to version 7: older features store no training ASVs that fill in missing bases, and average presence."""
    if content["kind"] != "predictor" or content["model"]["features"] is None:
        return content
    added = {"presence_bandwidths": 0, "reads": 0}
    return {**content, "model": {**content["model"], "features": {**content["model"]["features"], **added}}}


def _add_centres(content: Content) -> Content:
    """Convert to version 8: older features have no similarities to training ASVs."""
    if content["kind"] != "predictor" or content["model"]["features"] is None:
        return content
    return {**content, "model": {**content["model"], "features": {**content["model"]["features"], "centres": 0}}}


def _add_bases_per_token(content: Content) -> Content:
    """Convert to version 9: older encoders read every base as a token of its own."""
    return _add_to_encoder(content, {"bases_per_token": 1})


def _add_to_encoder(content: Content, added: Content) -> Content:
    """Add fields to the configuration of the encoder, which is the whole model or a part of a predictor."""
    model = content["model"]
    encoder = {**model.get("encoder", model), **added}
    return {**content, "model": {**model, "encoder": encoder} if "encoder" in model else encoder}


MIGRATIONS: tuple[Callable[[Content], Content], ...] = (
    _add_methods_and_taxonomy,
    _add_site_sums,
    _add_conditions,
    _name_parts,
    _add_features,
    _add_to_features,
    _add_centres,
    _add_bases_per_token,
)
