// The chat as the list that is shown: days, bubbles grouped by author, words of the house between them. Pure.
import type { Chat, Pending } from "./chat";
import { dayNumber } from "./moments";

export type Status = "sending" | "sent" | "read" | "failed";

export type Entry =
  | { kind: "day"; key: string; at: number }
  | { kind: "notice"; key: string; text: string; at: number }
  | {
      kind: "bubble";
      key: string;
      mine: boolean;
      /** Of an agent; empty for the assistant and the customer. */
      name: string;
      author: string;
      text: string;
      at: number;
      first: boolean;
      last: boolean;
      status?: Status;
      /** The error's code of a message that the server refused. */
      failed?: string;
      id?: string;
    };

type Bubble = Extract<Entry, { kind: "bubble" }>;

/** Messages of one author within this time stand together. */
const TOGETHER_MS = 5 * 60_000;
/** Words of the house are shown as a line between the bubbles, as long as they are one. */
const LINE = 160;

export function timeline(chat: Chat): Entry[] {
  const entries: Entry[] = [];
  let day = NaN;
  let before: Bubble | null = null;
  const add = (one: Bubble): void => {
    if (dayNumber(one.at) !== day) {
      day = dayNumber(one.at);
      entries.push({ kind: "day", key: `d${day}`, at: one.at });
      before = null;
    }
    if (one.author === "system" && one.text.length <= LINE) {
      entries.push({ kind: "notice", key: one.key, text: one.text, at: one.at });
      before = null;
      return;
    }
    if (before && before.author === one.author && before.name === one.name && one.at - before.at < TOGETHER_MS) {
      before.last = false;
      one.first = false;
    }
    entries.push(one);
    before = one;
  };
  const newest = chat.messages.findLast((one) => one.author.kind === "customer")?.seq;
  for (const one of chat.messages) {
    const mine = one.author.kind === "customer";
    add({
      kind: "bubble",
      // The customer's own keep their place when they come back from the server.
      key: mine && one.id ? `c${one.id}` : `m${one.seq}`,
      mine,
      name: mine ? "" : (one.author.name ?? ""),
      author: one.author.kind,
      text: one.content.text,
      at: Date.parse(one.sent_at),
      first: true,
      last: true,
      ...(one.seq === newest && !chat.pending.length ? { status: one.seq <= chat.seen ? "read" : "sent" } : {}),
    });
  }
  for (const one of chat.pending) add(pendingBubble(one));
  return entries;
}

function pendingBubble(one: Pending): Bubble {
  return {
    kind: "bubble",
    key: `c${one.id}`,
    mine: true,
    name: "",
    author: "customer",
    text: one.text,
    at: one.at,
    first: true,
    last: true,
    status: one.failed ? "failed" : one.acked ? "sent" : "sending",
    failed: one.failed,
    id: one.id,
  };
}
