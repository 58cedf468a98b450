import { describe, expect, it } from "vitest";
import { EMPTY, lastSeq, withMessage, withNewest, withOlder, withStatus } from "./transcript";
import { message } from "./world";

const page = (from: number, to: number, more = false) => ({
  messages: Array.from({ length: to - from + 1 }, (_, at) => message(from + at, `say ${from + at}`)),
  more,
  notes: [],
});
const numbers = (of: { messages: readonly { seq: number | null }[] }) => of.messages.map((one) => one.seq);

describe("a transcript", () => {
  it("is the same whether an event came before or behind the page", () => {
    const before = withNewest(withMessage(EMPTY, message(4, "say 4")), page(1, 3));
    const behind = withMessage(withNewest(EMPTY, page(1, 3)), message(4, "say 4"));
    expect(numbers(before)).toEqual([1, 2, 3, 4]);
    expect(before).toEqual(behind);
  });

  it("holds each message once", () => {
    const twice = withMessage(withNewest(EMPTY, page(1, 3)), message(3, "say 3"));
    expect(numbers(twice)).toEqual([1, 2, 3]);
  });

  it("joins older pages in front", () => {
    const joined = withOlder(withNewest(EMPTY, page(51, 60, true)), page(41, 50, false));
    expect([numbers(joined).at(0), numbers(joined).length, joined.more]).toEqual([41, 20, false]);
  });

  it("forgets what is older when there may be a gap", () => {
    const away = withNewest(withNewest(EMPTY, page(1, 10)), page(40, 60, true));
    expect([numbers(away).at(0), away.more]).toEqual([40, true]);
  });

  it("keeps what is older when a fresh page meets it", () => {
    const met = withNewest(withNewest(EMPTY, page(1, 10)), page(9, 20, true));
    expect([numbers(met).length, met.more]).toEqual([20, false]);
  });

  it("keeps notes apart", () => {
    const noted = withMessage(withNewest(EMPTY, page(1, 2)), message(null, "careful"));
    expect([noted.notes.length, noted.messages.length]).toEqual([1, 2]);
  });

  it("follows statuses", () => {
    expect(withStatus(withNewest(EMPTY, page(1, 2)), 2, "read").messages[1]?.status).toBe("read");
    const known = withNewest(EMPTY, page(1, 2));
    expect(withStatus(known, 9, "read")).toBe(known);
  });

  it("knows its newest number", () => {
    expect([lastSeq(EMPTY), lastSeq(withNewest(EMPTY, page(1, 7)))]).toEqual([0, 7]);
  });
});
