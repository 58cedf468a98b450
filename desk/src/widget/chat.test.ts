import { describe, expect, it } from "vitest";
import type { ChatServerFrame, Message } from "../protocol/webchat";
import * as chats from "./chat";
import { type Chat, EMPTY, heard, lastSeq, offer, older, unread, waiting } from "./chat";
import { timeline } from "./timeline";

const NOON = Date.UTC(2026, 0, 31, 12);
const said = (seq: number, kind: Message["author"]["kind"], text = `message ${seq}`, more: Partial<Message> = {}): ChatServerFrame => ({
  type: "message",
  seq,
  author: { kind },
  content: { kind: "text", text },
  sent_at: new Date(NOON + seq * 1000).toISOString(),
  ...more,
});
const welcome = (last_seq: number, control: Chat["control"] = "assistant", truncated?: true): ChatServerFrame => ({
  type: "welcome",
  thread: "t",
  conversation: control === "closed" ? null : "c",
  control,
  last_seq,
  ...(truncated ? { truncated } : {}),
});
const after = (...frames: ChatServerFrame[]): Chat => frames.reduce((chat, frame) => heard(chat, frame, NOON), EMPTY);
const mine = (id: string, at = NOON): { id: string; at: number; text: string } => ({ id, at, text: id });

describe("what is heard", () => {
  it("is shown once, whatever is repeated", () => {
    const chat = after(welcome(2), said(1, "customer"), said(2, "assistant"), said(2, "assistant"), said(1, "customer"));
    expect(chat.messages.map((one) => one.seq)).toEqual([1, 2]);
  });

  it("takes the place of what waited under the same id", () => {
    let chat = waiting(after(welcome(0)), [mine("a"), mine("b", NOON + 1)]);
    chat = heard(chat, { type: "ack", id: "a", seq: 1 }, NOON);
    expect(chat.pending.map((one) => [one.id, !!one.acked])).toEqual([["a", true], ["b", false]]);
    chat = heard(chat, said(1, "customer", "a", { id: "a" }), NOON);
    expect(chat.pending.map((one) => one.id)).toEqual(["b"]);
    expect(timeline(chat).filter((one) => one.kind === "bubble").map((one) => one.key)).toEqual(["ca", "cb"]);
  });

  it("may come before its ack", () => {
    let chat = waiting(after(welcome(0)), [mine("a")]);
    chat = heard(chat, said(1, "customer", "a", { id: "a" }), NOON);
    chat = heard(chat, { type: "ack", id: "a", seq: 1 }, NOON);
    expect([chat.messages.length, chat.pending.length]).toEqual([1, 0]);
  });

  it("fills no gap: a truncated replay begins anew, and the rest is fetched when asked for", () => {
    const chat = [welcome(900, "assistant", true), said(401, "assistant")].reduce(
      (was, frame) => heard(was, frame, NOON),
      after(welcome(1), said(1, "customer")),
    );
    expect(chat.messages.map((one) => one.seq)).toEqual([401]);
    expect(chat.more).toBe(true);
    expect(older(chat, [said(400, "customer") as Message], false).messages.map((one) => one.seq)).toEqual([400, 401]);
  });

  it("tells who is in control, and forgets places and typing with it", () => {
    let chat = after(welcome(1, "queue"), { type: "queue", position: 2, wait: 90 });
    expect([chat.control, chat.place, chat.wait]).toEqual(["queue", 2, 90]);
    chat = heard(chat, { type: "control", control: "agent", name: "Ada" }, NOON);
    expect([chat.control, chat.agent, chat.place]).toEqual(["agent", "Ada", null]);
    chat = heard(chat, { type: "typing", author: { kind: "agent", name: "Ada" } }, NOON);
    expect(chat.typing?.until).toBe(NOON + chats.TYPING_MS);
    expect(heard(chat, said(2, "agent"), NOON).typing).toBeNull();
    chat = heard(chat, { type: "control", control: "closed", reason: "resolved" }, NOON);
    expect([chat.typing, chat.ended]).toEqual([null, "resolved"]);
  });

  it("is not typing when it is oneself, in another tab", () => {
    expect(heard(after(welcome(0)), { type: "typing", author: { kind: "customer" } }, NOON).typing).toBeNull();
  });

  it("counts what was not seen, without one's own", () => {
    const chat = after(welcome(4), said(1, "assistant"), said(2, "customer"), said(3, "agent"), said(4, "system"));
    expect([0, 1, 3, 4].map((seq) => unread(chat, seq))).toEqual([3, 2, 1, 0]);
  });

  it("marks what the server refused, and keeps it to be tried again", () => {
    let chat = waiting(after(welcome(0)), [mine("a")]);
    chat = heard(chat, { type: "error", id: "a", code: "too_long", message: "", then: "drop" }, NOON);
    expect(chat.pending[0]?.failed).toBe("too_long");
    chat = heard(chat, { type: "error", id: "a", code: "rate_limited", message: "", then: "retry" }, NOON);
    expect(chat.pending).toHaveLength(1);
  });
});

describe("the shared outbox", () => {
  it("shows what other tabs wrote, and takes what left it as acknowledged", () => {
    let chat = waiting(after(welcome(0)), [mine("a"), mine("b", NOON + 1)]);
    chat = waiting(chat, [mine("b", NOON + 1)]);
    expect(chat.pending.map((one) => [one.id, !!one.acked])).toEqual([["a", true], ["b", false]]);
  });

  it("forgets what was refused and then discarded elsewhere", () => {
    const chat = waiting(after(welcome(0)), [{ ...mine("a"), failed: "too_long" }]);
    expect(waiting(chat, []).pending).toEqual([]);
  });

  it("shows nothing that was heard already", () => {
    expect(waiting(after(welcome(1), said(1, "customer", "a", { id: "a" })), [mine("a")]).pending).toEqual([]);
  });
});

describe("choices", () => {
  const choices = [{ title: "Yes", payload: "/yes" }];
  const asked = said(1, "assistant", "Sure?", { content: { kind: "text", text: "Sure?", choices } });

  it("stand until somebody answers", () => {
    expect(offer(after(welcome(1), asked))?.seq).toBe(1);
    expect(offer(after(welcome(2), asked, said(2, "assistant")))?.seq).toBe(1);
    expect(offer(after(welcome(2), asked, said(2, "customer")))).toBeNull();
    expect(offer(waiting(after(welcome(1), asked), [mine("a")]))).toBeNull();
    expect(offer(after(welcome(1, "closed"), asked))).toBeNull();
  });
});

describe("the timeline", () => {
  it("groups one author's messages, and parts days and authors", () => {
    const tomorrow = new Date(NOON + 86_400_000).toISOString();
    const chat = after(welcome(6), said(1, "assistant"), said(2, "assistant"), said(3, "customer"), said(4, "agent", "hi", { author: { kind: "agent", name: "Ada" } }), said(5, "system", "Ada has joined."), said(6, "customer", "x", { sent_at: tomorrow }));
    const shown = timeline(chat).map((one) => (one.kind === "bubble" ? `${one.author}${one.first ? "<" : ""}${one.last ? ">" : ""}` : one.kind));
    expect(shown).toEqual(["day", "assistant<", "assistant>", "customer<>", "agent<>", "notice", "day", "customer<>"]);
  });

  it("says of the newest own message alone whether it was seen", () => {
    const chat = after(welcome(3), said(1, "customer"), said(2, "customer"), said(3, "agent"));
    const states = (was: Chat): unknown[] => timeline(was).flatMap((one) => (one.kind === "bubble" && one.status ? [[one.key, one.status]] : []));
    expect(states(chat)).toEqual([["m2", "sent"]]);
    expect(states(heard(chat, { type: "read", seq: 3 }, NOON))).toEqual([["m2", "read"]]);
  });

  it("gives long words of the house a bubble of their own", () => {
    expect(timeline(after(welcome(1), said(1, "system", "x".repeat(200)))).map((one) => one.kind)).toEqual(["day", "bubble"]);
  });

  it("never shows a key twice", () => {
    let chat = after(welcome(0));
    let kept = [mine("a"), mine("b", NOON + 1), mine("c", NOON + 2)];
    const frames: ChatServerFrame[] = [
      { type: "ack", id: "a", seq: 1 },
      said(1, "customer", "a", { id: "a" }),
      said(2, "customer", "b", { id: "b" }),
      { type: "ack", id: "b", seq: 2 },
      welcome(3),
      said(3, "assistant"),
    ];
    for (const frame of frames) {
      if (frame.type === "ack") kept = kept.filter((one) => one.id !== frame.id);
      chat = waiting(heard(chat, frame, NOON), kept);
      const keys = timeline(chat).map((one) => one.key);
      expect(new Set(keys).size).toBe(keys.length);
    }
    expect(lastSeq(chat)).toBe(3);
  });
});
