"""The one exception that users are meant to read."""

MAX_LISTED = 20  # a batch of bad files names this many, then counts the rest


class SmoosegError(Exception):
    """A problem that you can solve. Its text is one sentence that says what is wrong and what to do.

    The command shows the sentence without a traceback.

    Args:
        text: The sentence; line breaks become spaces.

    Example:
        >>> try:
        ...     smooseg.segment("photos", model)
        ... except smooseg.SmoosegError as error:
        ...     print(error)
    """

    def __init__(self, text: str):
        super().__init__(" ".join(filter(None, map(str.strip, text.splitlines()))))  # some libraries say several


def list_some(names: list[str], between: str = ", ") -> str:
    """The first 20 of some names, and how many more there are."""
    more = len(names) - MAX_LISTED
    return between.join([*names[:MAX_LISTED], *([f"and {more} more"] if more > 0 else [])])


def raise_problems(summary: str, problems: list[str]) -> None:
    """Raise one error that names every problem, or return when there is none.

    Args:
        summary: What is wrong with all of them, and what to do; ends without punctuation.
        problems: One "file: what came" string for each offending file.

    Raises:
        SmoosegError: If ``problems`` is not empty; the first 20 are listed, the rest counted.
    """
    if not problems:
        return
    raise SmoosegError(f"{summary}: {list_some(problems, '; ')}")
