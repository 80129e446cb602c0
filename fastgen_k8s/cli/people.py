"""x"""

import typer

commands = typer.Typer(rich_markup_mode=None)
