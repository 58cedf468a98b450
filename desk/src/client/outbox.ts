// What the agent wrote and the front door has not yet confirmed. Each keeps its id, so sending it again is harmless;
// all of it survives a reload. Pure but for the store that is given.
import { Failure } from "./api";

export interface Pending {
  readonly id: string;
  readonly conversation: string;
  readonly text: string;
  readonly note: boolean;
  /** The newest message that the agent had seen on sending; null: send whatever came meanwhile. */
  readonly after: number | null;
  readonly at: number;
  /** `stale`: somebody wrote meanwhile, the agent decides. `refused`: it will not be taken; `why` says so. */
  readonly state: "sending" | "waiting" | "stale" | "refused";
  readonly why: string;
}

export interface Shelf {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** What becomes of a pending message when sending it failed. */
export function afterFailure(pending: Pending, error: unknown): Pending {
  if (!(error instanceof Failure)) return { ...pending, state: "waiting", why: "" };
  if (error.code === "stale") return { ...pending, state: "stale", why: error.message };
  // Whoever logs in again goes on.
  if (error.temporary || error.status === 401) return { ...pending, state: "waiting", why: error.message };
  return { ...pending, state: "refused", why: reason(error) };
}

function reason(error: Failure): string {
  if (error.code === "not_yours") return "This conversation is no longer yours.";
  if (error.code === "not_open") return "This conversation is closed.";
  return error.message;
}

/** Pending messages of one agent, kept between reloads. */
export class Kept {
  constructor(
    private readonly shelf: Shelf,
    private readonly agent: string,
  ) {}

  private get key(): string {
    return `foyer.outbox.${this.agent}`;
  }

  load(): Pending[] {
    try {
      const found: unknown = JSON.parse(this.shelf.getItem(this.key) ?? "[]");
      return Array.isArray(found) ? found.filter(isPending).map(interrupted) : [];
    } catch {
      return [];
    }
  }

  save(pending: readonly Pending[]): void {
    try {
      if (pending.length === 0) this.shelf.removeItem(this.key);
      else this.shelf.setItem(this.key, JSON.stringify(pending));
    } catch {
      // A full or forbidden store costs only what a reload would have kept.
    }
  }
}

function isPending(one: unknown): one is Pending {
  const { id, conversation, text } = (one ?? {}) as Partial<Pending>;
  return typeof id === "string" && typeof conversation === "string" && typeof text === "string";
}

function interrupted(pending: Pending): Pending {
  return pending.state === "sending" ? { ...pending, state: "waiting" } : pending;
}
