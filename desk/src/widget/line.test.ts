import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ChatServerFrame } from "../protocol/webchat";
import type { Link } from "./chat";
import { backoff, Line, type LineWorld, NoSession } from "./line";

class FakeSocket {
  readyState = 0;
  sent: { type: string; session?: string; last_seq?: number }[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  closed = false;
  send(raw: string): void {
    this.sent.push(JSON.parse(raw));
  }
  close(): void {
    this.closed = true;
    this.readyState = 3;
  }
  opens(): void {
    this.readyState = 1;
    this.onopen?.();
  }
  says(frame: Partial<ChatServerFrame> & { type: string }): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
  dies(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code });
  }
}

const WELCOME = { type: "welcome", thread: "t", conversation: null, control: "closed", last_seq: 0 } as const;

describe("Line", () => {
  let sockets: FakeSocket[];
  let links: Link[];
  let heard: ChatServerFrame[];
  let asked: (string | undefined)[];
  let session: () => Promise<string>;
  let seq: number;
  let line: Line;
  const last = (): FakeSocket => sockets.at(-1) as FakeSocket;
  const settled = async (): Promise<void> => {
    await vi.advanceTimersByTimeAsync(0);
  };
  const connected = async (): Promise<void> => {
    await settled();
    last().opens();
    last().says(WELCOME);
  };

  beforeEach(() => {
    vi.useFakeTimers();
    [sockets, links, heard, asked, seq] = [[], [], [], [], 0];
    session = () => Promise.resolve(`token${asked.length}`);
    const world: LineWorld = {
      session: (stale) => (asked.push(stale || undefined), session()),
      socket: () => {
        sockets.push(new FakeSocket());
        return last() as unknown as WebSocket;
      },
      lastSeq: () => seq,
      hear: (frame) => heard.push(frame),
      link: (state) => links.push(state),
      random: () => 1,
    };
    line = new Line(world);
  });
  afterEach(() => vi.useRealTimers());

  it("says hello with what it has, and is on when it is welcome", async () => {
    seq = 12;
    line.start();
    expect(line.send({ type: "ping" })).toBe(false);
    await connected();
    expect(last().sent).toEqual([{ type: "hello", session: "token1", last_seq: 12 }]);
    expect(links).toEqual(["connecting", "on"]);
    expect(line.send({ type: "typing" })).toBe(true);
  });

  it("comes back after a loss, later and later, and soon again once it held", async () => {
    line.start();
    await connected();
    const pauses: number[] = [];
    for (let round = 0; round < 8; round++) {
      const count = sockets.length;
      last().dies();
      const began = Date.now();
      while (sockets.length === count) await vi.advanceTimersByTimeAsync(50);
      pauses.push(Date.now() - began);
      last().opens();
    }
    expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
    last().says(WELCOME);
    await vi.advanceTimersByTimeAsync(5000);
    last().dies();
    const count = sockets.length;
    await vi.advanceTimersByTimeAsync(500);
    expect(sockets.length).toBe(count + 1);
  });

  it("does not take a moment's welcome for a line that holds", async () => {
    line.start();
    await connected();
    last().dies();
    await vi.advanceTimersByTimeAsync(500);
    await connected();
    last().dies();
    await vi.advanceTimersByTimeAsync(999);
    expect(sockets).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(sockets).toHaveLength(3);
  });

  it("spreads clients that lost the same server", () => {
    expect([backoff(0, 0), backoff(0, 1), backoff(3, 0.5), backoff(20, 0)]).toEqual([250, 500, 3000, 15_000]);
  });

  it("tries at once when the network is back or the page wakes up", async () => {
    line.start();
    await connected();
    for (let round = 0; round < 6; round++) {
      last().dies();
      await vi.advanceTimersByTimeAsync(30_000);
    }
    last().dies();
    const count = sockets.length;
    line.nudge();
    await settled();
    expect(sockets.length).toBe(count + 1);
  });

  it("does not believe a socket that slept", async () => {
    line.start();
    await connected();
    vi.setSystemTime(Date.now() + 3_600_000);
    line.nudge();
    expect(last().sent.at(-1)).toEqual({ type: "ping" });
    await vi.advanceTimersByTimeAsync(8000);
    expect(links.at(-1)).toBe("off");
    expect(sockets[0]?.closed).toBe(true);
  });

  it("notices a line that went silent, and keeps one that answers", async () => {
    line.start();
    await connected();
    for (let round = 0; round < 5; round++) {
      await vi.advanceTimersByTimeAsync(25_000);
      expect(last().sent.at(-1)).toEqual({ type: "ping" });
      last().says({ type: "pong" });
    }
    expect(sockets).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(33_000);
    expect(links.at(-1)).toBe("off");
  });

  it("gives up a socket that is never welcomed", async () => {
    line.start();
    await settled();
    await vi.advanceTimersByTimeAsync(10_500);
    expect(sockets.length).toBeGreaterThan(1);
    expect(sockets[0]?.closed).toBe(true);
  });

  it("hears nothing from sockets that it gave up", async () => {
    line.start();
    await connected();
    line.lost();
    const [old] = sockets;
    old?.onmessage?.({ data: JSON.stringify({ type: "pong" }) });
    expect(heard.map((frame) => frame.type)).toEqual(["welcome"]);
    expect(old?.onclose).toBeNull();
  });

  it("asks for another session when its own has ended", async () => {
    line.start();
    await connected();
    last().dies(4401);
    await vi.advanceTimersByTimeAsync(500);
    expect(asked).toEqual([undefined, "token1"]);
    await connected();
    expect(last().sent[0]?.session).toBe("token2");
  });

  it.each([
    [4403, "refused"],
    [4409, "replaced"],
  ])("stays closed after %i", async (code, state) => {
    line.start();
    await connected();
    last().dies(code);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(sockets).toHaveLength(1);
    expect(links.at(-1)).toBe(state);
    line.restart();
    await connected();
    expect(links.at(-1)).toBe("on");
  });

  it("waits long after a flood", async () => {
    line.start();
    await connected();
    last().dies(4429);
    await vi.advanceTimersByTimeAsync(29_000);
    expect(sockets).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(sockets).toHaveLength(2);
  });

  it("waits as long as the server says before asking for a session again", async () => {
    session = () => (asked.length < 2 ? Promise.reject(new NoSession(20)) : Promise.resolve("t"));
    line.start();
    await settled();
    await vi.advanceTimersByTimeAsync(19_999);
    expect(asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(asked).toHaveLength(2);
  });

  it("does not ask again where it is not let in", async () => {
    session = () => Promise.reject(new NoSession());
    line.start();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(asked).toHaveLength(1);
    expect(links.at(-1)).toBe("refused");
  });

  it("uses no session that arrives after it was stopped", async () => {
    let give: (token: string) => void = () => undefined;
    session = () => new Promise((resolve) => (give = resolve));
    line.start();
    line.stop();
    give("late");
    await settled();
    expect(sockets).toEqual([]);
    expect(links.at(-1)).toBe("idle");
  });

  it("survives frames that are no JSON", async () => {
    line.start();
    await connected();
    last().onmessage?.({ data: "<html>" });
    expect(links.at(-1)).toBe("on");
  });
});
