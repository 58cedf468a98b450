// The desk's HTTP addresses. Every failure is a Failure that says whether asking again may help.
import type {
  Agent,
  Context,
  CustomerAnswer,
  Handoff,
  LoginAnswer,
  Message,
  MessageAnswer,
  MessagesAnswer,
  Presence,
  Snapshot,
} from "./protocol";

export type Fetch = (path: string, init: RequestInit) => Promise<Response>;

/** `code` is the protocol's, or `offline` when nobody answered. */
export class Failure extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: Record<string, unknown> = {},
    readonly retryAfter: number | null = null,
  ) {
    super(message);
    this.name = "Failure";
  }

  /** Asking again, later, may help. */
  get temporary(): boolean {
    return this.code === "offline" || this.status >= 500 || this.status === 429;
  }
}

const PATIENCE_MS = 20_000;

export class Api {
  constructor(private readonly fetch: Fetch) {}

  async login(email: string, password: string): Promise<Agent> {
    return (await this.ask<LoginAnswer>("POST", "login", { email, password })).agent;
  }

  async logout(): Promise<void> {
    await this.ask("POST", "logout", {});
  }

  async me(): Promise<Agent> {
    return (await this.ask<LoginAnswer>("GET", "me")).agent;
  }

  state(): Promise<Snapshot> {
    return this.ask("GET", "state");
  }

  async presence(state: Presence): Promise<Agent> {
    return (await this.ask<LoginAnswer>("PUT", "me/presence", { state })).agent;
  }

  context(handoff: string): Promise<Context> {
    return this.ask("GET", `handoffs/${handoff}`);
  }

  accept(handoff: string): Promise<Handoff> {
    return this.ask("POST", `handoffs/${handoff}/accept`, {});
  }

  decline(handoff: string): Promise<Handoff> {
    return this.ask("POST", `handoffs/${handoff}/decline`, {});
  }

  transfer(handoff: string, queue: string | null, note: string): Promise<Handoff> {
    return this.ask("POST", `handoffs/${handoff}/transfer`, { ...(queue ? { queue } : {}), ...(note ? { note } : {}) });
  }

  giveBack(handoff: string, note: string): Promise<Handoff> {
    return this.ask("POST", `handoffs/${handoff}/return`, note ? { note } : {});
  }

  resolve(handoff: string, disposition: string, note: string, after: number): Promise<Handoff> {
    const body = { disposition, after_seq: after, ...(note ? { note } : {}) };
    return this.ask("POST", `handoffs/${handoff}/resolve`, body);
  }

  takeOver(conversation: string): Promise<Handoff> {
    return this.ask("POST", `conversations/${conversation}/takeover`, {});
  }

  messages(conversation: string, before: number | null, limit = 50): Promise<MessagesAnswer> {
    const query = new URLSearchParams({ limit: String(limit), ...(before === null ? {} : { before: String(before) }) });
    return this.ask("GET", `conversations/${conversation}/messages?${query}`);
  }

  async say(conversation: string, id: string, text: string, after: number | null): Promise<Message> {
    const body = { id, text, ...(after === null ? {} : { after_seq: after }) };
    return (await this.ask<MessageAnswer>("POST", `conversations/${conversation}/messages`, body)).message;
  }

  async note(conversation: string, id: string, text: string): Promise<Message> {
    return (await this.ask<MessageAnswer>("POST", `conversations/${conversation}/notes`, { id, text })).message;
  }

  async typing(conversation: string): Promise<void> {
    await this.ask("POST", `conversations/${conversation}/typing`, {});
  }

  customer(id: string): Promise<CustomerAnswer> {
    return this.ask("GET", `customers/${id}`);
  }

  private async ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.send(method, path, body);
    const answer = await read(response);
    if (!response.ok) throw failure(response, answer);
    return answer as T;
  }

  private async send(method: string, path: string, body: unknown): Promise<Response> {
    const init: RequestInit = { method, credentials: "same-origin", signal: AbortSignal.timeout(PATIENCE_MS) };
    if (body !== undefined) {
      init.headers = { "Content-Type": "application/json" };
      init.body = JSON.stringify(body);
    }
    try {
      return await this.fetch(`/desk/api/${path}`, init);
    } catch {
      throw new Failure(0, "offline", "Foyer cannot be reached.");
    }
  }
}

async function read(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

function failure(response: Response, answer: unknown): Failure {
  const error = (answer as { error?: { code?: string; message?: string; details?: Record<string, unknown> } } | null)
    ?.error;
  const after = Number(response.headers.get("Retry-After"));
  return new Failure(
    response.status,
    error?.code ?? "unknown",
    error?.message ?? `Foyer answered ${response.status}.`,
    error?.details ?? {},
    Number.isFinite(after) && after > 0 ? after : null,
  );
}
