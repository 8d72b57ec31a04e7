"""The batches that a training is validated with: documents that it never sees, the same ones at each validation."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from curator.tokenize import Tokenizer
from curator.training import TrainingConfig
from model.data.batch import Batch, pack
from model.data.lanes import Lane
from model.data.loader import shares_of
from model.data.order import Order, Selection
from model.data.shards import Corpus


def validation_batches(corpora: Sequence[Corpus], tokenizer: Tokenizer, config: TrainingConfig) -> list[Batch]:
    """At most `validation.sequences` sequences, in batches as large as a part of a training batch.

    Without a share there are none.

    UserError when the share leaves no document.
    """
    section = config.data
    if not section.validation_share:
        return []
    selection = Selection(section.languages, section.validation_share, validation=True)
    orders = [Order(corpus, selection, window_bytes=section.window_bytes, seed=0) for corpus in corpora]
    with ThreadPoolExecutor(1, "tokenise") as executor:
        lane = Lane(0, 1, orders, shares_of(corpora, section), tokenizer, executor)
        sequences = [lane.sequence(section.sequence)]
        while len(sequences) < config.validation.sequences and lane.epoch == 0:
            sequences.append(lane.sequence(section.sequence))
    each = max(1, section.batch // config.accumulation)
    return [pack(sequences[begin : begin + each]) for begin in range(0, len(sequences), each)]
