"""Processes, collectives, DDP and FSDP."""
