import { describe, expect, it } from "vitest";
import { capital, clock, customerName, dayName, duration, initials, percent, plain, words } from "./format";
import { guessHeight, itemsOf } from "./items";
import { EMPTY, withMessage, withNewest } from "./transcript";
import { evenSlice, Heights } from "./window";
import { message } from "./world";

describe("durations", () => {
  it.each([
    [0, "0 s", "0:00"],
    [59_999, "59 s", "0:59"],
    [61_000, "1 min", "1:01"],
    [3_600_000 + 5 * 60_000, "1 h 05", "1:05:00"],
    [2 * 86_400_000, "2 d", "48:00:00"],
    [-5, "0 s", "0:00"],
  ])("%d ms", (ms, short, long) => {
    expect([duration(ms), clock(ms)]).toEqual([short, long]);
  });
});

describe("names", () => {
  it("are read from ours", () => {
    expect(words("action_order_status")).toBe("order status");
    expect(words("order_number+postcode")).toBe("order number and postcode");
    expect(capital("été")).toBe("Été");
  });

  it("are shortened to letters", () => {
    expect(["Mara Lindqvist", "Ada", "  ", "李 小龙", "😀 x", "Anna Maria von B"].map(initials)).toEqual(["ML", "A", "", "李小", "X", "AB"]);
  });

  it("stand in for those who gave none", () => {
    expect(customerName({ id: "0123abcd", name: " " })).toBe("Visitor abcd");
  });
});

describe("values", () => {
  it("are plain words", () => {
    expect([null, true, 3, ["a", 2], [{}, {}], { a: 1 }].map(plain)).toEqual(["—", "yes", "3", "a, 2", "2", '{"a":1}']);
    expect([percent(0.934), percent(7)]).toEqual(["93 %", "100 %"]);
  });

  it("call days by their names", () => {
    const now = new Date(2026, 0, 31, 12).getTime();
    expect(dayName(new Date(2026, 0, 31, 1).toISOString(), now)).toBe("Today");
    expect(dayName(new Date(2026, 0, 30, 23).toISOString(), now)).toBe("Yesterday");
  });
});

describe("the items of a transcript", () => {
  const says = (seq: number, minute: number, kind: "customer" | "agent" = "customer") =>
    message(seq, `say ${seq}`, { author: { kind }, sent_at: new Date(2026, 0, 31, 9, minute).toISOString() });
  const page = (...messages: ReturnType<typeof says>[]) => withNewest(EMPTY, { messages, notes: [], more: false });

  it("name the author once for what belongs together", () => {
    const items = itemsOf(page(says(1, 0), says(2, 1), says(3, 9), says(4, 9, "agent")), []);
    expect(items.map((one) => (one.kind === "message" ? one.first : one.kind))).toEqual(["day", true, false, true, true]);
  });

  it("put days between messages, and notes at their time", () => {
    const note = message(null, "careful", { sent_at: new Date(2026, 0, 31, 9, 5).toISOString() });
    const next = { ...says(2, 0), sent_at: new Date(2026, 1, 1, 9).toISOString() };
    const items = itemsOf(withMessage(page(says(1, 0), next), note), []);
    expect(items.map((one) => one.kind)).toEqual(["day", "message", "note", "day", "message"]);
  });

  it("end with what is still being sent", () => {
    const pending = { id: "p", conversation: "c", text: "hi", note: false, after: 1, at: 0, state: "sending", why: "" } as const;
    expect(itemsOf(page(says(1, 0)), [pending]).at(-1)).toMatchObject({ kind: "pending", key: "p" });
  });

  it("have a height before they are measured", () => {
    const short = itemsOf(page(says(1, 0)), [])[1];
    const long = itemsOf(page(message(1, "x".repeat(4096))), [])[1];
    expect(guessHeight(long)).toBeGreaterThan(10 * guessHeight(short));
  });
});

describe("rows in view", () => {
  it("of one height are a small part of many", () => {
    const slice = evenSlice(10_000, 50, 100_000, 600, 6);
    expect([slice.from, slice.to]).toEqual([1994, 2018]);
    expect(slice.above + slice.below + (slice.to - slice.from) * 50).toBe(500_000);
  });

  it("stay inside of a list that became shorter", () => {
    expect(evenSlice(3, 50, 5000, 600)).toMatchObject({ to: 3, below: 0 });
    expect(evenSlice(0, 50, 0, 600)).toEqual({ from: 0, to: 0, above: 0, below: 0 });
  });

  it("of many heights fill the view, whatever was measured", () => {
    const heights = new Heights(() => 40);
    const keys = Array.from({ length: 5000 }, (_, at) => `k${at}`);
    heights.list(keys);
    expect(heights.measure(keys.slice(0, 100).map((key) => [key, 100]))).toBe(true);
    expect(heights.measure([["k0", 100]])).toBe(false);
    expect(heights.total).toBe(100 * 100 + 4900 * 40);
    const slice = heights.slice(10_000, 600, 200);
    expect(slice.above).toBeLessThanOrEqual(9800);
    expect(heights.total - slice.below).toBeGreaterThanOrEqual(10_800);
    expect(slice.to - slice.from).toBeLessThan(40);
  });

  it("find the row at a distance", () => {
    const heights = new Heights(() => 10);
    heights.list(["a", "b", "c"]);
    expect([0, 9, 10, 29, 30, 999].map((at) => heights.at(at))).toEqual([0, 0, 1, 2, 2, 2]);
  });
});
