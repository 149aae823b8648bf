"""Stages that can be interrupted and continued: lists of commands, each run once."""
