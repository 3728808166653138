"""Our own rows, which hold everything that is read."""

from prefsmith.data.listing import COLUMNS
from prefsmith.data.schema import ASKING, DESCRIBING, LABELLING, ORDERS, REQUIRED, SYNONYMS
from prefsmith.data.targets.account import Account
from prefsmith.data.targets.item import Item
from prefsmith.data.targets.target import Cells
from prefsmith.records import Completion


class Ours:
    """Rows of docs/data.md: pairs, lists, ratings and examples."""

    program, lists, media = "prefsmith", True, ()
    taken = frozenset({
        *(name for names in (*REQUIRED.values(), *SYNONYMS.values()) for name in names),
        *LABELLING, *DESCRIBING, *ASKING, *ORDERS, *COLUMNS, "messages",
    })  # fmt: skip

    def look(self, item: Item) -> None:
        """Every row is written by itself."""

    def cells(self, item: Item, account: Account) -> Cells:
        """A row; ours hold every item."""
        prompt = item.prompt if isinstance(item.prompt, str) else [each.as_dict() for each in item.prompt]
        answers = [_answer(each) for each in item.answers]
        cells: Cells = {"prompt": prompt}
        if item.kind == "pair":
            cells |= {"chosen": answers[0], "rejected": answers[1]}
        elif item.kind == "list":
            cells["completions"] = answers
        else:
            cells["completion"] = answers[0]
        cells |= {"label": item.label} if item.kind == "rating" else {}
        cells |= item.beside
        return cells | ({"tools": [dict(each) for each in item.tools]} if item.tools else {})

    def entry(self, file_name: str) -> None:
        """Nothing: rows are known by their columns."""


def _answer(answer: Completion) -> object:
    return answer.text if answer.text is not None else [each.as_dict() for each in answer.messages]
