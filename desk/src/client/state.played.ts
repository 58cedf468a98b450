// Run by tests/desk/test_reducer.py over what a real front door told: states in between, and the events behind the first.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Numbered, Snapshot } from "./protocol";
import { reduce } from "./state";

interface Played {
  readonly states: readonly Snapshot[];
  readonly events: readonly Numbered[];
}

const played = JSON.parse(readFileSync(process.env.PLAYED ?? "", "utf8")) as readonly Played[];

/** Lists whose order has no meaning, in one order; the number itself may be behind that of an event for others. */
function comparable(state: Snapshot): unknown {
  const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);
  return { ...state, event: 0, conversations: [...state.conversations].sort(byId), handoffs: [...state.handoffs].sort(byId) };
}

describe.each(played.map((one, at) => ({ ...one, name: one.states[0]?.me.name ?? String(at) })))("$name's desk", ({ states, events }) => {
  it.each(states.flatMap((from, a) => states.slice(a + 1).map((to) => [from.event, to.event, from, to] as const)))(
    "from %d to %d",
    (_from, _to, from, to) => {
      const behind = events.filter((event) => event.event > from.event && event.event <= to.event);
      expect(comparable(behind.reduce(reduce, from))).toEqual(comparable(to));
    },
  );
});
