"""What a notebook shows of a model or a history: a table in HTML, made without any library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

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


class Card(NamedTuple):
    """One image and what is seen in it.

    Attributes:
        picture: The address of the image, such as a `data:` URI; None where there is none.
        title: A line above.
        shares: Names, each with a number in [0, 1].
    """

    picture: str | None
    title: str
    shares: Sequence[tuple[str, float]]


def gallery(cards: Iterable[Card], rest: str = "") -> str:
    """Images in rows, each with names and bars below.

    Args:
        cards: One for each image.
        rest: A line below all of them.
    """
    from html import escape

    def line(name: str, share: float) -> str:
        bar = f"background: linear-gradient(to right, #8884 {100 * share:.1f}%, transparent 0)"
        return (
            f'<div style="display: flex; justify-content: space-between; gap: 1em; {bar}">'
            f"<span>{escape(printable(name))}</span><span>{100 * share:.1f}&nbsp;%</span></div>"
        )

    def shown(card: Card) -> str:
        title = escape(printable(card.title))
        head = f'<div style="overflow-wrap: anywhere">{title}</div>' if title else ""
        image = f'<img src="{escape(card.picture)}" alt="{title}" style="max-width: 100%">' if card.picture else ""
        lines = "".join(line(name, share) for name, share in card.shares)
        return f'<div style="width: 180px">{image}{head}{lines}</div>'

    below = f"<div>{escape(printable(rest))}</div>" if rest else ""
    style = "display: flex; flex-wrap: wrap; gap: 1em; align-items: flex-end"
    return f'<div style="{style}">{"".join(map(shown, cards))}</div>{below}'
