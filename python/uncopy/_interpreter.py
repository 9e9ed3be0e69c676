# SPDX-License-Identifier: MIT OR Apache-2.0
"""Where uncopy can be imported: its classes belong to one interpreter, the first of the process.

From Python 3.12 on the interpreter itself refuses to load the extension module elsewhere; before that it would share objects
between interpreters, which nothing guards.
"""


def refuse_sub_interpreter() -> None:
    """Raises ImportError in every interpreter but the main one."""
    try:
        import _interpreters as interpreters  # type: ignore
    except ImportError:
        # Its name before Python 3.13.
        import _xxsubinterpreters as interpreters  # type: ignore
    if interpreters.get_current() != interpreters.get_main():
        raise ImportError(
            "uncopy can't be imported in a sub-interpreter: its objects belong to the main interpreter of the process; "
            "import it there, or use a process of its own"
        )
