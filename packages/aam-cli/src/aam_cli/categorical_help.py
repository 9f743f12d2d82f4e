"""``aam train --categorical-help``: how to choose. The same text stands in docs/conditioning.md (tested)."""

from __future__ import annotations

import click

HELP = """\
When to give the model metadata
  Give it what shifts the target or the community and is known for every sample to come: sampling site, season,
  sequencing protocol, age. Do not give it what follows from the target, what is measured after it, or what names
  single subjects, plates or studies: the model would learn the label in place of the microbes.
  Compare with the same run without: what the metadata alone tell is no merit of the microbes.

Which columns
  --categorical-columns location,season   words; a value that no training sample had counts as unknown
  --numeric-columns age,ph                numbers, standardized; a missing one is the mean, and marked
  --categorical-hierarchy '{"city": "state", "state": "country"}'
                                          many rare categories within fewer common ones: they share what they have in
                                          common, and an unseen city is taken as its state

Which --categorical-fusion
  concat (default)   metadata shift the sample's embedding, which gets a linear map as well. Start here
  add                the same without that map: fewest parameters, for few samples
  gmu                a gate decides, in every dimension, between sample and metadata: when either may mislead
  cross-attention    the sample chooses among its metadata: many columns of which few matter; its weights can be read
                     (aam predict --category-attention)
  perceiver          latent vectors read sample and metadata in turn, so that they may interact: the most parameters,
                     for thousands of samples
  All of them begin as the model without metadata, and cost next to nothing beside the encoder.

Where a category changes what the microbes mean, beside shifting the target
  --film-conditioning location             hidden layers are scaled and shifted by category: an effect may turn round
  --moe-experts 4 --moe-routing location   several heads, shared among categories: a few kinds of samples that differ
                                           altogether
  --conditional-output-scaling location    level and spread of the target differ, what the microbes mean does not
  --normalize-by location                  the same before learning, with the scale of each category's training samples

Learning
  --categorical-lr 1e-3            embeddings of categories begin at random: a rate above --lr lets them catch up,
                                   above all beside --pretrained-encoder
  --freeze-base                    a pretrained encoder stays as it is; metadata and head learn on cached embeddings
  --categorical-loss-weights auto  every category weighs the same in the loss, however many samples it has;
                                   effective is less steep, and JSON sets the weights: '{"oral": 2, "gut": 1}'
"""


def categorical_help() -> click.Option:
    """The flag that prints the text and exits."""
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
