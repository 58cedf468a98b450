// One conversation's messages and notes as far as they are loaded. Pure: pages and events may come in any order.
import type { Message, MessagesAnswer } from "./protocol";

export interface Transcript {
  /** By `seq`, without gaps from the first loaded one on. */
  readonly messages: readonly Message[];
  readonly notes: readonly Message[];
  /** There are older ones to be loaded. */
  readonly more: boolean;
  /** The newest page was loaded; before that there may be a gap in front of what events brought. */
  readonly loaded: boolean;
}

export const EMPTY: Transcript = { messages: [], notes: [], more: false, loaded: false };

/** With the newest page. */
export function withNewest(transcript: Transcript, page: MessagesAnswer): Transcript {
  const first = page.messages[0]?.seq ?? 0;
  // What was loaded before stays when it meets the page; else there may be a gap, and it is loaded again on demand.
  const last = transcript.messages.at(-1)?.seq ?? 0;
  const meets = transcript.loaded && last >= first - 1;
  const newer = transcript.messages.filter((message) => (message.seq ?? 0) > (page.messages.at(-1)?.seq ?? 0));
  return {
    messages: merged(meets ? transcript.messages : newer, page.messages),
    notes: merged(transcript.notes, page.notes),
    more: meets && (transcript.messages[0]?.seq ?? 0) < first ? transcript.more : page.more,
    loaded: true,
  };
}

/** With the page of older messages in front. */
export function withOlder(transcript: Transcript, page: MessagesAnswer): Transcript {
  return {
    ...transcript,
    messages: merged(transcript.messages, page.messages),
    notes: merged(transcript.notes, page.notes),
    more: page.more,
  };
}

/** With a message or a note that was just written. */
export function withMessage(transcript: Transcript, message: Message): Transcript {
  if (message.seq === null) return { ...transcript, notes: merged(transcript.notes, [message]) };
  return { ...transcript, messages: merged(transcript.messages, [message]) };
}

/** With another delivery status. */
export function withStatus(transcript: Transcript, seq: number, status: string): Transcript {
  const at = transcript.messages.findIndex((message) => message.seq === seq);
  const message = transcript.messages[at];
  return message ? { ...transcript, messages: transcript.messages.with(at, { ...message, status }) } : transcript;
}

function merged(known: readonly Message[], found: readonly Message[]): readonly Message[] {
  const ids = new Set(known.map((message) => message.id));
  const added = found.filter((message) => !ids.has(message.id));
  if (added.length === 0) return known;
  const all = [...known, ...added];
  return inOrder(all) ? all : all.sort(byOrder);
}

function inOrder(messages: readonly Message[]): boolean {
  return messages.every((message, at) => {
    const before = messages[at - 1];
    return before === undefined || byOrder(before, message) <= 0;
  });
}

function byOrder(a: Message, b: Message): number {
  if (a.seq !== null && b.seq !== null) return a.seq - b.seq;
  return a.sent_at < b.sent_at ? -1 : a.sent_at > b.sent_at ? 1 : a.id < b.id ? -1 : 1;
}

/** The number of the newest message that is known. */
export function lastSeq(transcript: Transcript): number {
  return transcript.messages.at(-1)?.seq ?? 0;
}
