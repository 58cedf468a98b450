// The chat as one value, and what changes it. Pure.
import type { ChatServerFrame, Message } from "../protocol/webchat";
import type { Waiting } from "./keep";

export type Control = "assistant" | "queue" | "agent" | "closed";
export type Link =
  | "idle" // nobody asked for a connection yet
  | "connecting"
  | "on"
  | "off" // lost; trying again
  | "replaced" // the server gave the place to newer windows
  | "refused"; // this page may not chat

/** A message of the customer's that is not heard back yet; `acked` once the server has it. */
export interface Pending extends Waiting {
  acked?: boolean;
}

export interface Chat {
  readonly messages: readonly Message[];
  readonly pending: readonly Pending[];
  readonly control: Control;
  /** The agent's name, under control of one. */
  readonly agent: string;
  /** Place in the queue and seconds to wait, while both are known. */
  readonly place: number | null;
  readonly wait: number | null;
  readonly link: Link;
  /** Who is typing, and until when (milliseconds since 1970). */
  readonly typing: { name: string; kind: string; until: number } | null;
  /** The other side has read up to here. */
  readonly seen: number;
  /** There are older messages than the first one here. */
  readonly more: boolean;
  /** Why the last conversation ended; empty while none did. */
  readonly ended: "" | "resolved" | "customer_left" | "silence";
  /** The last message that the welcome promised; until it is here, what comes is history. */
  readonly history: number;
}

export const EMPTY: Chat = {
  messages: [],
  pending: [],
  control: "closed",
  agent: "",
  place: null,
  wait: null,
  link: "idle",
  typing: null,
  seen: 0,
  more: false,
  ended: "",
  history: 0,
};

export const TYPING_MS = 6000;
/** The assistant says not that it is typing: it is taken for granted for so long. */
const ANSWER_MS = 15_000;

export function lastSeq(chat: Chat): number {
  return chat.messages.at(-1)?.seq ?? 0;
}

/** The chat after a frame of the server's. */
export function heard(chat: Chat, frame: ChatServerFrame, now: number): Chat {
  switch (frame.type) {
    case "welcome":
      return {
        ...chat,
        control: frame.control,
        agent: frame.name ?? "",
        place: null,
        wait: null,
        typing: null,
        more: !!frame.truncated || chat.more,
        // A gap cannot be filled by what follows: what was shown before it is fetched again when asked for.
        messages: frame.truncated ? [] : chat.messages,
        ended: frame.control === "closed" && frame.last_seq ? chat.ended || "resolved" : "",
        history: frame.last_seq,
      };
    case "message":
      return said(chat, frame);
    case "ack":
      return acknowledged(chat, frame, now);
    case "control":
      return {
        ...chat,
        control: frame.control,
        agent: frame.name ?? "",
        place: null,
        wait: null,
        typing: frame.control === "agent" || frame.control === "assistant" ? chat.typing : null,
        ended: frame.control === "closed" ? ((frame.reason as Chat["ended"] | undefined) ?? "resolved") : "",
      };
    case "queue":
      return { ...chat, place: frame.position, wait: frame.wait };
    case "typing": {
      const { kind, name } = frame.author;
      if (kind === "customer") return chat;
      return { ...chat, typing: { kind, name: name ?? "", until: now + TYPING_MS } };
    }
    case "read":
      return { ...chat, seen: Math.max(chat.seen, frame.seq) };
    case "error":
      return frame.id && frame.then === "drop" ? refused(chat, frame.id, frame.code) : chat;
    default:
      return chat;
  }
}

function said(chat: Chat, frame: Message): Chat {
  if (frame.seq <= lastSeq(chat)) return chat;
  const { seq, id, author, content, sent_at } = frame;
  const own = author.kind === "customer";
  return {
    ...chat,
    messages: [...chat.messages, { seq, id, author, content, sent_at }],
    pending: own && id ? chat.pending.filter((one) => one.id !== id) : chat.pending,
    typing: own ? chat.typing : null,
    more: chat.messages.length ? chat.more : chat.more || seq > 1,
  };
}

function acknowledged(chat: Chat, { id, seq }: { id: string; seq: number }, now: number): Chat {
  const next = changed(chat, id, (one) => ({ ...one, acked: true, failed: undefined }));
  const asked = (chat.control === "assistant" || chat.control === "closed") && seq >= lastSeq(chat);
  return asked ? { ...next, typing: { kind: "assistant", name: "", until: now + ANSWER_MS } } : next;
}

/** The server will not take this message. */
export function refused(chat: Chat, id: string, code: string): Chat {
  return changed(chat, id, (one) => ({ ...one, failed: code }));
}

function changed(chat: Chat, id: string, change: (one: Pending) => Pending): Chat {
  return { ...chat, pending: chat.pending.map((one) => (one.id === id ? change(one) : one)) };
}

/** The shared outbox as it is now, with what other tabs wrote. What left it was acknowledged, here or elsewhere. */
export function waiting(chat: Chat, kept: readonly Waiting[]): Chat {
  const known = new Set(chat.messages.map((one) => one.id));
  const ids = new Set(kept.map((one) => one.id));
  const gone = chat.pending.filter((one) => !ids.has(one.id) && !one.failed);
  const acked = gone.map((one) => ({ ...one, acked: true }));
  const pending = [...acked, ...kept].filter((one) => !known.has(one.id));
  return { ...chat, pending: pending.sort((a, b) => a.at - b.at) };
}

/** Older messages, as history answered them. */
export function older(chat: Chat, page: readonly Message[], more: boolean): Chat {
  const first = chat.messages[0]?.seq ?? Infinity;
  return { ...chat, messages: [...page.filter((one) => one.seq < first), ...chat.messages], more };
}

/** Messages of the other side behind `seq`. */
export function unread(chat: Chat, seq: number): number {
  return chat.messages.filter((one) => one.seq > seq && one.author.kind !== "customer").length;
}

/** The message whose choices may be taken now: the last one, while nobody answered it. */
export function offer(chat: Chat): Message | null {
  if (chat.pending.length || chat.control === "closed") return null;
  const last = chat.messages.findLast((one) => one.author.kind === "customer" || one.content.choices?.length);
  return last && last.author.kind !== "customer" ? last : null;
}
