"""Groups of commands whose help tells each command's first sentence whole."""

from __future__ import annotations

import click

SENTENCE_MAX_CHARS = 1000


class WholeHelp(click.Group):
    """click would cut what does not fit beside the names; here it goes on in the next line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands."""
        found = [self.get_command(ctx, name) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (command.name or "", command.get_short_help_str(SENTENCE_MAX_CHARS))
                    for command in found
                    if command is not None and not command.hidden
                ]
            )
