"""The commands: a list of the losses, `show`, `search` and `check`."""

import argparse
import difflib
import importlib
import inspect
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jaxloss
from jaxloss.cli import form
from jaxloss.cli.plain import plain
from jaxloss.core.loss import Loss
from jaxloss.names import find, not_here

GOOD, BAD, MISUSED, NOT_RUN = 0, 1, 2, 3


class Misuse(Exception):
    """What was asked for cannot be done; the message says what can."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit status.

    0; 1 for a broken law or an empty search; 2 for a misuse; 3 where no law is broken and the example left some unrun.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no Greek still gets the rest
    given = _parser().parse_args(arguments)
    try:
        status: int = given.run(given)
        sys.stdout.flush()
    except Misuse as misuse:
        print(f"jaxloss: {misuse}", file=sys.stderr)
        return MISUSED
    except BrokenPipeError:  # a pager that was closed; nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jaxloss", description="The losses of jaxloss, and the laws on one of yours.")
    parser.set_defaults(run=list_all)
    commands = parser.add_subparsers(title="commands (none: list the losses)", metavar="")
    command = commands.add_parser("show", help="formula, arguments, corners, source, example and relatives of a loss")
    command.add_argument("loss", help="its name, such as huber")
    command.add_argument("--plot", metavar="FILE", help="also draw value, slope and curvature (.png, .pdf, .svg)")
    command.set_defaults(run=show)
    command = commands.add_parser("search", help="the losses whose description has all of these words")
    command.add_argument("words", nargs="+")
    command.set_defaults(run=search)
    command = commands.add_parser(
        "check",
        help="run the laws on a loss: exit status 0 if they hold, 1 if not, 3 if the example left some unrun",
        description="Runs jaxloss.testing.check_loss. The example is a few items, three or more, inside the domain, "
        "away from kinks.",
    )
    command.add_argument("loss", help="where it is: package.module:my_loss, or the name of a loss of the catalogue")
    command.add_argument(
        "--example",
        required=True,
        metavar="ARRAYS",
        help="the arguments of a call, as Python: 'jnp.array([1.0, 2.0, 3.0]), jnp.zeros(3), delta=2.0'",
    )
    command.add_argument(
        "--laws",
        default="quick",
        help="quick (the default), all, or names of laws, with commas between; strict_world is a warning unless named",
    )
    command.set_defaults(run=check)
    command = commands.add_parser("laws", help="each law: what it says, and how to mend what breaks it")
    command.set_defaults(run=list_laws)
    return parser


# ------------------------------------------------------------------------------------------------------------- to read


def list_all(_: argparse.Namespace) -> int:
    """The catalogue by family, a line a loss."""
    _print_list(jaxloss.catalogue)
    print(
        f"\n{len(jaxloss.catalogue)} losses. More of one: jaxloss show huber. By a word, or a name of another library: "
        "jaxloss search pos_weight.\nThe laws on a loss of yours: jaxloss check my_module:my_loss --example "
        "'jnp.arange(3.0), jnp.zeros(3)'. All commands: jaxloss --help."
    )
    return GOOD


def _print_list(names: Iterable[str]) -> None:
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(form.family(jaxloss.catalogue[name]), []).append(name)
    width = max(len(name) for group in families.values() for name in group)
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    for number, (family, group) in enumerate(families.items()):
        print("\n" * (number > 0) + family)
        for name in group:
            sentence = form.read(jaxloss.catalogue[name]).sentence
            print(_cut(f"  {name:{width}}  {sentence}", room))


def _cut(line: str, room: int) -> str:
    return line if len(line) <= room else line[: max(room - 1, 1)] + "…"


def show(given: argparse.Namespace) -> int:
    """All that is known of a loss; with `--plot`, a picture of it."""
    loss = _in_catalogue(given.loss)
    known = form.read(loss)
    print(f"{loss.__name__}  ({form.family(loss)})")
    print(_wrapped(known.sentence))
    _section("Formula", *plain(known.formula).split("   "), *(_wrapped(remark, "") for remark in known.remarks))
    rows = []
    for name, text in known.arguments.items():
        checked = form.interval(loss, name)
        rows.append((name + form.default(loss, name), text + (f" Checked: {checked}." if checked else "")))
    width = min(max(len(name) for name, _ in rows), 24)
    _section("Arguments", *(_hanging(name, text, width) for name, text in rows))
    if loss.signature:
        _section("Signature", f"{loss.signature}, and leading axes before it as you like")
    _section("Corners", _wrapped(known.corners, ""))
    _section("Source", _wrapped(known.source, ""))
    _section("Example", form.run_example(loss))
    _section("Relatives", *(_wrapped(f"{how}: {', '.join(n)}", "") for how, n in form.relatives(loss).items()))
    if given.plot:
        _plot(loss.__name__, given.plot)
        print(f"\nThe picture is in {given.plot}")
    return GOOD


def _section(title: str, *blocks: str) -> None:
    print(f"\n{title}")
    for block in blocks:
        print(textwrap.indent(block, "  "))


def _wrapped(text: str, indent: str = "  ") -> str:
    return textwrap.fill(text, 98, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _hanging(name: str, text: str, width: int) -> str:
    lines = textwrap.wrap(text, 96 - width, break_on_hyphens=False)
    head = name if len(name) > width else f"{name:{width}}  {lines.pop(0)}"
    return "\n".join([head, *(" " * (width + 2) + line for line in lines)])


def _plot(name: str, path: str) -> None:
    try:
        import matplotlib  # noqa: F401, ICN001
    except ImportError:
        raise Misuse("a picture needs matplotlib, which is not installed: pip install matplotlib") from None
    from jaxloss.cli.pictures import picture

    try:
        picture(name).savefig(path, dpi=150)
    except (OSError, ValueError) as error:  # a folder that is not there, a format that is unknown
        raise Misuse(f"the picture cannot be written to {path}: {error}") from error


def _in_catalogue(name: str) -> Loss[...]:
    if name in jaxloss.catalogue:
        return jaxloss.catalogue[name]
    raise Misuse(f"{not_here(name, jaxloss.catalogue)}. jaxloss without arguments lists all, jaxloss search finds.")


def search(given: argparse.Namespace) -> int:
    """The losses that have all of the words, in their name first, and what the words are in other libraries."""
    words = [word.lower() for text in given.words for word in text.split()]
    found = []
    for number, (name, loss) in enumerate(jaxloss.catalogue.items()):
        everything = f"{name} {name.replace('_', ' ')} {form.family(loss)} {loss.__doc__}".lower()
        if all(word in everything for word in words):
            rank = (not all(word in name.replace("_", " ") or word in name for word in words), number)
            found.append((rank, name))
    places = find("".join(words))
    if not found and not places:
        print(f"No loss has all of: {' '.join(words)}", file=sys.stderr)
        return BAD
    if found:
        _print_list(name for _, name in sorted(found))
    if places:
        print("\n" * bool(found) + "elsewhere")
        for place in places:
            print(_hanging(place.theirs, place.here, 0))
    return GOOD


# ------------------------------------------------------------------------------------------------------------ to check


def list_laws(_: argparse.Namespace) -> int:
    """What each law says, and how to mend what breaks it."""
    from jaxloss.testing.laws import LAWS, MENDS, QUICK

    for name, law in LAWS.items():
        says = str(inspect.getdoc(law)).split("\n\n")[0]
        print(name + "  (not among the quick ones)" * (name not in QUICK))
        print(_wrapped(says, "  "), _wrapped(f"To mend it: {MENDS[name]}", "  "), sep="\n", end="\n\n")
    return GOOD


def check(given: argparse.Namespace) -> int:
    """The laws on a loss of yours, each with its verdict as soon as it is known."""
    from jaxloss.testing.laws import LAWS, MENDS, VERDICTS, chosen, verdicts
    from jaxloss.testing.subject import Subject

    asked = given.laws.split(",")
    try:
        names = chosen(asked)
    except ValueError as error:
        raise Misuse(str(error)) from None
    loss = _found(given.loss)
    arrays, options = _example(given.example)
    try:
        subject = Subject(loss, arrays, options)
    except (TypeError, ValueError) as error:
        raise Misuse(f"{given.loss} cannot be called on the example: {error}") from error
    print(f"{subject.name}: {len(names)} of {len(LAWS)} laws", flush=True)
    width = max(map(len, LAWS))
    found: dict[str, list[str]] = {verdict: [] for verdict in VERDICTS}
    for law, verdict, text in verdicts(subject, _announced(names), strict="strict_world" in asked):
        found[verdict].append(law)
        if verdict in ("broken", "warning"):
            text += f" To mend it: {MENDS[law]}"
        mark = verdict.upper() if verdict == "broken" else verdict
        lines = textwrap.wrap(text, 79 - width) or [""]
        print(f"  {mark:14}  {law:{width}}  {lines[0]}".rstrip(), flush=True)
        for line in lines[1:]:
            print(" " * (width + 20) + line)
    left = len(names) - sum(map(len, found.values()))
    print(", ".join(f"{len(laws)} {verdict}" for verdict, laws in found.items()) + f", {left} not reached" * (left > 0))
    if found["not run"]:
        print(f"The example left {', '.join(found['not run'])} unrun; what it lacks is said above.")
    if len(names) < len(LAWS):
        print(
            f"{len(LAWS) - len(names)} laws were not asked for; all of them: --laws all. What they say: jaxloss laws."
        )
    return BAD if found["broken"] else NOT_RUN if found["not run"] else GOOD


def _announced(names: Sequence[str]) -> Iterator[str]:
    """The names; on a terminal, the law that runs is shown until its verdict takes the line."""
    for name in names:
        if sys.stdout.isatty():
            print(f"  {'running':14}  {name}", end="\r", flush=True)
        yield name


def _found(path: str) -> Any:
    """A loss by `package.module:name`, from the folder we are in as well, or by its name in the catalogue."""
    module, colon, name = path.partition(":")
    if module.endswith(".py"):
        dotted = re.sub(r"[/\\\\]+", ".", module.removesuffix(".py").removeprefix("./"))
        raise Misuse(f"{module} is a file; a loss is found by its module: {dotted}:{name or 'my_loss'}.")
    if not colon and "." in path:
        raise Misuse(f"a colon stands between the module and the loss: {':'.join(path.rsplit('.', 1))}.")
    if not colon:
        return _in_catalogue(path)
    sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:  # whatever the module does
        raise Misuse(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            near = difflib.get_close_matches(part, [other for other in vars(found) if not other.startswith("_")])
            hint = f"; did you mean {', '.join(near)}?" if near else "."
            raise Misuse(f"{module} has no {part!r}{hint}") from None
    if not callable(found):
        raise Misuse(f"{path} is not a loss but a {type(found).__name__}.")
    return found


def _example(text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call, evaluated: arrays by position, options by name."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    def arguments(*arrays: Any, **options: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return arrays, options

    names = {"jax": jax, "jnp": jnp, "np": np, "jaxloss": jaxloss, "arguments": arguments}
    try:
        return eval(f"arguments({text}\n)", names)  # what its user typed, on the machine of its user
    except Exception as error:  # whatever is typed
        raise Misuse(f"the example cannot be evaluated: {type(error).__name__}: {error}") from error
