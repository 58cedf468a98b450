import { beforeEach, describe, expect, it } from "vitest";
import { type Box, Keep, memoryBox } from "./keep";

const one = (id: string, at: number): { id: string; at: number; text: string } => ({ id, at, text: `text of ${id}` });

describe("Keep", () => {
  let box: Box;
  let keep: Keep;
  beforeEach(() => {
    box = memoryBox();
    keep = new Keep(box, "https://chat.example:main");
  });

  it("keeps messages in the order in which they were written", () => {
    keep.put(one("b", 2));
    keep.put(one("a", 1));
    keep.put(one("c", 3));
    expect(keep.waiting().map((it) => it.id)).toEqual(["a", "b", "c"]);
  });

  it("never lets one tab overwrite what another wrote", () => {
    const other = new Keep(box, "https://chat.example:main");
    keep.put(one("mine", 1));
    other.put(one("theirs", 2));
    keep.drop("mine");
    expect(other.waiting().map((it) => it.id)).toEqual(["theirs"]);
  });

  it("tells accounts and servers apart", () => {
    const other = new Keep(box, "https://chat.example:two");
    keep.put(one("a", 1));
    keep.session = { token: "t", thread: "x", expires: 1 };
    expect(other.waiting()).toEqual([]);
    expect(other.session).toBeNull();
    expect(other.about("foyer:https://chat.example:main:session")).toBeNull();
  });

  it("forgets one customer's messages and marks, and nobody else's", () => {
    const other = new Keep(box, "https://chat.example:two");
    keep.put(one("a", 1));
    keep.read = 7;
    other.put(one("b", 1));
    keep.clear();
    expect([keep.waiting(), keep.read]).toEqual([[], 0]);
    expect(other.waiting()).toHaveLength(1);
  });

  it("does without what cannot be read", () => {
    box.setItem("foyer:https://chat.example:main:session", "{");
    box.setItem("foyer:https://chat.example:main:out:x", '{"id": 7}');
    box.setItem("foyer:https://chat.example:main:read", '"a"');
    expect([keep.session, keep.waiting(), keep.read]).toEqual([null, [], 0]);
    box.setItem("foyer:https://chat.example:main:session", '{"token": "t"}');
    expect(keep.session).toBeNull();
  });

  it("loses nothing while the storage is full", () => {
    const full: Box = { ...box, length: 0, setItem: () => { throw new DOMException("full", "QuotaExceededError"); } };
    keep = new Keep(full, "s");
    keep.put(one("a", 1));
    keep.session = { token: "t", thread: "x", expires: 1 };
    expect(keep.waiting()).toHaveLength(1);
    expect(keep.session?.token).toBe("t");
    keep.drop("a");
    expect(keep.waiting()).toEqual([]);
  });

  it("knows what another tab changed", () => {
    const prefix = "foyer:https://chat.example:main:";
    expect(["session", "read", "out:1", "open"].map((name) => keep.about(prefix + name))).toEqual(["session", "read", "out", null]);
    expect([keep.about(null), keep.about("other")]).toEqual([null, null]);
  });
});
