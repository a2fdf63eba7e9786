"""Kedro datasets of our own: checkpoints, folders of videos, scratch folders."""
