"""Errors between a checkpoint and the Hub: the Hub does not answer, or the files may not leave."""


class HubError(OSError):
    """The Hub could not be reached, refused the request, or changed while a push was under way.

    The message starts with `E_HUB`, names the repository and the status, and says what to do. It never holds a token.

    Examples:
        >>> raise HubError("the token has no write permission")
        Traceback (most recent call last):
        claim_transformers.hub.errors.HubError: E_HUB: the token has no write permission
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __str__(self) -> str:
        return f"E_HUB: {self.args[0]}"


class PushRefusedError(ValueError):
    """A file, a setting or a column may not leave this machine, so nothing has been sent.

    The message starts with `E_PUSH_REFUSED` and names the file or the column, never its content.

    Examples:
        >>> raise PushRefusedError("found the file 'optimizer.pt'")
        Traceback (most recent call last):
        claim_transformers.hub.errors.PushRefusedError: E_PUSH_REFUSED: found the file 'optimizer.pt'
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __str__(self) -> str:
        return f"E_PUSH_REFUSED: {self.args[0]}"
