// One customer's chat on one page: keeps state, line and the shared outbox together.
import type { ChatErrorBody, ChatMessagesPage, ChatServerFrame, ChatSessionOpened } from "../protocol/webchat";
import * as chats from "./chat";
import type { Chat, Link } from "./chat";
import type { Keep, Waiting } from "./keep";
import { Line, NoSession } from "./line";

/** A JWT of the site that names its customer, or what fetches a fresh one. */
export type Identity = string | (() => string | Promise<string>);

export interface TalkOptions {
  /** The front door: origin and path, without a slash at the end. */
  base: string;
  account: string;
  locale: string;
}

export interface Told {
  changed(chat: Chat): void;
  /** Something that pages may listen to. */
  event(name: string, detail: object): void;
}

const RENEW_MS = 7 * 86_400_000;
const ACK_MS = 15_000;
const TYPING_PAUSE_MS = 3000;
/** Another tab sends what it wrote; when it is gone, this one does. */
const ORPHAN_MS = 4000;
const MOST_PAGES = 50;

export class Talk {
  chat: Chat = chats.EMPTY;
  readonly #options: TalkOptions;
  readonly #keep: Keep;
  readonly #told: Told;
  readonly #line: Line;
  readonly #ending = new AbortController();
  /** What this page sends at once; what other tabs wrote is left to them for a while. */
  readonly #own = new Set<string>();
  #identity: Identity | null = null;
  #proved = false;
  #thread: string;
  #inFlight = "";
  #typedAt = 0;
  #timers: Partial<Record<"ack" | "typing" | "pump" | "orphan", ReturnType<typeof setTimeout>>> = {};

  constructor(options: TalkOptions, keep: Keep, told: Told) {
    this.#options = options;
    this.#keep = keep;
    this.#told = told;
    this.#thread = keep.session?.thread ?? "";
    this.#line = new Line({
      session: (stale) => this.#exclusively(() => this.#session(stale)),
      socket: () => new WebSocket(`${options.base.replace(/^http/, "ws")}/chat/ws`),
      lastSeq: () => chats.lastSeq(this.chat),
      hear: (frame) => this.#heard(frame),
      link: (state) => this.#linked(state),
      random: Math.random,
    });
    this.#listen();
    const waiting = keep.waiting();
    waiting.forEach((one) => this.#own.add(one.id));
    this.#set(chats.waiting(this.chat, waiting));
    if (keep.session || this.chat.pending.length) this.#line.start();
  }

  /** The chat is looked at: where the site says who its customer is, what they said before is fetched. */
  shown(): void {
    if (this.#identity) this.#line.start();
    this.#line.nudge();
  }

  /** Who writes, as the site signed it; null signs out and forgets everything here. */
  identify(identity: Identity | null): void {
    if (identity === null) {
      this.#forget();
      return;
    }
    this.#identity = identity;
    this.#proved = false;
    if (this.#keep.session || this.chat.link !== "idle") this.#line.restart();
  }

  write(text: string): void {
    this.#put({ id: newId(), at: this.#at(), text });
  }

  choose(seq: number, payload: string, title: string): void {
    this.#put({ id: newId(), at: this.#at(), text: title, choice: { seq, payload } });
  }

  /** Sends again what the server refused; under a new id where the old one belongs to something else. */
  retry(id: string): void {
    const one = this.chat.pending.find((it) => it.id === id);
    if (!one) return;
    this.#keep.drop(id);
    this.#put({ id: one.failed === "id_reused" ? newId() : id, at: one.at, text: one.text, choice: one.choice });
  }

  discard(id: string): void {
    this.#keep.drop(id);
    this.#set({ ...this.chat, pending: this.chat.pending.filter((one) => one.id !== id) });
  }

  end(): void {
    this.#line.send({ type: "end" });
  }

  stopWaiting(): void {
    this.#line.send({ type: "cancel_queue" });
  }

  /** The customer is typing: people are told, now and then. */
  typing(): void {
    const people = this.chat.control === "agent" || this.chat.control === "queue";
    if (people && Date.now() - this.#typedAt > TYPING_PAUSE_MS && this.#line.send({ type: "typing" })) {
      this.#typedAt = Date.now();
    }
  }

  /** Everything up to now has been seen. */
  seen(): void {
    const seq = chats.lastSeq(this.chat);
    if (seq <= this.#keep.read) return;
    this.#keep.read = seq;
    this.#line.send({ type: "read", seq });
    this.#told.changed(this.chat);
  }

  get unread(): number {
    return chats.unread(this.chat, this.#keep.read);
  }

  reconnect(): void {
    this.#line.restart();
  }

  /** Fetches messages older than the first one here. */
  async earlier(limit = 50): Promise<void> {
    const token = this.#keep.session?.token;
    const first = this.chat.messages[0]?.seq;
    if (!token || !first) return;
    const answer = await this.#fetch(`/chat/messages?before=${first}&limit=${limit}`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    if (!answer.ok) throw new Error(String(answer.status));
    const page = (await answer.json()) as ChatMessagesPage;
    this.#set(chats.older(this.chat, page.messages, page.more));
  }

  /** All messages of the thread, the oldest too. */
  async everything(): Promise<Chat> {
    for (let page = 0; this.chat.more && page < MOST_PAGES; page++) await this.earlier(200);
    return this.chat;
  }

  stop(): void {
    this.#ending.abort();
    Object.values(this.#timers).forEach(clearTimeout);
    this.#line.stop();
  }

  // ------------------------------------------------------------- session

  /** One tab at a time, so that two of them do not open a thread each. */
  async #exclusively(job: () => Promise<string>): Promise<string> {
    const name = `foyer:${this.#options.base}:${this.#options.account}`;
    let asked = false;
    const once = (): Promise<string> => ((asked = true), job());
    try {
      return (await navigator.locks.request(name, once)) as string;
    } catch (error) {
      if (asked) throw error;
      // Pages without TLS, and sandboxed ones, have no locks.
      return job();
    }
  }

  async #session(stale?: string): Promise<string> {
    let kept = this.#keep.session;
    if (kept && (kept.token === stale || kept.expires <= Date.now())) kept = null;
    if (kept && (this.#proved || !this.#identity) && kept.expires - Date.now() > RENEW_MS) return this.#use(kept.token, kept.thread);
    const opened = await this.#opened(kept?.token);
    if (this.#identity && kept && kept.thread !== opened.thread) {
      // Somebody else signed in here: what the other one wrote is not theirs to send.
      this.#keep.clear();
    }
    this.#proved = !!this.#identity;
    this.#keep.session = { token: opened.session, thread: opened.thread, expires: Date.parse(opened.expires_at) };
    return this.#use(opened.session, opened.thread);
  }

  async #opened(resume?: string): Promise<ChatSessionOpened> {
    const { account, locale } = this.#options;
    let answer: Response;
    try {
      const given = this.#identity;
      const identity = typeof given === "function" ? await given() : (given ?? undefined);
      const page = location.origin + location.pathname;
      answer = await this.#fetch("/chat/session", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ account, resume, identity, locale, page: /^http/.test(page) ? page : undefined }),
      });
    } catch {
      throw new NoSession(0);
    }
    if (answer.ok) return (await answer.json()) as ChatSessionOpened;
    const code = await errorCode(answer);
    this.#told.event("error", { code });
    if (answer.status === 401 && this.#identity && !resume) {
      // Better a chat with a stranger than none; the page may say again who it is.
      this.#identity = null;
      return this.#opened();
    }
    throw new NoSession(answer.status >= 500 || answer.status === 429 ? Number(answer.headers.get("Retry-After")) || 5 : undefined);
  }

  #use(token: string, thread: string): string {
    if (this.#thread && this.#thread !== thread) this.#reset();
    this.#thread = thread;
    return token;
  }

  #reset(): void {
    this.#keep.read = 0;
    this.#set({ ...chats.waiting(chats.EMPTY, this.#keep.waiting()), link: this.chat.link });
  }

  #forget(): void {
    const token = this.#keep.session?.token;
    if (token) {
      const headers = { Authorization: `Bearer ${token}` };
      this.#fetch("/chat/session/end", { method: "POST", headers, keepalive: true }).catch(() => undefined);
    }
    this.#identity = null;
    this.#keep.clear();
    this.#keep.session = null;
    this.#left();
  }

  #left(): void {
    this.#thread = "";
    this.#line.stop();
    this.#reset();
  }

  #fetch(path: string, init: RequestInit): Promise<Response> {
    return fetch(this.#options.base + path, {
      ...init,
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(15_000),
    });
  }

  // ------------------------------------------------------------- hearing

  #linked(link: Link): void {
    if (link !== "on") this.#landed("");
    this.#set({ ...this.chat, link, ...(link === "on" ? {} : { typing: null }) });
    this.#pump();
  }

  #heard(frame: ChatServerFrame): void {
    const before = this.chat;
    // The outbox forgets before the screen does: a page that dies in between shows nothing twice.
    if (frame.type === "ack") this.#landed(frame.id);
    if (frame.type === "message" && frame.id) this.#landed(frame.id);
    if (frame.type === "error" && frame.id) this.#refused(frame.id, frame);
    this.#set(chats.heard(before, frame, Date.now()));
    if (frame.type === "message" && frame.seq > chats.lastSeq(before) && frame.seq > before.history) {
      const { kind, name } = frame.author;
      if (kind !== "customer") this.#told.event("message", { seq: frame.seq, author: kind, name, text: frame.content.text });
    }
    this.#typingEnds();
    this.#pump();
  }

  #typingEnds(): void {
    clearTimeout(this.#timers.typing);
    const { typing } = this.chat;
    if (typing) this.#timers.typing = setTimeout(() => this.#set({ ...this.chat, typing: null }), typing.until - Date.now());
  }

  #set(chat: Chat): void {
    const before = this.chat;
    this.chat = chat;
    if (before.control !== chat.control || before.agent !== chat.agent) {
      this.#told.event("control", { control: chat.control, name: chat.agent || undefined });
    }
    this.#told.changed(chat);
  }

  // ------------------------------------------------------------- sending

  /** A moment behind everything written here, whatever the clock does. */
  #at(): number {
    return Math.max(Date.now(), (this.chat.pending.at(-1)?.at ?? 0) + 1);
  }

  #put(one: Waiting): void {
    this.#keep.put(one);
    this.#own.add(one.id);
    this.#set(chats.waiting(this.chat, this.#keep.waiting()));
    this.#line.start();
    this.#pump();
  }

  /** Sends the next message that waits, once the one before was acknowledged: so they arrive in order. */
  #pump(): void {
    if (this.#inFlight || this.chat.link !== "on" || this.#timers.pump !== undefined) return;
    const orphaned = Date.now() - ORPHAN_MS;
    const next = this.chat.pending.find((one) => !one.acked && !one.failed && (this.#own.has(one.id) || one.at <= orphaned));
    if (!next) return;
    const { id, text, choice } = next;
    const frame = choice ? ({ type: "choice", id, ...choice } as const) : ({ type: "message", id, text } as const);
    if (!this.#line.send(frame)) return;
    this.#inFlight = id;
    this.#timers.ack = setTimeout(() => this.#line.restart(), ACK_MS);
  }

  /** Nothing more is to be done about this message; about none in particular, when the line is lost. */
  #landed(id: string): void {
    if (id) this.#keep.drop(id);
    if (id && id !== this.#inFlight) return;
    this.#inFlight = "";
    clearTimeout(this.#timers.ack);
  }

  #refused(id: string, error: { then: string; code: string; retry_after?: number | null }): void {
    const one = this.chat.pending.find((it) => it.id === id);
    if (error.then === "drop") {
      this.#landed(id);
      if (one) this.#keep.put({ ...one, failed: error.code });
    } else if (error.then === "retry" && id === this.#inFlight) {
      clearTimeout(this.#timers.ack);
      this.#pause((error.retry_after ?? 1) * 1000 + Math.random() * 500);
    }
  }

  #pause(ms: number): void {
    this.#timers.pump = setTimeout(() => {
      this.#timers.pump = undefined;
      this.#inFlight = "";
      this.#pump();
    }, ms);
  }

  // --------------------------------------------------- the page and tabs

  #listen(): void {
    const { signal } = this.#ending;
    const nudge = (): void => this.#line.nudge();
    for (const name of ["online", "focus", "pageshow"]) addEventListener(name, nudge, { signal });
    addEventListener("offline", () => this.#line.lost(), { signal });
    document.addEventListener("visibilitychange", nudge, { signal });
    addEventListener("storage", (event) => this.#elsewhere(event.key), { signal });
  }

  /** Another tab changed what is shared. */
  #elsewhere(key: string | null): void {
    switch (this.#keep.about(key)) {
      case "out":
        this.#set(chats.waiting(this.chat, this.#keep.waiting()));
        this.#line.start();
        clearTimeout(this.#timers.orphan);
        this.#timers.orphan = setTimeout(() => this.#pump(), ORPHAN_MS + 100);
        break;
      case "read":
        this.#told.changed(this.chat);
        break;
      case "session": {
        const session = this.#keep.session;
        if (!session) this.#left();
        else if (session.thread !== this.#thread) this.#line.restart();
      }
    }
  }
}

async function errorCode(answer: Response): Promise<string> {
  try {
    return ((await answer.json()) as ChatErrorBody).error.code;
  } catch {
    return `http_${answer.status}`;
  }
}

function newId(): string {
  // randomUUID is there only on pages that came over TLS.
  if (crypto.randomUUID) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
