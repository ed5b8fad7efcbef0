"""Commands of the package, run in this process as a user types them."""

import sys
from unittest import mock

from claim_transformers.cli.app import main


def run_command(*arguments: object) -> bool:
    """Run a command of the package.

    Args:
        *arguments: What stands behind `claim-transformers`.

    Returns:
        `bool`: Whether it ended well; what it says is on standard output and error.

    Examples:
        >>> run_command("--version-that-is-no-option")
        False
    """
    with mock.patch.object(sys, "argv", ["claim-transformers", *map(str, arguments)]):
        try:
            main()
        except SystemExit as end:
            return not end.code
    return True
