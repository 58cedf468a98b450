// Small made-up pieces for tests.
import type { Agent, Conversation, Handoff, Message, Snapshot } from "./protocol";

export const ADA: Agent = {
  id: "ada",
  name: "Ada",
  email: "ada@foyer.example",
  roles: ["agent"],
  languages: [],
  queues: ["general"],
  presence: "available",
  presence_reason: null,
};

export function at(second: number): string {
  return new Date(Date.UTC(2026, 0, 31, 9, 0, second)).toISOString();
}

export function handoff(id: string, more: Partial<Handoff> = {}): Handoff {
  return {
    id,
    conversation: `c-${id}`,
    thread: `t-${id}`,
    channel: "webchat",
    customer: { id: `p-${id}`, name: null },
    state: "queued",
    reason: "customer_asked",
    summary: "The customer asked for a person.",
    queue: "general",
    priority: 0,
    enqueued_at: at(0),
    attempt: 1,
    declined_by: [],
    ...more,
  };
}

export function conversation(id: string, more: Partial<Conversation> = {}): Conversation {
  return {
    id,
    thread: `t-${id}`,
    channel: "webchat",
    customer: { id: `p-${id}`, name: "Mara" },
    control: "agent",
    epoch: 3,
    opened_at: at(0),
    first_seq: 1,
    last_seq: 4,
    unread: 0,
    waiting_since: null,
    preview: null,
    can_freeform: true,
    agent: "ada",
    agent_name: "Ada",
    ...more,
  };
}

export function message(seq: number | null, text: string, more: Partial<Message> = {}): Message {
  return {
    id: `m-${seq ?? text}`,
    conversation: "c",
    seq,
    author: { kind: "customer", id: "p" },
    content: { kind: "text", text },
    sent_at: at(seq ?? 0),
    status: "sent",
    ...more,
  };
}

export function snapshot(more: Partial<Snapshot> = {}): Snapshot {
  return {
    event: 10,
    me: ADA,
    agents: [ADA],
    queues: [{ name: "general", waiting: 0, oldest_enqueued_at: null }],
    handoffs: [],
    conversations: [],
    ...more,
  };
}
