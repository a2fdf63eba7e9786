"""Weights out: a checkpoint in the layouts of OpenTAD and of ``transformers``."""
