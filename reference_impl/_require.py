"""The guard at the door of a reference. It is no part of the mathematics: model solutions leave it out."""


def require(condition: object, message: str) -> None:
    """Raise ValueError(message) unless the condition holds; the message names the argument and its domain."""
    if not condition:
        raise ValueError(message)
