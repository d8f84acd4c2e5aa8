"""Flexsync's parts: read a FlexPrice account into tables that can prove they are complete."""
