"""``destinations help``: the reference, in a terminal."""

from __future__ import annotations

import contextlib
import itertools
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from destinations.cli.commands import Command
from destinations.cli.definition_text import definition_page
from destinations.cli.tables import Bold, say, styled, table_lines, terminal_width
from destinations.definition import load_definition
from destinations.errors import DefinitionError, UsageError
from destinations.reference import Topic, Topics, lines_of, read_topics
from destinations.runtime.installed import installed

__all__ = ["command"]

_WIDTH = 100
_INSTALLED = "installed/"
_FILE = "destination.yaml"
_SEPARATORS = {"/", os.sep}
_OF_GUIDES = "../reference/"
"""What links of guides to the reference begin with, seen from there."""
_MOST_FOUND = 8


@click.command(
    "help",
    cls=Command,
    short_help="Show a topic of the reference, such as a directive or a key.",
    epilog="Example: destinations help @path",
    # Options are topics, too: help --settings.
    context_settings={"ignore_unknown_options": True},
)
@click.argument("topic", nargs=-1)
@click.option("--search", metavar="WORDS", help="List the pages that have all of these words.")
def command(topic: tuple[str, ...], search: str | None) -> None:
    """Show a TOPIC of the reference: a directive, a key, a command, an outcome, an error code.

    A guide is shown by its name, too: `guide upgrade`. The name of an installed destination, or the
    folder of one, shows its settings, its actions with their fields, and its presets. Without a
    topic, list all of them. On a terminal, a long topic is shown by the pager that PAGER names.
    """
    topics = read_topics()
    if search is not None:
        _search(topics, " ".join([search, *topic]))
    elif topic:
        _find(topics, topic)
    else:
        click.echo("destinations help TOPIC shows one of these, or any heading of them.")
        click.echo("destinations help --search WORDS finds the pages that have these words.")
        slugs = ", ".join(installed().destinations)
        click.echo(f"It also shows the settings and actions of what is installed: {slugs}.\n")
        for heading, pages in _rooms(topics):
            say(Bold(heading))
            _list(pages)
            click.echo()


def _find(topics: Topics, words: Sequence[str]) -> None:
    """Show the topic of this name, or list those that have it."""
    name = " ".join(" ".join(words).split())
    if _SEPARATORS & set(name) and _show_folder(name):
        return
    is_one = " " not in name
    others = _others(topics, name) if is_one else ()
    topics = topics.plus(_definitions(name.partition(" ")[0].casefold()))
    try:
        found = topics.find(name)
    except UsageError as error:
        if _show_folder(name):
            return
        pages = topics.plus(_definitions()).search(name)
        if not pages:
            raise
        say(f"Error: {error}", to_stderr=True)
        click.echo("\nPages that have it:", err=True)
        _list(pages[:_MOST_FOUND], to_stderr=True)
        raise click.exceptions.Exit(2) from error
    related = [_with_its_page(topics, one).name for one in topics.related(name, found)]
    if len(found) > 1:
        click.echo(f"{len(found)} topics are called {name}:\n")
        _list([_with_its_page(topics, one) for one in found])
    else:
        _show(topics, found[0])
        if found[0].path.startswith(_INSTALLED) and others:
            names = ", ".join(f"destinations help {one}" for one in others)
            click.echo(f"\nOther topics of this name: {names}")
    if related:
        names = ", ".join(f"destinations help {one}" for one in dict.fromkeys(related))
        click.echo(f"\nSee also: {names}")


def _search(topics: Topics, words: str) -> None:
    pages = topics.plus(_definitions()).search(words)
    if not pages:
        msg = f"no page has {words!r}; `destinations help` lists all topics"
        raise click.UsageError(msg)
    _list(pages)


def _show_folder(name: str) -> bool:
    """Show the definition of a folder; return whether there is one."""
    folder = Path(name)
    if not (folder / _FILE).is_file():
        return False
    page = Topics.of({_INSTALLED: definition_page(load_definition(folder))})
    _show(page, page.pages[_INSTALLED])
    return True


def _definitions(slug: str | None = None) -> Mapping[str, str]:
    """Return the pages of the installed destination of this name, or of all, by their paths.

    One that cannot be loaded has none here: `destinations list` says why.
    """
    pages = {}
    for name, one in installed().destinations.items():
        if slug in {None, name}:
            with contextlib.suppress(DefinitionError):
                pages[f"{_INSTALLED}{name}.md"] = definition_page(load_definition(one.folder))
    return pages


def _others(topics: Topics, slug: str) -> Sequence[str]:
    """Return the topics of the reference that have the name of a destination."""
    with contextlib.suppress(UsageError):
        return [_with_its_page(topics, one).name for one in topics.find(slug)]
    return ()


def _rooms(topics: Topics) -> Iterator[tuple[str, Sequence[Topic]]]:
    """Yield the pages by their folder: its own page first, then the others."""
    pages = sorted(topics.pages.values(), key=lambda one: posixpath.dirname(one.path))
    for folder, found in itertools.groupby(pages, key=lambda one: posixpath.dirname(one.path)):
        own, *others = sorted(found, key=lambda one: posixpath.basename(one.path) != "index.md")
        yield (own.name, [own, *others]) if folder else ("general", others)
    yield "guides", list(topics.guides.values())


def _list(pages: Sequence[Topic], *, to_stderr: bool = False) -> None:
    rows = [(f"  {page.name}", page.summary.replace("`", "")) for page in pages]
    width = terminal_width(to_stderr=to_stderr)
    for line in itertools.islice(table_lines(("", ""), rows, width=width), 1, None):
        say(line, to_stderr=to_stderr)


def _with_its_page(topics: Topics, topic: Topic) -> Topic:
    """Return a section under the name that leads to it alone."""
    if not topic.section:
        return topic
    page = topics.page_of(topic)
    is_alone = topics.find(topic.name) == [topic]
    name = topic.name if is_alone else f"{page.name} {topic.name}"
    return replace(topic, name=name, summary=page.summary)


def _show(topics: Topics, topic: Topic) -> None:
    folder = posixpath.dirname(topic.path)

    def topic_of(link: str) -> str | None:
        path, _, anchor = link.partition("#")
        place = posixpath.normpath(posixpath.join(folder, path)).removeprefix(_OF_GUIDES)
        page = topics.pages.get(place) or topics.guides.get(place)
        return None if page is None or (anchor and not path) else page.name

    width = min(terminal_width() or _WIDTH, _WIDTH)
    text = "\n".join(
        lines_of(topic.text, width=width, table=_table, heading=_heading, topic_of=topic_of)
    )
    if _is_long(text):
        click.echo_via_pager(text + "\n")
    else:
        click.echo(text)


def _heading(text: str) -> str:
    return styled(Bold(text))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    width = min(terminal_width() or _WIDTH, _WIDTH)
    return (styled(line) for line in table_lines(head, rows, width=width))


def _is_long(text: str) -> bool:
    width = terminal_width()
    return width is not None and text.count("\n") > 40
