import { beforeEach, describe, expect, it } from "vitest";
import { Failure } from "./api";
import type { Numbered, Snapshot } from "./protocol";
import { PING_EVERY_MS, PONG_WITHIN_MS, Stream, type Connection, type Socket, type World } from "./stream";
import { snapshot } from "./world";

class FakeSocket implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  sent: string[] = [];
  closed = false;

  constructor(readonly after: number) {}

  send(text: string): void {
    this.sent.push(text);
  }

  close(): void {
    this.closed = true;
  }

  says(frame: unknown): void {
    this.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }
}

/** A world whose clock a test moves. */
class FakeWorld implements World {
  sockets: FakeSocket[] = [];
  answers: (Snapshot | Error)[] = [];
  asked = 0;
  clock = 1_000_000;
  timers: { at: number; then: () => void }[] = [];

  async snapshot(): Promise<Snapshot> {
    this.asked += 1;
    const answer = this.answers.shift() ?? snapshot({ event: 10 });
    if (answer instanceof Error) throw answer;
    return answer;
  }

  open(after: number): Socket {
    const socket = new FakeSocket(after);
    this.sockets.push(socket);
    return socket;
  }

  now(): number {
    return this.clock;
  }

  random(): number {
    return 1;
  }

  after(ms: number, then: () => void): () => void {
    const timer = { at: this.clock + ms, then };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((one) => one !== timer);
    };
  }

  get socket(): FakeSocket {
    const last = this.sockets.at(-1);
    if (!last) throw new Error("no socket was opened");
    return last;
  }

  async advance(ms: number): Promise<void> {
    const end = this.clock + ms;
    for (;;) {
      const next = this.timers.filter((one) => one.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.timers = this.timers.filter((one) => one !== next);
      this.clock = next.at;
      next.then();
      await settled();
    }
    this.clock = end;
  }
}

async function settled(): Promise<void> {
  for (let at = 0; at < 20; at += 1) await Promise.resolve();
}

let world: FakeWorld;
let stream: Stream;
let connections: Connection[];
let events: number[];
let snapshots: number[];
let typing: string[];

beforeEach(() => {
  world = new FakeWorld();
  connections = [];
  events = [];
  snapshots = [];
  typing = [];
  stream = new Stream(world, {
    snapshot: (state) => snapshots.push(state.event),
    event: (event: Numbered) => events.push(event.event),
    typing: (conversation) => typing.push(conversation),
    connection: (state) => connections.push(state),
  });
});

const is = () => connections.at(-1)?.is;
const event = (number: number) => ({ event: number, type: "queue", at: "", queue: {} });

async function live(): Promise<void> {
  stream.start();
  await settled();
  world.socket.onopen?.();
}

describe("the stream", () => {
  it("begins with a snapshot and follows from its number", async () => {
    await live();
    expect([snapshots, world.socket.after, is()]).toEqual([[10], 10, "live"]);
    world.socket.says(event(11));
    world.socket.says(event(12));
    expect(events).toEqual([11, 12]);
  });

  it("is not live before the socket is open", async () => {
    stream.start();
    await settled();
    expect(is()).toBe("connecting");
  });

  it("drops events that it has, and frames that are none", async () => {
    await live();
    for (const frame of [event(11), event(11), event(9), "not json", "null", "7", { type: "news" }]) world.socket.says(frame);
    expect(events).toEqual([11]);
  });

  it("comes back from the last event that it had, without a new snapshot", async () => {
    await live();
    world.socket.says(event(17));
    world.socket.onclose?.({ code: 1006 });
    await settled();
    expect(is()).toBe("offline");
    await world.advance(500);
    expect([world.socket.after, world.asked]).toEqual([17, 1]);
    expect(is()).toBe("offline");
    world.socket.onopen?.();
    expect(is()).toBe("live");
  });

  it("tells since when it is offline over all attempts, and waits longer each time", async () => {
    world.answers = [snapshot(), ...Array.from({ length: 9 }, () => new Failure(0, "offline", ""))];
    await live();
    const lost = world.clock;
    world.socket.onclose?.({ code: 1006 });
    await settled();
    const waits: number[] = [];
    for (let attempt = 0; attempt < 4; attempt += 1) {
      const now = connections.at(-1);
      if (now?.is !== "offline") throw new Error(`is ${now?.is}`);
      expect(now.since).toBe(lost);
      waits.push(now.retryAt - world.clock);
      await world.advance(now.retryAt - world.clock);
      world.socket.onclose?.({ code: 1006 });
      await settled();
    }
    expect(waits).toEqual([500, 1000, 2000, 4000]);
  });

  it("fetches a fresh snapshot on reset, and goes on behind it", async () => {
    await live();
    world.answers = [snapshot({ event: 40 })];
    world.socket.says({ type: "reset", event: 39, at: "" });
    await settled();
    world.socket.says(event(40));
    world.socket.says(event(41));
    expect([snapshots, events]).toEqual([[10, 40], [41]]);
  });

  it("is stale when a ping is not answered, and lost when that lasts", async () => {
    await live();
    await world.advance(PING_EVERY_MS);
    expect(world.socket.sent).toHaveLength(1);
    await world.advance(PONG_WITHIN_MS);
    expect(is()).toBe("stale");
    world.socket.says({ type: "pong" });
    expect(is()).toBe("live");
    await world.advance(PING_EVERY_MS + 2 * PONG_WITHIN_MS);
    expect(is()).toBe("offline");
    expect(world.sockets[0]?.closed).toBe(true);
  });

  it("gives up on a socket that never opens", async () => {
    stream.start();
    await settled();
    await world.advance(10_000);
    expect(is()).toBe("offline");
  });

  it("asks for a log-in when the session ended", async () => {
    await live();
    world.socket.onclose?.({ code: 4401 });
    await settled();
    expect(is()).toBe("expired");
    await world.advance(60_000);
    expect(world.sockets).toHaveLength(1);
  });

  it("tells a refused upgrade from a lost network by asking over HTTP", async () => {
    await live();
    world.socket.onclose?.({ code: 1006 });
    await settled();
    world.answers = [new Failure(401, "unauthorized", "")];
    await world.advance(500);
    world.socket.onclose?.({ code: 1006 });
    await settled();
    expect(is()).toBe("expired");
  });

  it("fetches the state again when its duties changed", async () => {
    await live();
    world.answers = [snapshot({ event: 30 })];
    world.socket.onclose?.({ code: 4403 });
    await world.advance(500);
    expect([snapshots, world.socket.after]).toEqual([[10, 30], 30]);
  });

  it("looks at once when the network is back", async () => {
    await live();
    world.socket.onclose?.({ code: 1006 });
    await settled();
    stream.nudge();
    await settled();
    expect(world.sockets).toHaveLength(2);
    world.socket.onopen?.();
    stream.nudge();
    expect(world.socket.sent).toHaveLength(1);
  });

  it("waits as long as the front door asks", async () => {
    world.answers = [new Failure(503, "unavailable", "", {}, 7)];
    stream.start();
    await settled();
    expect(connections.at(-1)).toMatchObject({ is: "offline", retryAt: world.clock + 7000 });
  });

  it("ignores a socket that it has given up", async () => {
    await live();
    const old = world.socket;
    stream.start();
    await settled();
    world.socket.onopen?.();
    old.says(event(99));
    expect(events).toEqual([]);
  });

  it("passes typing on", async () => {
    await live();
    world.socket.says({ type: "typing", conversation: "c", author: { kind: "customer" } });
    expect(typing).toEqual(["c"]);
  });
});
