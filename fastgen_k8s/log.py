"""What a process says while it works; structlog, with the rich that it finds, is imported when something is said."""


def debug(event: str, **facts: object) -> None:
    """What helps who looks for a fault."""
    import structlog

    structlog.get_logger().debug(event, **facts)


def info(event: str, **facts: object) -> None:
    """What is as it should be."""
    import structlog

    structlog.get_logger().info(event, **facts)


def warning(event: str, **facts: object) -> None:
    """What somebody should know."""
    import structlog

    structlog.get_logger().warning(event, **facts)
