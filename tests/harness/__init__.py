"""What several tests need: real Blenders, virtual displays, free ports."""

__all__: list[str] = []
