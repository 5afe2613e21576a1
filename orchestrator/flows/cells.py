"""Cells of a CSV that somebody will open in a spreadsheet."""


def safe(cell: str) -> str:
    """The text, never a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
