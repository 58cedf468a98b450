// A transcript as a list of things to draw: messages and notes by time, days between them, what is still being sent.
import { dayKey } from "./format";
import type { Pending } from "./outbox";
import type { Message } from "./protocol";
import { textOf } from "./protocol";
import type { Transcript } from "./transcript";

export type Item =
  | { readonly key: string; readonly kind: "day"; readonly at: string }
  /** `first`: its author is named; the ones after it, of the same author and soon after, are not. */
  | { readonly key: string; readonly kind: "message"; readonly message: Message; readonly first: boolean }
  | { readonly key: string; readonly kind: "note"; readonly message: Message }
  | { readonly key: string; readonly kind: "pending"; readonly pending: Pending };

const TOGETHER_MS = 5 * 60_000;

export function itemsOf(transcript: Transcript, pending: readonly Pending[]): Item[] {
  const items: Item[] = [];
  let before: Message | null = null;
  let day = "";
  for (const message of byTime(transcript)) {
    const key = dayKey(message.sent_at);
    if (key !== day) {
      items.push({ key: `day ${key}`, kind: "day", at: message.sent_at });
      before = null;
      day = key;
    }
    if (message.seq === null) items.push({ key: message.id, kind: "note", message });
    else items.push({ key: message.id, kind: "message", message, first: !belongs(before, message) });
    before = message;
  }
  for (const one of pending) items.push({ key: one.id, kind: "pending", pending: one });
  return items;
}

/** Messages in their own order; a note stands in front of the first message that was written after it. */
function* byTime({ messages, notes, more }: Transcript): Generator<Message> {
  const from = more ? (messages[0]?.sent_at ?? "") : "";
  const shown = notes.filter((note) => note.sent_at >= from);
  let next = 0;
  for (const message of messages) {
    for (let note = shown[next]; note && note.sent_at < message.sent_at; note = shown[next]) {
      yield note;
      next += 1;
    }
    yield message;
  }
  yield* shown.slice(next);
}

function belongs(before: Message | null, message: Message): boolean {
  return (
    before !== null &&
    before.seq !== null &&
    before.author.kind === message.author.kind &&
    before.author.id === message.author.id &&
    Date.parse(message.sent_at) - Date.parse(before.sent_at) < TOGETHER_MS
  );
}

/** Pixels that a row will probably need, until it is measured. */
export function guessHeight(item: Item | undefined): number {
  if (!item) return 60;
  if (item.kind === "day") return 44;
  const text = item.kind === "pending" ? item.pending.text : textOf(item.message);
  const lines = text.split("\n").reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / 62)), 0);
  const head = item.kind === "message" && !item.first ? 0 : 26;
  const extra = item.kind === "message" && item.message.understood ? 28 : 0;
  return 26 + lines * 21 + head + extra;
}
