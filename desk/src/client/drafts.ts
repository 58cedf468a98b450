// Half-written replies and notes, kept between reloads and log-ins. One entry a conversation, of one agent.
import type { Shelf } from "./outbox";

export interface Draft {
  readonly text: string;
  readonly note: boolean;
}

const NONE: Draft = { text: "", note: false };
const MAX_AGE_MS = 14 * 24 * 3600 * 1000;

export class Drafts {
  constructor(
    private readonly shelf: Shelf & { readonly length: number; key(at: number): string | null },
    private readonly agent: string,
    private readonly now: () => number = Date.now,
  ) {}

  load(conversation: string): Draft {
    return this.read(this.key(conversation)) ?? NONE;
  }

  save(conversation: string, draft: Draft): void {
    try {
      if (draft.text === "") this.shelf.removeItem(this.key(conversation));
      else this.shelf.setItem(this.key(conversation), JSON.stringify({ ...draft, at: this.now() }));
    } catch {
      // As with the outbox: only a reload would miss it.
    }
  }

  /** Conversations that have one. */
  all(): Set<string> {
    const prefix = this.key("");
    const keys = this.keys().filter((key) => key.startsWith(prefix));
    return new Set(keys.map((key) => key.slice(prefix.length)));
  }

  /** Removes drafts of two weeks ago: their conversations are long over. */
  tidy(): void {
    for (const key of this.keys().filter((key) => key.startsWith("foyer.draft."))) {
      const found = this.read(key);
      if (!found || this.now() - found.at > MAX_AGE_MS) this.shelf.removeItem(key);
    }
  }

  private key(conversation: string): string {
    return `foyer.draft.${this.agent}.${conversation}`;
  }

  private keys(): string[] {
    return Array.from({ length: this.shelf.length }, (_, at) => this.shelf.key(at) ?? "");
  }

  private read(key: string): (Draft & { at: number }) | null {
    try {
      const found = JSON.parse(this.shelf.getItem(key) ?? "null") as Partial<Draft & { at: number }> | null;
      if (!found || typeof found.text !== "string") return null;
      return { text: found.text, note: found.note === true, at: found.at ?? 0 };
    } catch {
      return null;
    }
  }
}
