"""Disturbs loads on purpose and looks whether a row was lost: see docs/torture.md. Started by tools/torture."""
