// The desk's one socket. It begins with a snapshot, follows with numbered events, comes back from the last one it had,
// and says at any time what it knows about the connection - never more than that.
import { Failure } from "./api";
import { backoff } from "./backoff";
import type { Frame, Numbered, Snapshot } from "./protocol";

export type Connection =
  | { readonly is: "connecting" }
  | { readonly is: "live" }
  /** The socket is open, but the front door has been silent for longer than it should. */
  | { readonly is: "stale"; readonly since: number }
  /** No connection since then; the next attempt is made at `retryAt`. Times are milliseconds since 1970. */
  | { readonly is: "offline"; readonly since: number; readonly retryAt: number }
  /** The session ended: somebody must log in. */
  | { readonly is: "expired" };

export interface Socket {
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  send(text: string): void;
  close(): void;
}

/** What the stream needs of the world; a test brings its own. */
export interface World {
  snapshot(): Promise<Snapshot>;
  open(after: number): Socket;
  now(): number;
  random(): number;
  /** Calls back after so many milliseconds; gives what cancels it. */
  after(ms: number, then: () => void): () => void;
}

export interface Listener {
  /** A fresh snapshot: everything before is outdated. */
  snapshot(state: Snapshot): void;
  event(event: Numbered): void;
  typing(conversation: string): void;
  connection(state: Connection): void;
}

export const PING_EVERY_MS = 15_000;
export const PONG_WITHIN_MS = 5_000;
export const OPEN_WITHIN_MS = 10_000;

const LOGGED_OUT = 4401;
const OTHER_DUTIES = 4403;

export class Stream {
  private last: number | null = null;
  private attempt = 0;
  private since: number | null = null;
  private socket: Socket | null = null;
  private timers: (() => void)[] = [];
  /** Raised with every new start: what an earlier one still has under way is ignored. */
  private round = 0;
  private state: Connection = { is: "connecting" };

  constructor(
    private readonly world: World,
    private readonly listener: Listener,
  ) {}

  /** Begins, or begins anew with a fresh snapshot. */
  start(): void {
    this.stop();
    this.last = null;
    this.attempt = 0;
    this.since = null;
    this.tell({ is: "connecting" });
    void this.connect();
  }

  stop(): void {
    this.round += 1;
    this.drop();
  }

  /** Something changed outside (network back, machine awake, page shown): look at once instead of waiting. */
  nudge(): void {
    if (this.state.is === "live" || this.state.is === "stale") this.ping();
    else if (this.state.is === "offline") {
      this.stop();
      void this.connect();
    }
  }

  private async connect(): Promise<void> {
    const round = ++this.round;
    this.drop();
    try {
      if (this.last === null) await this.refresh(round);
    } catch (error) {
      if (round === this.round) this.failed(error);
      return;
    }
    if (round === this.round) this.open(round);
  }

  private async refresh(round: number): Promise<void> {
    const state = await this.world.snapshot();
    if (round !== this.round) return;
    this.last = state.event;
    this.listener.snapshot(state);
  }

  private open(round: number): void {
    const socket = this.world.open(this.last ?? 0);
    this.socket = socket;
    this.timer(OPEN_WITHIN_MS, () => this.lost(round));
    socket.onopen = () => {
      if (round === this.round) this.opened();
    };
    socket.onmessage = ({ data }) => {
      if (round === this.round && typeof data === "string") this.heard(round, data);
    };
    socket.onclose = ({ code }) => {
      if (round === this.round) void this.closed(round, code);
    };
  }

  private opened(): void {
    this.attempt = 0;
    this.since = null;
    this.alive();
  }

  /** A frame came: the connection is what it says it is. */
  private alive(): void {
    this.cancelTimers();
    if (this.state.is !== "live") this.tell({ is: "live" });
    this.timer(PING_EVERY_MS, () => this.ping());
  }

  private ping(): void {
    const round = this.round;
    const asked = this.world.now();
    this.cancelTimers();
    try {
      this.socket?.send('{"type": "ping"}');
    } catch {
      this.lost(round);
      return;
    }
    this.timer(PONG_WITHIN_MS, () => {
      this.tell({ is: "stale", since: asked });
      this.timer(PONG_WITHIN_MS, () => this.lost(round));
    });
  }

  private heard(round: number, text: string): void {
    this.alive();
    const frame = parsed(text);
    if (frame === null) return;
    if (frame.type === "typing") this.listener.typing(frame.conversation);
    else if (frame.type === "reset") void this.afterReset(round);
    else if (frame.type !== "pong" && typeof frame.event === "number") this.follow(frame);
  }

  private follow(event: Numbered): void {
    if (event.event <= (this.last ?? 0)) return;
    this.last = event.event;
    this.listener.event(event);
  }

  private async afterReset(round: number): Promise<void> {
    try {
      await this.refresh(round);
    } catch (error) {
      if (round !== this.round) return;
      this.last = null;
      this.drop();
      this.failed(error);
    }
  }

  private async closed(round: number, code: number): Promise<void> {
    if (code === LOGGED_OUT) {
      this.expire();
      return;
    }
    // Other duties: what may be seen is another state now.
    if (code === OTHER_DUTIES) this.last = null;
    // A refused upgrade looks like a lost network: an ordinary request tells whether the session ended.
    if (this.state.is !== "live" && this.last !== null) {
      try {
        await this.refresh(round);
      } catch (error) {
        if (round === this.round) this.failed(error);
        return;
      }
    }
    if (round === this.round) this.lost(round);
  }

  private lost(round: number): void {
    if (round !== this.round) return;
    this.failed(null);
  }

  private failed(error: unknown): void {
    if (error instanceof Failure && error.status === 401) {
      this.expire();
      return;
    }
    const round = ++this.round;
    this.drop();
    const asked = error instanceof Failure && error.retryAfter !== null ? error.retryAfter : 0;
    const wait = Math.max(backoff(this.attempt, () => this.world.random()), asked) * 1000;
    this.attempt += 1;
    this.since ??= this.world.now();
    this.tell({ is: "offline", since: this.since, retryAt: this.world.now() + wait });
    this.timer(wait, () => {
      if (round === this.round) void this.connect();
    });
  }

  private expire(): void {
    this.stop();
    this.tell({ is: "expired" });
  }

  private drop(): void {
    this.cancelTimers();
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  private timer(ms: number, then: () => void): void {
    this.timers.push(this.world.after(ms, then));
  }

  private cancelTimers(): void {
    for (const cancel of this.timers) cancel();
    this.timers = [];
  }

  private tell(state: Connection): void {
    this.state = state;
    this.listener.connection(state);
  }
}

function parsed(text: string): Frame | null {
  try {
    const frame = JSON.parse(text) as Frame | null;
    return frame && typeof frame === "object" && "type" in frame ? frame : null;
  } catch {
    return null;
  }
}
