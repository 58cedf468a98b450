"""How fast one assistant process answers turns, beside stock Rasa with its default pipeline.

    ./foyer bench turns [--json FILE] [--against FILE] [--clients N] [--no-stock]

Starts Rasa and the action server of its own on free loopback ports, with a scratch account database. The stock
assistant is trained once from the same domain and data, and kept under var/bench.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import itertools
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console

from bench import figures
from bench.figures import Budget

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "var" / "bench"
PYTHON = ROOT / ".venv" / "bin" / "python"
BOT_PYTHON = ROOT / "bot" / ".venv" / "bin" / "python"
TOKEN = "bench"
START_SECONDS = 180.0

BUDGETS = {
    "turns_per_second_8": Budget(120, "least"),
    "turn_p50_ms": Budget(10),
    "action_turn_p50_ms": Budget(14),
    "turn_500_over_5": Budget(1.1),
    "rasa_rss_mb": Budget(750),
}

# What customers say that needs no account: answers, fallbacks, and one that asks back.
SMALL_TALK = (
    "hello",
    "are you a robot?",
    "what can you help me with?",
    "thank you very much",
    "what is the weather tomorrow",
    "no",
    "ok bye",
)

CYCLE = len(SMALL_TALK)

# Rasa's own suggestion, as `rasa init` and its documentation have it.
STOCK_CONFIG = """recipe: default.v1
assistant_id: stock
language: en
pipeline:
  - name: WhitespaceTokenizer
  - name: RegexFeaturizer
  - name: LexicalSyntacticFeaturizer
  - name: CountVectorsFeaturizer
  - name: CountVectorsFeaturizer
    analyzer: char_wb
    min_ngram: 1
    max_ngram: 4
  - name: DIETClassifier
    epochs: 100
    constrain_similarities: true
  - name: EntitySynonymMapper
  - name: ResponseSelector
    epochs: 100
    constrain_similarities: true
  - name: FallbackClassifier
    threshold: 0.3
    ambiguity_threshold: 0.1
policies:
  - name: MemoizationPolicy
  - name: RulePolicy
  - name: UnexpecTEDIntentPolicy
    max_history: 5
    epochs: 100
  - name: TEDPolicy
    max_history: 5
    epochs: 100
    constrain_similarities: true
"""


class Failed(Exception):
    """The benchmark cannot go on; the message says why."""


# --- processes --------------------------------------------------------------------------------------------------------


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a child: ours, without what another virtual environment left."""
    kept = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONHOME"}}
    quiet = {"RASA_TELEMETRY_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    return {**kept, **quiet, "PYTHONPATH": str(ROOT), "SANIC_HOST": "127.0.0.1", **more}


@contextlib.contextmanager
def process(
    name: str, command: Sequence[str], folder: Path, **more: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a child for as long as the block lasts; its output goes to var/bench/<name>.log."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / f"{name}.log").open("wb") as log:
        child = subprocess.Popen(
            command, cwd=folder, env=environment(**more), stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


async def wait_until_answering(url: str, child: subprocess.Popen[bytes], name: str) -> None:
    """Return when `url` answers 200. Raises Failed when the child ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            if child.poll() is not None:
                raise Failed(f"{name} ended; see {HOME / name}.log")
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.25)
    raise Failed(f"{name} did not answer within {START_SECONDS:g} s; see {HOME / name}.log")


def rasa(model: Path, port: int, credentials: Path, endpoints: Path) -> list[str]:
    """Return the command line of `rasa run`."""
    command = [str(BOT_PYTHON), "-m", "rasa", "run", "-m", str(model), "-i", "127.0.0.1", "-p", str(port)]
    return [*command, "--credentials", str(credentials), "--endpoints", str(endpoints)]


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)


# --- assistants to talk to --------------------------------------------------------------------------------------------


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Answer:
    """What came back for one message: seconds, custom actions run, the state's size in bytes."""

    seconds: float
    actions: int = 0
    state_bytes: int = 0


@dataclass
class Foyer:
    """Talks to our channel as the front door does, one conversation."""

    session: aiohttp.ClientSession
    url: str
    conversation: str
    state: Any = None
    verification: dict[str, Any] = field(default_factory=lambda: {"level": "none", "failed_attempts": 0})
    turns: int = 0

    async def say(self, text: str) -> Answer:
        """Send a message. Raises Failed when the turn fails."""
        self.turns += 1
        body = {
            "turn": f"{self.conversation}-{self.turns}",
            "conversation": self.conversation,
            "message": {"text": text},
            "context": {
                "channel": "webchat",
                "locale": "en-GB",
                "now": "2026-01-01T12:00:00Z",
                "source": self.conversation,
                "customer": None,
                "verification": self.verification,
            },
            "state": self.state,
        }
        started = time.perf_counter()
        async with self.session.post(
            self.url, json=body, headers={"Authorization": f"Bearer {TOKEN}"}
        ) as response:
            answer = await response.json()
        seconds = time.perf_counter() - started
        if response.status != 200:
            raise Failed(f"a turn was answered {response.status}: {answer['error']['message']}")
        self.state = answer["state"]
        self._carry_out(answer["effects"])
        return Answer(seconds, len(answer["actions"]), answer["state_bytes"])

    def _carry_out(self, effects: list[dict[str, Any]]) -> None:
        for effect in effects:
            if effect["kind"] == "set_verification" and not effect.get("failed"):
                self.verification = {**effect, "failed_attempts": 0}


@dataclass
class Stock:
    """Talks to Rasa's REST channel, which keeps the conversation itself."""

    session: aiohttp.ClientSession
    url: str
    conversation: str

    async def say(self, text: str) -> Answer:
        """Send a message. Raises Failed when the turn fails."""
        started = time.perf_counter()
        async with self.session.post(
            self.url, json={"sender": self.conversation, "message": text}
        ) as response:
            await response.read()
        if response.status != 200:
            raise Failed(f"stock Rasa answered {response.status}")
        return Answer(time.perf_counter() - started)


Talker = Foyer | Stock
MakeTalker = Callable[[str], Talker]


async def converse(talker: Talker, texts: Sequence[str], turns: int) -> list[Answer]:
    """Say the texts in turn, `turns` messages in all."""
    return [await talker.say(text) for text in itertools.islice(itertools.cycle(texts), turns)]


@dataclass(frozen=True)
class Load:
    """What a number of clients saw at once."""

    answers: list[Answer]
    seconds: float

    @property
    def per_second(self) -> float:
        """Return answered messages a second."""
        return len(self.answers) / self.seconds

    def milliseconds(self, share: float, *, with_action: bool = False) -> float:
        """Return a percentile, `share` of 1, of all answers or of those for which a custom action ran."""
        times = sorted(answer.seconds for answer in self.answers if answer.actions or not with_action)
        if not times:
            raise Failed("no turn ran a custom action")
        return 1000 * times[min(len(times) - 1, int(share * len(times)))]


async def load(
    make: MakeTalker, clients: int, texts: Sequence[str], turns: int, conversations: int = 1
) -> Load:
    """Let clients talk at once: each has `conversations`, one after the other, of `turns` messages."""

    async def client(number: int) -> list[Answer]:
        out: list[Answer] = []
        for conversation in range(conversations):
            name = f"bench-{clients}-{turns}-{number}-{conversation}-{time.monotonic_ns()}"
            out += await converse(make(name), texts, turns)
        return out

    started = time.perf_counter()
    parts = await asyncio.gather(*(client(number) for number in range(clients)))
    return Load([answer for part in parts for answer in part], time.perf_counter() - started)


def milliseconds(answers: Sequence[Answer]) -> float:
    """Return the median of answers' times."""
    return 1000 * statistics.median(answer.seconds for answer in answers)


def around(answers: Sequence[Answer], turn: int, spread: int) -> float:
    """Return the median milliseconds of the turns about the given one, counted from 1."""
    part = answers[max(0, turn - 1 - spread) : turn + spread]
    return milliseconds(part)


# --- measuring --------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def foyer(console: Console) -> AsyncIterator[tuple[MakeTalker, subprocess.Popen[bytes], list[str]]]:
    """Run our assistant with its actions; yield how to talk to it, Rasa's process, and texts that run actions."""
    console.print("Training the assistant, if its inputs changed ...")
    await asyncio.to_thread(_train)
    accounts = f"sqlite:///{HOME / 'accounts.db'}"
    texts = await asyncio.to_thread(_account_talk, accounts)
    actions_port, port = free_port(), free_port()
    actions = [str(PYTHON), "-m", "actions", "--port", str(actions_port)]
    command = rasa(ROOT / "bot" / "models", port, ROOT / "credentials.yml", ROOT / "endpoints.yml")
    told = {"FOYER_ACTIONS_URL": f"http://127.0.0.1:{actions_port}/webhook", "FOYER_ASSISTANT_TOKEN": TOKEN}
    url = f"http://127.0.0.1:{port}/webhooks/foyer"
    with (
        process("actions", actions, ROOT, FOYER_ACCOUNTS_URL=accounts, FOYER_LOG_LEVEL="WARNING") as child,
        process("rasa", command, ROOT, **told) as server,
    ):
        console.print("Starting Rasa and the action server ...")
        await wait_until_answering(f"http://127.0.0.1:{actions_port}/health", child, "actions")
        await wait_until_answering(f"{url}/health", server, "rasa")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            yield lambda name: Foyer(session, f"{url}/turn", name), server, texts


def _train() -> None:
    done = subprocess.run([str(BOT_PYTHON), "-m", "bot.train"], cwd=ROOT, env=environment(), check=False)
    if done.returncode != 0:
        raise Failed("the assistant cannot be trained")


def _account_talk(accounts: str) -> list[str]:
    """Return what a customer says who asks for an order and proves who they are."""
    from actions.sample import sample

    customer = sample(accounts, 1)[0]
    return ["where is my order?", customer.order_number, customer.email, "when will it be delivered?"]


async def measure_foyer(console: Console, clients: int) -> dict[str, float]:
    """Return the figures of our assistant."""
    async with foyer(console) as (make, server, account_talk):
        await load(make, 2, [*SMALL_TALK, *account_talk], 22)
        console.print("One client ...")
        before = cpu_seconds(server.pid)
        one = await load(make, 1, SMALL_TALK, 50, conversations=6)
        cpu = (cpu_seconds(server.pid) - before) / len(one.answers)
        console.print(f"{clients} clients ...")
        many = await load(make, clients, SMALL_TALK, 50, conversations=2)
        console.print("With custom actions ...")
        before = cpu_seconds(server.pid)
        one_account = await load(make, 1, account_talk, len(account_talk), conversations=40)
        action_cpu = (cpu_seconds(server.pid) - before) / len(one_account.answers)
        many_account = await load(make, clients, account_talk, len(account_talk), conversations=15)
        console.print("Five hundred turns in one conversation ...")
        long = make("long")
        hundred = around(await converse(long, SMALL_TALK, 13 * CYCLE + 14), 100, CYCLE // 2)
        await converse(long, SMALL_TALK, 490 - 13 * CYCLE - 14)
        early, late = await early_and_late(make, long)
        return {
            "turns_per_second_1": one.per_second,
            f"turns_per_second_{clients}": many.per_second,
            "turn_p50_ms": one.milliseconds(0.5),
            "turn_p99_ms": one.milliseconds(0.99),
            f"turn_{clients}_p50_ms": many.milliseconds(0.5),
            f"turn_{clients}_p99_ms": many.milliseconds(0.99),
            "action_turn_p50_ms": one_account.milliseconds(0.5, with_action=True),
            "action_turn_p99_ms": one_account.milliseconds(0.99, with_action=True),
            f"action_turns_per_second_{clients}": many_account.per_second,
            "turn_5_ms": milliseconds(early),
            "turn_100_ms": hundred,
            "turn_500_ms": milliseconds(late),
            "turn_500_over_5": milliseconds(late) / milliseconds(early),
            "state_500_bytes": late[0].state_bytes,
            "turn_cpu_ms": 1000 * cpu,
            "action_turn_cpu_ms": 1000 * action_cpu,
            "rasa_rss_mb": resident_mb(server.pid),
        }


async def early_and_late(make: MakeTalker, long: Talker) -> tuple[list[Answer], list[Answer]]:
    """Return answers about turn 5 of fresh conversations, and those of a long one in between.

    The same texts, by turns: so neither suffers more than the other from what else the machine does.
    """
    early: list[Answer] = []
    late: list[Answer] = []
    for number in range(12):
        early += (await converse(make(f"fresh-{number}"), SMALL_TALK, 1 + CYCLE))[1:]
        late += await converse(long, SMALL_TALK, CYCLE)
    return early, late


def stock_model(console: Console) -> tuple[Path, Path]:
    """Return the folder of the stock assistant and its model, trained when it is missing. Raises Failed."""
    files = [*sorted((ROOT / "domain").rglob("*.yml")), *_stock_data(ROOT / "data")]
    total = hashlib.sha256(STOCK_CONFIG.encode())
    for path in files:
        total.update(path.read_bytes())
    folder = HOME / "stock" / total.hexdigest()[:16]
    model = folder / "models" / "stock.tar.gz"
    if model.is_file():
        return folder, model
    console.print("Training the stock assistant (DIET, TED): some minutes, once ...")
    shutil.rmtree(HOME / "stock", ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "config.yml").write_text(STOCK_CONFIG, encoding="utf-8")
    (folder / "credentials.yml").write_text("rest:\n", encoding="utf-8")
    (folder / "endpoints.yml").write_text("# Rasa's defaults.\n", encoding="utf-8")
    shutil.copytree(ROOT / "domain", folder / "domain")
    shutil.copytree(ROOT / "data", folder / "data", ignore=shutil.ignore_patterns("tests"))
    command = [str(BOT_PYTHON), "-m", "rasa", "train", "--domain", "domain", "--fixed-model-name", "stock"]
    with (HOME / "stock-train.log").open("wb") as log:
        done = subprocess.run(
            command, cwd=folder, env=environment(), stdout=log, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode != 0 or not model.is_file():
        raise Failed(f"the stock assistant cannot be trained; see {HOME / 'stock-train.log'}")
    return folder, model


def _stock_data(data: Path) -> list[Path]:
    return sorted(path for path in data.rglob("*.yml") if data / "tests" not in path.parents)


async def measure_stock(console: Console, clients: int) -> dict[str, float]:
    """Return the figures of stock Rasa: its default pipeline, its REST channel, its tracker store in memory."""
    folder, model = await asyncio.to_thread(stock_model, console)
    port = free_port()
    command = rasa(model, port, folder / "credentials.yml", folder / "endpoints.yml")
    with process("stock", command, folder) as server:
        console.print("Starting stock Rasa ...")
        await wait_until_answering(f"http://127.0.0.1:{port}/webhooks/rest/", server, "stock")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            def make(name: str) -> Stock:
                return Stock(session, f"http://127.0.0.1:{port}/webhooks/rest/webhook", name)

            await load(make, 2, SMALL_TALK, 7)
            console.print(f"Stock Rasa: {clients} clients ...")
            many = await load(make, clients, SMALL_TALK, 50)
            console.print("Stock Rasa: a hundred turns in one conversation ...")
            long = await converse(make("long"), SMALL_TALK, 107)
            return {
                f"stock_turns_per_second_{clients}": many.per_second,
                "stock_turn_100_ms": around(long, 100, CYCLE // 2),
                "stock_rss_mb": resident_mb(server.pid),
            }


async def measure(console: Console, clients: int, *, stock: bool) -> dict[str, float]:
    """Return all figures."""
    found = await measure_foyer(console, clients)
    if stock:
        found |= await measure_stock(console, clients)
        ours, theirs = found[f"turns_per_second_{clients}"], found[f"stock_turns_per_second_{clients}"]
        found[f"over_stock_{clients}"] = ours / theirs
        found["over_stock_at_turn_100"] = found["stock_turn_100_ms"] / found["turn_100_ms"]
    return {name: round(value, 3) for name, value in found.items()}


# --- command line -----------------------------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark: 0 done, 1 a budget is missed, 2 can't."""
    options = _parser().parse_args(argv)
    console = Console()
    try:
        against = figures.read(options.against) if options.against else None
        found = asyncio.run(measure(console, options.clients, stock=not options.no_stock))
    except (Failed, OSError, ValueError) as error:
        console.print(f"[red]{error}")
        return 2
    result: Mapping[str, Any] = figures.report("turns", found, BUDGETS)
    figures.show(result, against, console)
    if options.json:
        figures.write(options.json, result)
    return 0 if all(budget["ok"] for budget in result["budgets"].values()) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./foyer bench turns", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the report to this file")
    parser.add_argument("--against", type=Path, help="show an earlier report beside it")
    parser.add_argument("--clients", type=int, default=8, help="how many talk at once (default 8)")
    parser.add_argument("--no-stock", action="store_true", help="leave out stock Rasa")
    return parser


if __name__ == "__main__":
    sys.exit(main())
