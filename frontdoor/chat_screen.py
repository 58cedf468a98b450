"""`./foyer chat`: the web chat in a terminal, or in a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.text import Text

from frontdoor.chat import ChatClient, ChatError, Frame, Patience, Place
from frontdoor.settings import write_private

HELP = """\
What you type is sent when you press Enter. A number takes one of the choices offered last.
  /end     end the conversation         /cancel  leave the queue for a human
  /quit    leave (Ctrl-D too); the chat goes on where it was at the next start
  //text   send text that begins with a slash"""

_PROMPT = "> "
_COLOURS = {
    "assistant": "cyan",
    "agent": "green",
    "system": "yellow",
    "customer": "white",
    "note": "dim",
    "error": "red",
}
_CONTROL = {
    "queue": "waiting for a human; the assistant is silent meanwhile",
    "assistant": "the assistant is with you",
    "closed": "the conversation is closed; your next message begins a new one",
}


@dataclass(frozen=True)
class Line:
    """One line for the person: who (empty for remarks), what, and the colour's name."""

    who: str
    text: str
    colour: str


@dataclass
class Offer:
    """The choices that stand: those of the last message that was not the customer's."""

    seq: int = 0
    payloads: list[str] = field(default_factory=list)


def clean(text: object) -> str:
    """``text`` without control characters, which could move the cursor or worse; line ends stay."""
    return "".join(c for c in str(text) if c == "\n" or unicodedata.category(c) not in {"Cc", "Cs"})


def render(frame: Frame) -> list[Line]:
    """What a person should see of a frame of the server; nothing for those that are not for eyes."""
    show = _RENDERERS.get(str(frame.get("type")))
    return show(frame) if show is not None else []


def _message(frame: Frame) -> list[Line]:
    author = frame.get("author", {})
    kind = author.get("kind", "system")
    name = clean(author.get("name") or "")
    who = {"customer": "you", "agent": f"{name or 'agent'} (human)"}.get(kind, name or kind)
    content = frame.get("content", {})
    lines = [Line(who, _words(content), kind)]
    for number, choice in enumerate(content.get("choices") or [], 1):
        lines.append(Line("", f"  {number}  {clean(choice.get('title'))}", kind))
    return lines


def _words(content: Frame) -> str:
    kind = content.get("kind")
    if kind == "text":
        return clean(content.get("text"))
    if kind == "media":
        return f"[{clean(content.get('name'))}: {clean(content.get('url'))}] {clean(content.get('caption') or '')}".strip()
    if kind == "location":
        return f"[location {content.get('latitude')}, {content.get('longitude')}] {clean(content.get('label') or '')}".strip()
    if kind == "survey":
        return clean(content.get("question"))
    return f"[{clean(kind)}: this client can't show it]"


def _control(frame: Frame) -> list[Line]:
    control = frame.get("control")
    text = _CONTROL.get(str(control), str(control))
    if control == "agent":
        text = f"{clean(frame.get('name') or 'a human')} is with you"
    return [Line("", f"-- {text}", "note")]


def _queue(frame: Frame) -> list[Line]:
    wait = frame.get("wait")
    estimate = "how long we can't say" if wait is None else f"about {max(1, round(float(wait) / 60))} min"
    return [Line("", f"-- number {frame.get('position')} in the queue; {estimate}", "note")]


def _error(frame: Frame) -> list[Line]:
    then = {
        "drop": "it was not sent",
        "retry": "trying again by itself",
        "reconnect": "connecting again",
        "end": "the chat ends here",
    }.get(str(frame.get("then")), "")
    return [Line("", f"-- {clean(frame.get('message') or frame.get('code'))} ({then})", "error")]


def _typing(frame: Frame) -> list[Line]:
    author = frame.get("author", {})
    # The assistant answers sooner than one could read that it is typing.
    if author.get("kind") != "agent":
        return []
    return [Line("", f"-- {clean(author.get('name') or 'a human')} is typing", "note")]


def _welcome(frame: Frame) -> list[Line]:
    lines = [Line("", "-- older messages are not shown", "note")] if frame.get("truncated") else []
    return lines + (_control(frame) if frame.get("control") in {"queue", "agent"} else [])


_RENDERERS: dict[str, Callable[[Frame], list[Line]]] = {
    "message": _message,
    "control": _control,
    "queue": _queue,
    "error": _error,
    "typing": _typing,
    "welcome": _welcome,
}


class Terminal:
    """Lines in, lines out. In a terminal what comes in is shown above the line that is being typed."""

    def __init__(self, source: IO[str] | None = None, console: Console | None = None) -> None:
        self._source = source or sys.stdin
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.interactive = self._source.isatty() and self.console.is_terminal
        self.lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._reading = False

    def show(self, line: Line) -> None:
        """Prints one line."""
        text = Text()
        if line.who:
            text.append(f"{line.who}: ", style=f"bold {_COLOURS.get(line.colour, 'white')}")
        text.append(line.text, style="" if line.who else _COLOURS.get(line.colour, "white"))
        if self.interactive:
            self.console.file.write("\r\x1b[K")
        self.console.print(text)
        if self.interactive and self._reading:
            self._draw_prompt()

    def listen(self) -> None:
        """Starts the thread that reads; its lines arrive in ``lines``, None at the end of the input."""
        self._reading = True
        threading.Thread(target=self._read, args=(asyncio.get_running_loop(),), daemon=True).start()

    @contextlib.contextmanager
    def restored(self) -> Iterator[None]:
        """Leaves the terminal as it was, also when the thread is still in the middle of reading a line."""
        if not self.interactive:
            yield
            return
        import termios

        before = termios.tcgetattr(self._source)
        try:
            yield
        finally:
            termios.tcsetattr(self._source, termios.TCSADRAIN, before)

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            line = self._next_line()
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self.lines.put_nowait, line)
            if line is None:
                return

    def _next_line(self) -> str | None:
        if not self.interactive:
            line = self._source.readline()
            return line.rstrip("\n") if line else None
        try:
            return input(_PROMPT)
        except (EOFError, KeyboardInterrupt):
            return None

    def _draw_prompt(self) -> None:
        typed = ""
        with contextlib.suppress(ImportError):
            import readline

            typed = readline.get_line_buffer()
        self.console.file.write(_PROMPT + typed)
        self.console.file.flush()


class Session:
    """What joins the client and the terminal."""

    #: Seconds without anything new after which a piped line counts as answered, and the most it waits.
    QUIET, ANSWER = 0.6, 30.0

    def __init__(self, terminal: Terminal, url: str, app_key: str, place: Place) -> None:
        self._terminal = terminal
        self._offer = Offer()
        self._control = "assistant"
        self._typing = ""
        self._news = asyncio.Event()
        patience = Patience() if terminal.interactive else Patience(attempts=8)
        self.client = ChatClient(
            url,
            heard=self._heard,
            told=lambda text: terminal.show(Line("", f"-- {text}", "note")),
            app_key=app_key,
            place=place,
            replay=20 if terminal.interactive else 0,
            patience=patience,
        )
        self.greeted = asyncio.Event()

    def _heard(self, frame: Frame) -> None:
        kind = frame.get("type")
        if kind == "welcome":
            self.greeted.set()
        if kind in {"welcome", "control"}:
            before, self._control = self._control, str(frame.get("control"))
            if kind == "control" and self._control == "assistant" and before not in {"queue", "agent"}:
                return  # nobody else was in charge
        if kind == "message":
            self._note_message(frame)
            if self.client.is_own(frame):
                return
        if kind == "typing" and not self._typing_is_news(frame):
            return
        for line in render(frame):
            self._terminal.show(line)

    def _typing_is_news(self, frame: Frame) -> bool:
        """Once until the next message, and not in a pipe: who goes on typing says so every few seconds."""
        author = frame.get("author", {})
        who = str(author.get("name") or author.get("kind"))
        known, self._typing = who == self._typing, who
        return self._terminal.interactive and not known

    def _note_message(self, frame: Frame) -> None:
        self._typing = ""
        if frame.get("author", {}).get("kind") == "customer":
            return
        choices = frame.get("content", {}).get("choices") or []
        self._offer = Offer(frame["seq"], [str(choice.get("payload")) for choice in choices])
        self._news.set()

    async def talk(self) -> int:
        """Sends what is typed until it ends; gives the exit code (1: a piped line got no answer)."""
        await self.greeted.wait()
        answered = True
        while (line := await self._terminal.lines.get()) is not None:
            if line.strip() == "/quit":
                break
            if line.strip():
                answered = await self._one(line.strip()) and answered
        delivered = await self.client.all_acknowledged(5 if self._terminal.interactive else self.ANSWER)
        if not delivered:
            self._terminal.show(Line("", "-- the last message could not be delivered", "error"))
        return 0 if answered and delivered else 1

    async def _one(self, line: str) -> bool:
        self._news.clear()
        if line == "/help":
            for text in HELP.splitlines():
                self._terminal.show(Line("", text, "note"))
            return True
        if line in {"/end", "/cancel"}:
            await self.client.send({"type": "end" if line == "/end" else "cancel_queue"})
        elif line.isdecimal() and 0 < int(line) <= len(self._offer.payloads):
            await self.client.choose(self._offer.seq, self._offer.payloads[int(line) - 1])
        else:
            await self.client.say(line[1:] if line.startswith("//") else line)
        return self._terminal.interactive or await self._answered()

    async def _answered(self) -> bool:
        """In a pipe the next line waits for the answer, as a person would; a human's answer is not waited for."""
        if not await self.client.all_acknowledged(self.ANSWER):
            return False
        limit = self.ANSWER if self._control in {"assistant", "closed"} else self.QUIET
        try:
            async with asyncio.timeout(limit):
                await self._news.wait()
        except TimeoutError:
            return self._control not in {"assistant", "closed"}
        while self._news.is_set():
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), self.QUIET)
        return True


async def chat(
    url: str, app_key: str, place_file: Path, *, new: bool = False, terminal: Terminal | None = None
) -> int:
    """Runs a chat until its input ends; gives the exit code. Where it stands is kept in ``place_file`` (mode 0600)."""
    terminal = terminal or Terminal()
    session = Session(terminal, url, app_key, Place() if new else _kept_place(place_file))
    with terminal.restored():
        try:
            return await _converse(terminal, session, url)
        except ChatError as error:
            terminal.show(Line("", f"-- {error}", "error"))
            return 2
        finally:
            if session.client.place.session:
                write_private(place_file, json.dumps(asdict(session.client.place)) + "\n")


async def _converse(terminal: Terminal, session: Session, url: str) -> int:
    connection = asyncio.create_task(session.client.run())
    greeted = asyncio.create_task(session.greeted.wait())
    talk: asyncio.Task[int] | None = None
    try:
        await asyncio.wait({connection, greeted}, return_when=asyncio.FIRST_COMPLETED)
        if greeted.done():
            _begin(terminal, session, url)
            talk = asyncio.create_task(session.talk())
            await asyncio.wait({connection, talk}, return_when=asyncio.FIRST_COMPLETED)
            if talk.done():
                return talk.result()
        connection.result()
        return 2
    finally:
        await _cancel(connection, greeted, talk)


def _begin(terminal: Terminal, session: Session, url: str) -> None:
    if terminal.interactive:
        how = "going on where you were (--new begins afresh)" if session.client.resumed else "a new chat"
        terminal.show(Line("", f"-- {url}: {how}. /help for help, Ctrl-D to leave.", "note"))
    terminal.listen()


async def _cancel(*tasks: asyncio.Task[Any] | None) -> None:
    own = [task for task in tasks if task is not None]
    for task in own:
        task.cancel()
    await asyncio.gather(*own, return_exceptions=True)


def _kept_place(path: Path) -> Place:
    try:
        return Place(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return Place()
