// The protocol's types under the names that the pages use.
import type {
  AgentShape,
  AuthorShape,
  ContextNow,
  ConversationEvent,
  ConversationShape,
  HandoffEvent,
  HandoffShape,
  MessageEvent,
  MessageShape,
  NoteEvent,
  PresenceEvent,
  QueueEvent,
  QueueShape,
  ResetEvent,
  State,
  TypingNote,
  UpdateEvent,
} from "../protocol/desk";

export type Agent = AgentShape;
export type Author = AuthorShape;
export type Context = ContextNow;
export type Conversation = ConversationShape;
export type Handoff = HandoffShape;
export type Message = MessageShape;
export type Queue = QueueShape;
export type Snapshot = State;
export type Presence = Agent["presence"];
export type { CustomerAnswer, LoginAnswer, MessageAnswer, MessagesAnswer, Lookup, Understood } from "../protocol/desk";

export type Numbered =
  | HandoffEvent
  | ConversationEvent
  | MessageEvent
  | NoteEvent
  | UpdateEvent
  | QueueEvent
  | PresenceEvent
  | ResetEvent;
export type Frame = Numbered | TypingNote | { type: "pong" };

export const MAX_TEXT = 4096;

/** The text of a message; kinds that this version does not know are named instead of shown. */
export function textOf(message: Message): string {
  const { text, kind } = message.content;
  return typeof text === "string" ? text : `(${String(kind)})`;
}

export const sees = {
  all: (agent: Agent): boolean => agent.roles.includes("supervisor") || agent.roles.includes("admin"),
  serves: (agent: Agent): boolean => agent.roles.includes("agent") || agent.roles.includes("supervisor"),
  supervises: (agent: Agent): boolean => agent.roles.includes("supervisor"),
};
