// The wire to the front door: connects, says hello, notices silence, and comes back after any loss.
import type { ChatClientFrame, ChatServerFrame } from "../protocol/webchat";
import type { Link } from "./chat";

/** No session now. `after` seconds to wait before trying again; without it there is no point in trying. */
export class NoSession extends Error {
  constructor(readonly after?: number) {
    super("no session");
  }
}

export interface LineWorld {
  /** A session's token; `stale` is one that the server no longer takes. Throws NoSession. */
  session(stale?: string): Promise<string>;
  /** Opens a socket; throws where the page's policy forbids it. */
  socket(): WebSocket;
  lastSeq(): number;
  hear(frame: ChatServerFrame): void;
  link(state: Link): void;
  random(): number;
}

const HELLO_MS = 10_000;
const QUIET_MS = 25_000;
const PONG_MS = 8_000;
const SETTLED_MS = 5_000;
const LONGEST_MS = 30_000;

/** Milliseconds before attempt `n` (from 0) after a loss: doubling up to half a minute, and never two clients alike. */
export function backoff(attempt: number, random: number): number {
  return Math.min(LONGEST_MS, 500 * 2 ** attempt) * (0.5 + random / 2);
}

export class Line {
  readonly #world: LineWorld;
  #socket: WebSocket | null = null;
  #welcomed = false;
  #wanted = false;
  #attempt = 0;
  #token = "";
  #stale = "";
  #heardAt = 0;
  /** Counts connections, so that whatever belongs to an earlier one is ignored. */
  #round = 0;
  #timers = new Set<ReturnType<typeof setTimeout>>();
  #retry: ReturnType<typeof setTimeout> | null = null;

  constructor(world: LineWorld) {
    this.#world = world;
  }

  /** Wants a connection from now on. */
  start(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#attempt = 0;
    void this.#connect();
  }

  stop(state: Link = "idle"): void {
    this.#wanted = false;
    this.#drop();
    this.#world.link(state);
  }

  /** Begins anew, as with another session. */
  restart(): void {
    this.#drop();
    this.#wanted = false;
    this.start();
  }

  /** Whether the frame went out; when the line is down it did not. */
  send(frame: ChatClientFrame): boolean {
    if (!this.#welcomed || this.#socket?.readyState !== 1) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Something may have changed (the network is back, the page woke up): tries at once, or asks whether the line lives. */
  nudge(): void {
    if (!this.#wanted) return;
    if (this.#retry !== null) {
      this.#attempt = 0;
      void this.#connect();
    } else if (this.#welcomed && Date.now() - this.#heardAt > PONG_MS) {
      this.#probe();
    }
  }

  /** The network is known to be gone: the line is not what it says any more. */
  lost(): void {
    if (this.#wanted && this.#socket) this.#again();
  }

  async #connect(): Promise<void> {
    this.#drop();
    const round = this.#round;
    this.#world.link(this.#attempt ? "off" : "connecting");
    try {
      this.#token = await this.#world.session(this.#stale);
    } catch (error) {
      if (round !== this.#round) return;
      if (error instanceof NoSession && error.after === undefined) this.stop("refused");
      else this.#again(error instanceof NoSession ? (error.after as number) * 1000 : 0);
      return;
    }
    if (round !== this.#round || !this.#wanted) return;
    this.#stale = "";
    this.#open();
  }

  #open(): void {
    let socket: WebSocket;
    try {
      socket = this.#socket = this.#world.socket();
    } catch {
      this.stop("refused");
      return;
    }
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "hello", session: this.#token, last_seq: this.#world.lastSeq() }));
    };
    socket.onmessage = (event) => this.#heard(String(event.data));
    socket.onclose = (event) => this.#closed(event.code);
    this.#later(HELLO_MS, () => this.#again());
  }

  #heard(raw: string): void {
    let frame: ChatServerFrame;
    try {
      frame = JSON.parse(raw) as ChatServerFrame;
    } catch {
      return;
    }
    this.#heardAt = Date.now();
    this.#clear();
    if (this.#welcomed) this.#watch();
    else if (frame.type === "welcome") {
      this.#welcomed = true;
      this.#watch();
      // Only a line that stays makes the next loss the first one again.
      this.#later(SETTLED_MS, () => (this.#attempt = 0), true);
    } else this.#later(HELLO_MS, () => this.#again());
    this.#world.hear(frame);
    if (frame.type === "welcome") this.#world.link("on");
    if (frame.type === "error" && frame.then === "reconnect" && frame.code !== "session_expired") {
      this.#again((frame.retry_after ?? 0) * 1000);
    }
  }

  #closed(code: number): void {
    if (code === 4401) {
      this.#stale = this.#token;
      this.#again();
    } else if (code === 4403) this.stop("refused");
    else if (code === 4409) this.stop("replaced");
    else this.#again(code === 4429 || code === 4400 ? LONGEST_MS : 0);
  }

  #watch(): void {
    this.#later(QUIET_MS, () => this.#probe());
  }

  #probe(): void {
    this.#clear();
    this.send({ type: "ping" });
    this.#later(PONG_MS, () => this.#again());
  }

  #again(atLeast = 0): void {
    this.#drop();
    if (!this.#wanted) return;
    const pause = backoff(this.#attempt++, this.#world.random());
    this.#world.link("off");
    this.#retry = setTimeout(() => void this.#connect(), Math.max(pause, atLeast));
  }

  /** Forgets the socket, which may take minutes to notice its own death. */
  #drop(): void {
    this.#round++;
    this.#clear(true);
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    this.#welcomed = false;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #settling: ReturnType<typeof setTimeout> | null = null;

  #later(ms: number, run: () => void, settling = false): void {
    const timer = setTimeout(run, ms);
    if (settling) this.#settling = timer;
    else this.#timers.add(timer);
  }

  #clear(all = false): void {
    this.#timers.forEach(clearTimeout);
    this.#timers.clear();
    if (all && this.#settling !== null) clearTimeout(this.#settling);
  }
}
