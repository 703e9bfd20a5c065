"""What a notebook shows of a model or a history: a table in HTML, made without any library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .printable import printable


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, names: int = 0, caption: str = "") -> str:
    """An HTML table.

    Args:
        headings: Of the columns.
        rows: The cells of each, as text.
        names: How many of the first columns are names; the rest are numbers, and stand to the right.
        caption: A line above.
    """
    from html import escape

    def line(tag: str, cells: Sequence[str]) -> str:
        aligned = (
            f'<{tag} style="text-align: {"left" if column < names else "right"}">{escape(printable(cell))}</{tag}>'
            for column, cell in enumerate(cells)
        )
        return f"<tr>{''.join(aligned)}</tr>"

    head = f"<caption>{escape(printable(caption))}</caption>" if caption else ""
    body = "".join(line("td", row) for row in rows)
    return f"<table>{head}<thead>{line('th', headings)}</thead><tbody>{body}</tbody></table>"


def text(content: str) -> str:
    """Text as it stands."""
    from html import escape

    return f"<pre>{escape(content)}</pre>"
