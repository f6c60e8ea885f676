"""The command line in-process: run it, and check how it refuses."""

import io
import sys

import pytest
from archcast.tools.cli import main


@pytest.fixture
def cli(capsys, monkeypatch):
    """Run `archcast ARGUMENTS` and return exit status, standard output and standard error."""

    def run(*arguments, text=""):
        monkeypatch.setattr(sys, "argv", ["archcast", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def refused(cli):
    """Check that the command ends with status 2, prints nothing, and says one sentence that holds the message."""

    def check(message, *arguments, text=""):
        code, out, err = cli(*arguments, text=text)
        assert (code, out) == (2, "")
        assert err.startswith("archcast: error: ")
        assert err.count("\n") == 1
        assert message in err

    return check
