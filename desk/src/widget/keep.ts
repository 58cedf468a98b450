// What outlives a page: the session, messages not yet acknowledged, how far was read. Shared by the tabs of one site.
// No message that was sent is kept here: those live on the server.

export interface Session {
  token: string;
  thread: string;
  /** Milliseconds since 1970. */
  expires: number;
}

/** A message of the customer's that is not acknowledged. One key each, so that tabs never overwrite each other's. */
export interface Waiting {
  id: string;
  /** Milliseconds since 1970, and the order of sending. */
  at: number;
  text: string;
  choice?: { seq: number; payload: string };
  /** The error's code, once the server refused it for good. */
  failed?: string;
}

export interface Box {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** Where nothing may be stored, things are remembered for as long as the page lives. */
export function memoryBox(): Box {
  const kept = new Map<string, string>();
  return {
    get length() {
      return kept.size;
    },
    key: (index) => [...kept.keys()][index] ?? null,
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
  };
}

/** The browser's storage, or memory where it is forbidden. */
export function safeBox(name: "localStorage" | "sessionStorage"): Box {
  try {
    const box = window[name];
    const probe = "foyer:?";
    box.setItem(probe, "1");
    box.removeItem(probe);
    return box;
  } catch {
    return memoryBox();
  }
}

export class Keep {
  readonly #box: Box;
  readonly #prefix: string;
  /** What could not be written because the storage is full, so that it is not lost while the page lives. */
  readonly #spare = memoryBox();

  /** `scope` tells one front door's account from another's on the same site. */
  constructor(box: Box, scope: string) {
    this.#box = box;
    this.#prefix = `foyer:${scope}:`;
  }

  get session(): Session | null {
    const found = this.#read<Partial<Session>>("session");
    const whole = typeof found?.token === "string" && typeof found.thread === "string" && typeof found.expires === "number";
    return whole ? (found as Session) : null;
  }

  set session(session: Session | null) {
    this.#write("session", session);
  }

  /** The number of the last message that was seen. */
  get read(): number {
    return Number(this.#read("read")) || 0;
  }

  set read(seq: number) {
    this.#write("read", seq || null);
  }

  /** Messages that wait, in the order in which they were written. */
  waiting(): Waiting[] {
    const found: Waiting[] = [];
    const prefix = `${this.#prefix}out:`;
    for (const box of [this.#box, this.#spare]) {
      for (let index = 0; index < box.length; index++) {
        const key = box.key(index);
        const one = key?.startsWith(prefix) ? this.#read<Waiting>(key.slice(this.#prefix.length)) : null;
        if (one && typeof one.id === "string" && typeof one.text === "string") found.push(one);
      }
    }
    return found.sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
  }

  put(one: Waiting): void {
    this.#write(`out:${one.id}`, one);
  }

  drop(id: string): void {
    this.#write(`out:${id}`, null);
  }

  /** Forgets what one customer wrote and read; the next one's session takes the place of theirs. */
  clear(): void {
    this.waiting().forEach((one) => this.drop(one.id));
    this.read = 0;
  }

  /** What a storage event of another tab is about; null when it is not about this chat. */
  about(key: string | null): "session" | "read" | "out" | null {
    if (!key?.startsWith(this.#prefix)) return null;
    const name = key.slice(this.#prefix.length);
    return name === "session" || name === "read" ? name : name.startsWith("out:") ? "out" : null;
  }

  #read<T>(name: string): T | null {
    try {
      const raw = this.#spare.getItem(this.#prefix + name) ?? this.#box.getItem(this.#prefix + name);
      return raw === null ? null : (JSON.parse(raw) as T);
    } catch {
      return null;
    }
  }

  #write(name: string, value: unknown): void {
    const key = this.#prefix + name;
    this.#spare.removeItem(key);
    if (value === null) {
      this.#box.removeItem(key);
      return;
    }
    try {
      this.#box.setItem(key, JSON.stringify(value));
    } catch {
      this.#spare.setItem(key, JSON.stringify(value));
    }
  }
}
