// The desk as its pages see it: one object, whose fields change as the front door tells.
import { Api, Failure } from "./api";
import { backoff } from "./backoff";
import { Drafts, type Draft } from "./drafts";
import { customerName, reasonName } from "./format";
import { afterFailure, Kept, type Pending } from "./outbox";
import { sees, textOf } from "./protocol";
import type { Agent, Context, Conversation, Handoff, Message, Numbered, Presence, Snapshot } from "./protocol";
import { reduce } from "./state";
import { Stream, type Connection, type Socket } from "./stream";
import * as transcript from "./transcript";
import type { Transcript } from "./transcript";

export interface Toast {
  readonly id: number;
  readonly kind: "error" | "done" | "info";
  readonly text: string;
}

/** What stands in the middle: a conversation of mine, one that waits, one of a colleague, or one that just ended. */
export interface Subject {
  readonly conversation: string;
  readonly role: "mine" | "waiting" | "colleague" | "ended";
  readonly mine: Conversation | null;
  readonly handoff: Handoff | null;
}

const TYPING_MS = 6000;
const TYPING_EVERY_MS = 3000;
const LATER_LOOKUPS_MS = 5000;
const LOADED = 40;

export class Desk {
  connection = $state.raw<Connection>({ is: "connecting" });
  state = $state.raw<Snapshot | null>(null);
  transcripts = $state.raw<ReadonlyMap<string, Transcript>>(new Map());
  contexts = $state.raw<ReadonlyMap<string, Context | Failure>>(new Map());
  pending = $state.raw<readonly Pending[]>([]);
  typing = $state.raw<ReadonlyMap<string, number>>(new Map());
  seen = $state.raw<Readonly<Record<string, number>>>({});
  drafted = $state.raw<ReadonlySet<string>>(new Set());
  selected = $state.raw<string | null>(null);
  ended = $state.raw<Subject | null>(null);
  toasts = $state.raw<readonly Toast[]>([]);
  announced = $state("");
  now = $state(Date.now());
  /** The e-mail address of whoever's session ended here. */
  lastEmail = $state("");
  busy = $state.raw<ReadonlySet<string>>(new Set());
  /** A conversation that was just accepted here: whoever did goes on in its field. */
  accepted = $state<string | null>(null);

  readonly api = new Api((path, init) => fetch(path, init));
  private readonly stream: Stream;
  private readonly sending = new Set<string>();
  private readonly lastTyping = new Map<string, number>();
  private readonly loading = new Set<string>();
  private drafts: Drafts | null = null;
  private kept: Kept | null = null;
  private attempts = 0;
  private count = 0;

  constructor() {
    this.stream = new Stream(
      {
        snapshot: () => this.api.state(),
        open: (after) => openSocket(after),
        now: () => Date.now(),
        random: () => Math.random(),
        after: (ms, then) => {
          const timer = setTimeout(then, ms);
          return () => clearTimeout(timer);
        },
      },
      {
        snapshot: (state) => this.began(state),
        event: (event) => this.heard(event),
        typing: (conversation) => this.heardTyping(conversation),
        connection: (connection) => this.connected(connection),
      },
    );
  }

  // -------------------------------------------------------------- reading

  get me(): Agent | null {
    return this.state?.me ?? null;
  }

  waiting = $derived((this.state?.handoffs ?? []).filter((one) => one.state === "queued"));

  /** Those that wait longest for an answer first, then those with the newest message. */
  conversations = $derived([...(this.state?.conversations ?? [])].sort(byNeed));

  colleagues = $derived(
    (this.state?.handoffs ?? []).filter((one) => one.state === "accepted" && one.accepted_by !== this.state?.me.id),
  );

  subject = $derived.by((): Subject | null => {
    const id = this.selected;
    if (id === null || this.state === null) return null;
    const mine = this.state.conversations.find((one) => one.id === id) ?? null;
    const handoff = this.state.handoffs.find((one) => one.conversation === id) ?? null;
    if (mine) return { conversation: id, role: "mine", mine, handoff };
    if (handoff?.state === "queued") return { conversation: id, role: "waiting", mine: null, handoff };
    if (handoff?.accepted_by === this.state.me.id) return { conversation: id, role: "mine", mine: null, handoff };
    if (handoff) return { conversation: id, role: "colleague", mine: null, handoff };
    return this.ended?.conversation === id ? this.ended : null;
  });

  unreadOf(conversation: Conversation): number {
    const seen = this.seen[conversation.id] ?? 0;
    return Math.min(conversation.unread, Math.max(0, conversation.last_seq - seen));
  }

  unread = $derived((this.state?.conversations ?? []).filter((one) => this.unreadOf(one) > 0).length);

  isTyping(conversation: string): boolean {
    return (this.typing.get(conversation) ?? 0) > this.now;
  }

  pendingOf(conversation: string): Pending[] {
    return this.pending.filter((one) => one.conversation === conversation);
  }

  nameOf(subject: Subject): string {
    const customer = subject.mine?.customer ?? subject.handoff?.customer;
    return customer ? customerName(customer) : "Conversation";
  }

  // ------------------------------------------------------------ beginning

  /** Connects, and goes on until `stop`. Gives what stops it. */
  start(): () => void {
    const nudge = () => this.stream.nudge();
    const shown = () => {
      this.now = Date.now();
      if (document.visibilityState === "visible") nudge();
    };
    const tick = setInterval(() => this.tick(nudge), 1000);
    window.addEventListener("online", nudge);
    document.addEventListener("visibilitychange", shown);
    this.stream.start();
    return () => {
      clearInterval(tick);
      window.removeEventListener("online", nudge);
      document.removeEventListener("visibilitychange", shown);
      this.stream.stop();
    };
  }

  private tick(nudge: () => void): void {
    const now = Date.now();
    // The machine slept: what looked alive may be long gone.
    if (now - this.now > 10_000) nudge();
    if (document.visibilityState === "visible") this.now = now;
  }

  async login(email: string, password: string): Promise<void> {
    const agent = await this.api.login(email, password);
    if (this.state && this.state.me.id !== agent.id) this.forget();
    this.stream.start();
  }

  async logout(): Promise<void> {
    await this.tried("log out", () => this.api.logout());
    this.stream.stop();
    this.lastEmail = "";
    this.forget();
    this.connection = { is: "expired" };
  }

  private forget(): void {
    this.state = null;
    this.transcripts = new Map();
    this.contexts = new Map();
    this.pending = [];
    this.drafts = null;
    this.kept = null;
    this.ended = null;
    this.select(null);
  }

  private began(state: Snapshot): void {
    if (this.state?.me.id !== state.me.id || !this.drafts) this.open(state.me);
    const had = this.state;
    this.state = state;
    this.lastEmail = state.me.email;
    this.tidySeen();
    if (had) void this.refreshLoaded();
    if (this.selected) this.show(this.selected);
    this.flushAll();
  }

  private open(me: Agent): void {
    this.drafts = new Drafts(localStorage, me.id);
    this.drafts.tidy();
    this.drafted = this.drafts.all();
    this.kept = new Kept(localStorage, me.id);
    this.pending = this.kept.load();
    this.seen = loadSeen(me.id);
  }

  /** After a snapshot events are missing: what is shown is fetched anew, what is not is forgotten. */
  private async refreshLoaded(): Promise<void> {
    const shown = this.selected;
    const kept = shown ? this.transcripts.get(shown) : undefined;
    this.transcripts = new Map(shown && kept ? [[shown, kept]] : []);
    this.contexts = new Map();
    if (shown && this.subject) await this.loadNewest(shown);
  }

  private connected(connection: Connection): void {
    this.connection = connection;
    if (connection.is === "live") {
      this.attempts = 0;
      this.flushAll();
    }
  }

  // --------------------------------------------------------------- events

  private heard(event: Numbered): void {
    if (!this.state) return;
    const before = this.state;
    this.state = reduce(before, event);
    if (event.type === "message" || event.type === "note") this.heardMessage(event.conversation, event.message);
    else if (event.type === "update") {
      this.transcribe(event.conversation, (known) => transcript.withStatus(known, event.seq, event.status));
    } else if (event.type === "handoff") this.heardHandoff(before, event.handoff);
    else if (event.type === "conversation") this.heardConversation(before, event.conversation);
  }

  private heardMessage(conversation: string, message: Message): void {
    this.transcribe(conversation, (known) => transcript.withMessage(known, message));
    const id = message.client_id;
    if (id) this.setPending(this.pending.filter((one) => one.id !== id));
    if (message.author.kind !== "customer") return;
    this.typing = new Map([...this.typing].filter(([one]) => one !== conversation));
    const mine = this.state?.conversations.find((one) => one.id === conversation);
    if (mine) this.announce(`${customerName(mine.customer)}: ${textOf(message).slice(0, 200)}`);
  }

  private heardHandoff(before: Snapshot, handoff: Handoff): void {
    const known = before.handoffs.some((one) => one.id === handoff.id);
    if (!known && handoff.state === "queued") {
      this.announce(`Waiting: ${customerName(handoff.customer)}. ${reasonName(handoff.reason)}.`);
    }
    if (this.selected === handoff.conversation) {
      if (!this.state?.handoffs.some((one) => one.id === handoff.id)) this.leave(before, handoff);
      else if (handoff.accepted_by === this.me?.id && this.contexts.has(handoff.id)) void this.loadContext(handoff.id);
    }
  }

  private heardConversation(before: Snapshot, conversation: Conversation): void {
    const mine = this.state?.conversations.some((one) => one.id === conversation.id);
    const was = before.conversations.some((one) => one.id === conversation.id);
    if (was && !mine && this.selected === conversation.id) {
      const handoff = before.handoffs.find((one) => one.conversation === conversation.id) ?? null;
      this.ended = { conversation: conversation.id, role: "ended", mine: conversation, handoff: this.ended?.handoff ?? handoff };
    }
  }

  private leave(before: Snapshot, handoff: Handoff): void {
    const mine = before.conversations.find((one) => one.id === handoff.conversation) ?? null;
    this.ended = { conversation: handoff.conversation, role: "ended", mine, handoff };
  }

  private heardTyping(conversation: string): void {
    this.typing = new Map(this.typing).set(conversation, Date.now() + TYPING_MS);
  }

  // ------------------------------------------------------------- choosing

  /** Shows a conversation; null: none. */
  select(conversation: string | null): void {
    if (this.selected === conversation) return;
    this.selected = conversation;
    if (this.ended?.conversation !== conversation) this.ended = null;
    if (conversation) this.show(conversation);
  }

  private show(conversation: string): void {
    const subject = this.subject;
    if (!subject) return;
    if (!this.transcripts.get(conversation)?.loaded) void this.loadNewest(conversation);
    const handoff = subject.handoff?.id ?? subject.mine?.handoff;
    if (handoff && !this.contexts.has(handoff)) void this.loadContext(handoff);
  }

  /** The conversation before (-1) or behind (1) the one that is shown. */
  step(by: 1 | -1): void {
    const all = [...this.waiting.map((one) => one.conversation), ...this.conversations.map((one) => one.id)];
    if (all.length === 0) return;
    const at = this.selected === null ? -1 : all.indexOf(this.selected);
    const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : (at + by + all.length) % all.length;
    this.select(all[next] ?? null);
  }

  markSeen(conversation: string, seq: number): void {
    if ((this.seen[conversation] ?? 0) >= seq || !this.me) return;
    this.seen = { ...this.seen, [conversation]: seq };
    saveSeen(this.me.id, this.seen);
  }

  private tidySeen(): void {
    const open = new Set(this.state?.conversations.map((one) => one.id));
    this.seen = Object.fromEntries(Object.entries(this.seen).filter(([id]) => open.has(id)));
  }

  // -------------------------------------------------------------- loading

  private transcribe(conversation: string, change: (known: Transcript) => Transcript): void {
    const known = this.transcripts.get(conversation);
    // What nobody opened is fetched when somebody does.
    if (!known && !this.loading.has(conversation)) return;
    this.keep(conversation, change(known ?? transcript.EMPTY));
  }

  private keep(conversation: string, changed: Transcript): void {
    const next = new Map(this.transcripts);
    next.delete(conversation);
    next.set(conversation, changed);
    for (const id of next.keys()) {
      if (next.size <= LOADED) break;
      if (id !== this.selected) next.delete(id);
    }
    this.transcripts = next;
  }

  async loadNewest(conversation: string): Promise<void> {
    await this.load(conversation, async () => {
      const page = await this.api.messages(conversation, null);
      this.keep(conversation, transcript.withNewest(this.transcripts.get(conversation) ?? transcript.EMPTY, page));
    });
  }

  async loadOlder(conversation: string): Promise<void> {
    const first = this.transcripts.get(conversation)?.messages[0]?.seq;
    if (first === undefined || first === null) return;
    await this.load(conversation, async () => {
      const page = await this.api.messages(conversation, first, 100);
      this.keep(conversation, transcript.withOlder(this.transcripts.get(conversation) ?? transcript.EMPTY, page));
    });
  }

  private async load(conversation: string, job: () => Promise<void>): Promise<void> {
    if (this.loading.has(conversation)) return;
    this.loading.add(conversation);
    try {
      await job();
    } catch (error) {
      if (!(error instanceof Failure && error.temporary)) this.fail(error, "load the messages");
      else setTimeout(() => this.selected === conversation && this.show(conversation), 3000);
    } finally {
      this.loading.delete(conversation);
    }
  }

  async loadContext(handoff: string): Promise<void> {
    try {
      const context = await this.api.context(handoff);
      this.contexts = new Map(this.contexts).set(handoff, context);
    } catch (error) {
      if (error instanceof Failure) this.contexts = new Map(this.contexts).set(handoff, error);
    }
  }

  // -------------------------------------------------------------- writing

  draftOf(conversation: string): Draft {
    return this.drafts?.load(conversation) ?? { text: "", note: false };
  }

  saveDraft(conversation: string, draft: Draft): void {
    this.drafts?.save(conversation, draft);
    const has = draft.text.trim() !== "";
    if (has === this.drafted.has(conversation)) return;
    const next = new Set(this.drafted);
    if (has) next.add(conversation);
    else next.delete(conversation);
    this.drafted = next;
  }

  /** Sends a reply or a note; it is shown as pending until the front door has it. `after`: the newest message seen. */
  send(conversation: string, text: string, note: boolean, after: number): void {
    const pending: Pending = {
      id: crypto.randomUUID(),
      conversation,
      text,
      note,
      after,
      at: Date.now(),
      state: "sending",
      why: "",
    };
    this.setPending([...this.pending, pending]);
    void this.flush(conversation);
  }

  /** Sends what was held back, whatever was written meanwhile. */
  sendAnyway(id: string): void {
    this.change(id, (one) => ({ ...one, after: null, state: "waiting" }));
    const pending = this.pending.find((one) => one.id === id);
    if (pending) void this.flush(pending.conversation);
  }

  discard(id: string): Pending | undefined {
    const found = this.pending.find((one) => one.id === id);
    this.setPending(this.pending.filter((one) => one.id !== id));
    if (found) void this.flush(found.conversation);
    return found;
  }

  /** Tells the customer that somebody writes; at most every three seconds. */
  tellTyping(conversation: string): void {
    const last = this.lastTyping.get(conversation) ?? 0;
    if (this.connection.is !== "live" || Date.now() - last < TYPING_EVERY_MS) return;
    this.lastTyping.set(conversation, Date.now());
    this.api.typing(conversation).catch(() => undefined);
  }

  private flushAll(): void {
    for (const conversation of new Set(this.pending.map((one) => one.conversation))) void this.flush(conversation);
  }

  private async flush(conversation: string): Promise<void> {
    if (this.sending.has(conversation)) return;
    this.sending.add(conversation);
    try {
      let next = this.nextToSend(conversation);
      while (next && (await this.post(next))) next = this.nextToSend(conversation);
    } finally {
      this.sending.delete(conversation);
    }
  }

  /** In the order in which they were written: one that waits for a decision holds up those behind it. */
  private nextToSend(conversation: string): Pending | undefined {
    const first = this.pendingOf(conversation).find((one) => one.state !== "refused");
    return first && first.state !== "stale" ? first : undefined;
  }

  private async post(pending: Pending): Promise<boolean> {
    this.change(pending.id, (one) => ({ ...one, state: "sending", why: "" }));
    try {
      const { conversation, id, text, after } = pending;
      const message = pending.note
        ? await this.api.note(conversation, id, text)
        : await this.api.say(conversation, id, text, after);
      this.transcribe(conversation, (known) => transcript.withMessage(known, message));
      this.setPending(this.pending.filter((one) => one.id !== id));
      return true;
    } catch (error) {
      const failed = afterFailure(pending, error);
      this.change(pending.id, () => failed);
      if (failed.state === "waiting") this.retryLater(error);
      if (error instanceof Failure && error.status === 401) this.stream.start();
      return failed.state === "refused";
    }
  }

  private retryLater(error: unknown): void {
    const asked = error instanceof Failure ? (error.retryAfter ?? 0) : 0;
    const wait = Math.max(backoff(this.attempts, Math.random), asked);
    this.attempts += 1;
    setTimeout(() => this.connection.is !== "expired" && this.flushAll(), wait * 1000);
  }

  private change(id: string, how: (one: Pending) => Pending): void {
    this.setPending(this.pending.map((one) => (one.id === id ? how(one) : one)));
  }

  private setPending(pending: readonly Pending[]): void {
    this.pending = pending;
    this.kept?.save(pending);
  }

  // --------------------------------------------------------------- acting

  async accept(handoff: Handoff): Promise<void> {
    const accepted = await this.tried("accept", () => this.api.accept(handoff.id), handoff.id);
    if (!accepted) return;
    this.select(handoff.conversation);
    this.accepted = handoff.conversation;
    // Turns that were under way may still have found something out.
    setTimeout(() => void this.loadContext(handoff.id), LATER_LOOKUPS_MS);
  }

  async decline(handoff: Handoff): Promise<void> {
    if (await this.tried("decline", () => this.api.decline(handoff.id), handoff.id)) {
      this.toast("done", "Declined. It stays in the queue for your colleagues.");
    }
  }

  async resolve(handoff: string, disposition: string, note: string, after: number): Promise<boolean> {
    const done = await this.tried("resolve", () => this.api.resolve(handoff, disposition, note, after), handoff);
    if (done) this.finished("Resolved. The customer's next message begins anew with the assistant.");
    return done !== null;
  }

  async giveBack(handoff: string, note: string): Promise<boolean> {
    const done = await this.tried("return", () => this.api.giveBack(handoff, note), handoff);
    if (done) this.finished("Returned: the assistant goes on.");
    return done !== null;
  }

  async transfer(handoff: string, queue: string | null, note: string): Promise<boolean> {
    const done = await this.tried("transfer", () => this.api.transfer(handoff, queue, note), handoff);
    if (done) this.finished("Transferred: the customer waits for a colleague.");
    return done !== null;
  }

  async takeOver(conversation: string): Promise<void> {
    await this.tried("take over", () => this.api.takeOver(conversation), conversation);
  }

  async setPresence(presence: Presence): Promise<void> {
    const me = await this.tried("change your presence", () => this.api.presence(presence), "presence");
    if (me && this.state) this.state = { ...this.state, me };
  }

  /** Goes on with the customer of mine who waits longest. */
  private finished(text: string): void {
    this.toast("done", text);
    const left = this.selected;
    const next = this.conversations.find((one) => one.id !== left && one.waiting_since !== null);
    const narrow = window.matchMedia("(max-width: 759px)").matches;
    this.select(narrow ? null : (next?.id ?? null));
  }

  private async tried<T>(doing: string, job: () => Promise<T>, key = doing): Promise<T | null> {
    if (this.busy.has(key)) return null;
    this.busy = new Set(this.busy).add(key);
    try {
      return await job();
    } catch (error) {
      this.fail(error, doing);
      return null;
    } finally {
      this.busy = new Set([...this.busy].filter((one) => one !== key));
    }
  }

  // -------------------------------------------------------------- telling

  private fail(error: unknown, doing: string): void {
    if (error instanceof Failure && error.status === 401) this.stream.start();
    else this.toast("error", explain(error, doing));
  }

  toast(kind: Toast["kind"], text: string): void {
    const toast = { id: ++this.count, kind, text };
    this.toasts = [...this.toasts.filter((one) => one.text !== text).slice(-3), toast];
    if (kind !== "error") setTimeout(() => this.dismiss(toast.id), 6000);
  }

  dismiss(id: number): void {
    this.toasts = this.toasts.filter((one) => one.id !== id);
  }

  private announce(text: string): void {
    this.announced = text;
  }

  get supervises(): boolean {
    return this.me !== null && sees.supervises(this.me);
  }

  get serves(): boolean {
    return this.me !== null && sees.serves(this.me);
  }
}

/** What went wrong, and what to do about it. */
export function explain(error: unknown, doing: string): string {
  if (!(error instanceof Failure)) return `Could not ${doing}: something unexpected happened. Reload the page.`;
  const by = typeof error.details.by === "string" ? error.details.by : "A colleague";
  switch (error.code) {
    case "offline":
      return `Could not ${doing}: Foyer cannot be reached. Check your connection, then try again.`;
    case "already_accepted":
      return `${by} was quicker and has this conversation now.`;
    case "not_open":
      return `Could not ${doing}: this conversation has ended or moved on meanwhile.`;
    case "not_yours":
      return `Could not ${doing}: this conversation is no longer yours.`;
    case "stale":
      return `Could not ${doing}: the customer has written meanwhile. Read it, then try again.`;
    case "rate_limited":
      return `Could not ${doing}: too many requests. Wait a moment, then try again.`;
    default:
      return error.temporary
        ? `Could not ${doing} right now. Try again in a moment.`
        : `Could not ${doing}: ${error.message}`;
  }
}

function byNeed(a: Conversation, b: Conversation): number {
  if (a.waiting_since && b.waiting_since) return a.waiting_since < b.waiting_since ? -1 : 1;
  if (a.waiting_since || b.waiting_since) return a.waiting_since ? -1 : 1;
  return (a.preview?.at ?? a.opened_at) < (b.preview?.at ?? b.opened_at) ? 1 : -1;
}

function loadSeen(agent: string): Record<string, number> {
  try {
    return JSON.parse(localStorage.getItem(`foyer.seen.${agent}`) ?? "{}") as Record<string, number>;
  } catch {
    return {};
  }
}

function saveSeen(agent: string, seen: Readonly<Record<string, number>>): void {
  try {
    localStorage.setItem(`foyer.seen.${agent}`, JSON.stringify(seen));
  } catch {
    // Only unread marks after a reload depend on it.
  }
}

function openSocket(after: number): Socket {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  return new WebSocket(`${scheme}://${location.host}/desk/ws?after=${after}`) as unknown as Socket;
}
