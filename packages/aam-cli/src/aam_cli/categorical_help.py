"""Text of ``aam train --categorical-help``; docs/conditioning.md contains it too (tested)."""

from __future__ import annotations

import click

HELP = """\
When to pass metadata to the model
  Pass what shifts the target or the community and is known for every future sample: sampling site, season, sequencing
  protocol, age. Do not pass what follows from the target, what is measured after it, or what identifies single
  subjects, plates or studies: the model would learn the label instead of the microbes.
  Compare with a run without metadata: signal in the metadata alone says nothing about the microbes.

Columns
  --categorical-columns location,season   words; a value that does not occur in training counts as unknown
  --numeric-columns age,ph                numbers, standardized; a missing one is set to the mean and flagged
  --categorical-hierarchy '{"city": "state", "state": "country"}'
                                          many rare categories nested in fewer common ones: they share what they have
                                          in common, and an unseen city is treated like its state

Choosing --categorical-fusion
  concat (default)   metadata shift the sample's embedding, which also gets a linear map. Start here
  add                the same without that map: fewest parameters, for few samples
  gmu                a gate weighs sample against metadata in every dimension: when either may mislead
  cross-attention    the sample attends to its metadata: many columns of which few matter; its weights can be inspected
                     (aam predict --category-attention)
  perceiver          latent vectors read sample and metadata in turn, so that they can interact: the most parameters,
                     for thousands of samples
  All of them start as the model without metadata, and cost next to nothing compared with the encoder.

When a category changes what the microbes mean, not only the level of the target
  --film-conditioning location             hidden layers are scaled and shifted per category: an effect may change sign
  --moe-experts 4 --moe-routing location   several heads, shared among categories: a few kinds of samples that differ
                                           completely
  --conditional-output-scaling location    level and spread of the target differ, the meaning of the microbes does not
  --normalize-by location                  the same before learning, with the scale of each category's training samples

Training
  --categorical-lr 1e-3            embeddings of categories start from random values: a rate above --lr lets them catch
                                   up, especially with --pretrained-encoder
  --freeze-base                    a pretrained encoder stays fixed; metadata and head train on cached embeddings
  --categorical-loss-weights auto  every category has the same weight in the loss, whatever its number of samples;
                                   effective is less steep, and JSON sets the weights: '{"oral": 2, "gut": 1}'
"""


def categorical_help() -> click.Option:
    """Return the flag that prints the text and exits."""
    return click.Option(
        ["--categorical-help"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show,
        help="Show how to choose among the options about metadata as input, and exit.",
    )


def _show(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(HELP, nl=False)
        ctx.exit()
