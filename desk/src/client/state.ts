// The desk's state: a snapshot, and what each numbered event does to it. Pure: state at n plus events = the state now.
import { sees, textOf } from "./protocol";
import type { Agent, Conversation, Handoff, Message, Numbered, Snapshot } from "./protocol";

export const PREVIEW = 140;

/** The state behind the event; the same object when the event is known already, or changes nothing that is shown. */
export function reduce(state: Snapshot, event: Numbered): Snapshot {
  if (event.event <= state.event) return state;
  return { ...changed(state, event), event: event.event };
}

function changed(state: Snapshot, event: Numbered): Snapshot {
  switch (event.type) {
    case "handoff":
      return { ...state, handoffs: ordered(withHandoff(state, event.handoff)) };
    case "conversation":
      return { ...state, conversations: withConversation(state, event.conversation) };
    case "message":
      return { ...state, conversations: withMessage(state.conversations, event.conversation, event.message) };
    case "queue":
      return {
        ...state,
        queues: state.queues.map((queue) => (queue.name === event.queue.name ? event.queue : queue)),
      };
    case "presence":
      return withAgent(state, event.agent);
    default:
      return state;
  }
}

function withHandoff(state: Snapshot, handoff: Handoff): Handoff[] {
  const rest = state.handoffs.filter((one) => one.id !== handoff.id);
  return concernsMe(state.me, handoff) ? [...rest, handoff] : rest;
}

function concernsMe(me: Agent, handoff: Handoff): boolean {
  if (handoff.state === "queued") return sees.all(me) || me.queues.includes(handoff.queue);
  return handoff.state === "accepted" && (sees.all(me) || handoff.accepted_by === me.id);
}

/** Handoffs in the order in which they are to be taken, each queued one with its place. */
export function ordered(handoffs: readonly Handoff[]): Handoff[] {
  const counts = new Map<string, number>();
  return [...handoffs].sort(byTurn).map((handoff) => {
    const { position, ...rest } = handoff;
    if (handoff.state !== "queued") return position === undefined ? handoff : rest;
    const place = (counts.get(handoff.queue) ?? 0) + 1;
    counts.set(handoff.queue, place);
    return position === place ? handoff : { ...rest, position: place };
  });
}

function byTurn(a: Handoff, b: Handoff): number {
  return b.priority - a.priority || compare(a.enqueued_at, b.enqueued_at) || compare(a.id, b.id);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function withConversation(state: Snapshot, conversation: Conversation): Conversation[] {
  const rest = state.conversations.filter((one) => one.id !== conversation.id);
  const mine = conversation.control === "agent" && conversation.agent === state.me.id;
  return mine ? [...rest, conversation] : rest;
}

function withMessage(conversations: Conversation[], id: string, message: Message): Conversation[] {
  const at = conversations.findIndex((one) => one.id === id);
  const before = conversations[at];
  if (!before || message.seq === null) return conversations;
  return conversations.with(at, heard(before, message, message.seq));
}

function heard(conversation: Conversation, message: Message, seq: number): Conversation {
  const kind = message.author.kind;
  const text = Array.from(textOf(message)).slice(0, PREVIEW).join("");
  return {
    ...conversation,
    last_seq: Math.max(conversation.last_seq, seq),
    preview: { author: message.author, text, at: message.sent_at },
    unread: kind === "agent" ? 0 : conversation.unread + (kind === "customer" ? 1 : 0),
    waiting_since:
      kind === "agent"
        ? null
        : kind === "customer"
          ? (conversation.waiting_since ?? message.sent_at)
          : conversation.waiting_since,
  };
}

function withAgent(state: Snapshot, agent: Agent): Snapshot {
  const others = state.agents.filter((one) => one.id !== agent.id);
  return {
    ...state,
    me: state.me.id === agent.id ? agent : state.me,
    agents: [...others, agent].sort((a, b) => compare(a.name, b.name) || compare(a.id, b.id)),
  };
}
