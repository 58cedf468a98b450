import { beforeEach, describe, expect, it } from "vitest";
import { Failure } from "./api";
import { backoff } from "./backoff";
import { Drafts } from "./drafts";
import { afterFailure, Kept, type Pending } from "./outbox";

class Shelf {
  entries = new Map<string, string>();
  full = false;
  get length(): number {
    return this.entries.size;
  }
  key(at: number): string | null {
    return [...this.entries.keys()][at] ?? null;
  }
  getItem(key: string): string | null {
    return this.entries.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    if (this.full) throw new Error("quota exceeded");
    this.entries.set(key, value);
  }
  removeItem(key: string): void {
    this.entries.delete(key);
  }
}

const pending: Pending = { id: "1", conversation: "c", text: "hi", note: false, after: 4, at: 0, state: "sending", why: "" };
let shelf: Shelf;
beforeEach(() => {
  shelf = new Shelf();
});

describe("what was not sent", () => {
  it.each([
    [new Failure(409, "stale", ""), "stale"],
    [new Failure(403, "not_yours", ""), "refused"],
    [new Failure(409, "not_open", ""), "refused"],
    [new Failure(401, "unauthorized", ""), "waiting"],
    [new Failure(503, "unavailable", ""), "waiting"],
    [new Failure(429, "rate_limited", ""), "waiting"],
    [new Failure(0, "offline", ""), "waiting"],
    [new TypeError("?"), "waiting"],
  ])("becomes what its failure asks for: %s", (error, state) => {
    expect(afterFailure(pending, error).state).toBe(state);
  });

  it("survives a reload under the same id, and waits to be sent again", () => {
    new Kept(shelf, "ada").save([pending]);
    expect(new Kept(shelf, "ada").load()).toEqual([{ ...pending, state: "waiting" }]);
    expect(new Kept(shelf, "bo").load()).toEqual([]);
  });

  it("is not lost on what another program left there", () => {
    shelf.setItem("foyer.outbox.ada", "{");
    expect(new Kept(shelf, "ada").load()).toEqual([]);
    shelf.setItem("foyer.outbox.ada", '[1, null, {"id": "x"}]');
    expect(new Kept(shelf, "ada").load()).toEqual([]);
  });

  it("does without a store that is full", () => {
    shelf.full = true;
    expect(() => new Kept(shelf, "ada").save([pending])).not.toThrow();
  });
});

describe("drafts", () => {
  it("belong to an agent and a conversation", () => {
    new Drafts(shelf, "ada").save("c", { text: "half", note: true });
    expect(new Drafts(shelf, "ada").load("c")).toMatchObject({ text: "half", note: true });
    expect(new Drafts(shelf, "bo").load("c").text).toBe("");
    expect(new Drafts(shelf, "ada").all()).toEqual(new Set(["c"]));
  });

  it("leave nothing behind when they are sent", () => {
    const drafts = new Drafts(shelf, "ada");
    drafts.save("c", { text: "half", note: false });
    drafts.save("c", { text: "", note: false });
    expect(shelf.length).toBe(0);
  });

  it("are tidied up after two weeks", () => {
    new Drafts(shelf, "ada", () => 0).save("old", { text: "x", note: false });
    const now = new Drafts(shelf, "ada", () => 15 * 24 * 3600 * 1000);
    now.save("new", { text: "y", note: false });
    now.tidy();
    expect(now.all()).toEqual(new Set(["new"]));
  });
});

describe("waiting before another attempt", () => {
  it("doubles, has a limit, and is half chance", () => {
    expect([0, 1, 2, 3, 30].map((n) => backoff(n, () => 1))).toEqual([0.5, 1, 2, 4, 20]);
    expect(backoff(3, () => 0)).toBe(2);
  });
});
