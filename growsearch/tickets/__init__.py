"""Robust tickets: pretrain a network robustly, draw a sub-network, transfer it."""

from growsearch.tickets.backbone import backbone_weights, weights_hash
from growsearch.tickets.drawing import Drawn, DrawSettings, read_drawn, write_drawn
from growsearch.tickets.granularity import GRANULARITIES, Granularity
from growsearch.tickets.pretraining import (
    Pretrained,
    check_one_label_each,
    pretrain,
    pretraining_source,
    read_pretrained,
    write_pretrained,
)
from growsearch.tickets.retargeting import check_backbone
from growsearch.tickets.robustness import NATURAL, ROBUSTNESS, Robustness
from growsearch.tickets.schemes import SOURCE, TARGET, TICKET_SCHEMES, Scheme, draw, ticket_scheme
from growsearch.tickets.ticket import Ticket, read_ticket, write_ticket
from growsearch.tickets.transfer import MODES, Transferred, TransferSettings, transfer

__all__ = [
    "GRANULARITIES",
    "MODES",
    "NATURAL",
    "ROBUSTNESS",
    "SOURCE",
    "TARGET",
    "TICKET_SCHEMES",
    "DrawSettings",
    "Drawn",
    "Granularity",
    "Pretrained",
    "Robustness",
    "Scheme",
    "Ticket",
    "TransferSettings",
    "Transferred",
    "backbone_weights",
    "check_backbone",
    "check_one_label_each",
    "draw",
    "pretrain",
    "pretraining_source",
    "read_drawn",
    "read_pretrained",
    "read_ticket",
    "ticket_scheme",
    "transfer",
    "weights_hash",
    "write_drawn",
    "write_pretrained",
    "write_ticket",
]
