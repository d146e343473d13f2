"""One line per check; a failed one ends the script with exit code 1 at its end."""

import sys
import traceback

TEXT = "The quick brown fox jumps."
failed = []


def check(name, body):
    try:
        body()
        print(f"ok {name}", flush=True)
    except BaseException as error:  # a library may raise anything
        failed.append(name)
        place = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in place if "/tests/clients/" in frame.filename]
        line = ours[-1].lineno if ours else "?"
        print(f"FAILED {name}, line {line}: {type(error).__name__}: {error}", flush=True)


def equal(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def raises(kind, call, words, status=None):
    """Expects an exception of exactly this class; gives it."""
    try:
        call()
    except Exception as error:
        assert type(error) is kind, f"got {type(error).__name__} ({error}), want {kind.__name__}"
        assert all(word in str(error) for word in words), f"{words} not in {error}"
        if status is not None:
            equal(error.status_code, status)
        return error
    raise AssertionError(f"nothing was raised, want {kind.__name__}")


def end():
    sys.exit(1 if failed else 0)
