import { describe, expect, it } from "vitest";
import type { Numbered } from "./protocol";
import { ordered, reduce } from "./state";
import { ADA, at, conversation, handoff, message, snapshot } from "./world";

const event = (body: Record<string, unknown>, number = 11) => ({ event: number, at: at(1), ...body }) as unknown as Numbered;

describe("the state behind an event", () => {
  it("is the same object for an event that is known already", () => {
    const state = snapshot();
    expect(reduce(state, event({ type: "handoff", handoff: handoff("1") }, 10))).toBe(state);
  });

  it("carries the event's number, also for a type that this version does not know", () => {
    expect(reduce(snapshot(), event({ type: "sla" })).event).toBe(11);
  });

  it("keeps a handoff that waits in one of my queues, and no other", () => {
    const mine = reduce(snapshot(), event({ type: "handoff", handoff: handoff("1") }));
    const other = reduce(snapshot(), event({ type: "handoff", handoff: handoff("1", { queue: "billing" }) }));
    expect(mine.handoffs.map((one) => one.id)).toEqual(["1"]);
    expect(other.handoffs).toEqual([]);
  });

  it("drops a handoff that a colleague took, unless I supervise", () => {
    const taken = event({ type: "handoff", handoff: handoff("1", { state: "accepted", accepted_by: "bo" }) });
    const boss = { ...ADA, roles: ["agent", "supervisor"] } as typeof ADA;
    expect(reduce(snapshot({ handoffs: [handoff("1")] }), taken).handoffs).toEqual([]);
    expect(reduce(snapshot({ me: boss, handoffs: [handoff("1")] }), taken).handoffs).toHaveLength(1);
  });

  it("drops a handoff that ended", () => {
    const ended = event({ type: "handoff", handoff: handoff("1", { state: "resolved", accepted_by: "ada" }) });
    expect(reduce(snapshot({ handoffs: [handoff("1")] }), ended).handoffs).toEqual([]);
  });

  it("keeps a conversation while it is mine", () => {
    const mine = reduce(snapshot(), event({ type: "conversation", conversation: conversation("c") }));
    const gone = reduce(mine, event({ type: "conversation", conversation: conversation("c", { control: "closed" }) }, 12));
    expect(mine.conversations).toHaveLength(1);
    expect(gone.conversations).toEqual([]);
  });

  it("counts what the customer wrote since an agent answered, and since when they wait", () => {
    const said = (seq: number, kind: "customer" | "agent" | "system") =>
      event({ type: "message", conversation: "c", message: message(seq, `say ${seq}`, { author: { kind } }) }, 10 + seq);
    let state = snapshot({ conversations: [conversation("c", { last_seq: 0 })] });
    state = reduce(state, said(1, "customer"));
    state = reduce(state, said(2, "customer"));
    state = reduce(state, said(3, "system"));
    expect(state.conversations[0]).toMatchObject({ unread: 2, waiting_since: at(1), last_seq: 3, preview: { text: "say 3" } });
    state = reduce(state, said(4, "agent"));
    expect(state.conversations[0]).toMatchObject({ unread: 0, waiting_since: null, last_seq: 4 });
  });

  it("cuts a preview between characters, as the front door does", () => {
    const long = event({ type: "message", conversation: "c", message: message(5, "😀".repeat(200)) });
    const state = reduce(snapshot({ conversations: [conversation("c")] }), long);
    expect(state.conversations[0]?.preview?.text).toBe("😀".repeat(140));
  });

  it("takes over my own presence", () => {
    const state = reduce(snapshot(), event({ type: "presence", agent: { ...ADA, presence: "busy" } }));
    expect([state.me.presence, state.agents[0]?.presence]).toEqual(["busy", "busy"]);
  });

  it("never changes what it was given", () => {
    const state = snapshot({ conversations: [conversation("c")], handoffs: [handoff("1")] });
    const copy = structuredClone(state);
    reduce(state, event({ type: "message", conversation: "c", message: message(5, "hi") }));
    reduce(state, event({ type: "handoff", handoff: handoff("2") }));
    expect(state).toEqual(copy);
  });
});

describe("the order of the queue", () => {
  it("is by priority, then by waiting, with a place in each queue", () => {
    const found = ordered([
      handoff("late", { enqueued_at: at(9) }),
      handoff("other", { queue: "billing", enqueued_at: at(1) }),
      handoff("early", { enqueued_at: at(2) }),
      handoff("passed on", { priority: 1, enqueued_at: at(8) }),
    ]);
    expect(found.map((one) => [one.id, one.position])).toEqual([
      ["passed on", 1],
      ["other", 1],
      ["early", 2],
      ["late", 3],
    ]);
  });

  it("gives no place to who is with an agent", () => {
    expect(ordered([handoff("1", { state: "accepted", position: 3 })])[0]).not.toHaveProperty("position");
  });
});
