"""Ticket trials: pretrained networks, drawn sparse and transferred."""
