import { describe, expect, it } from "vitest";
import { initials, pieces, short } from "./text";

const links = (text: string): (string | undefined)[] => pieces(text).filter((one) => one.href).map((one) => one.text);

describe("pieces", () => {
  it.each([
    ["See https://example.com/a?b=1#c for more", ["https://example.com/a?b=1#c"]],
    ["(https://en.wikipedia.org/wiki/Foyer_(disambiguation)).", ["https://en.wikipedia.org/wiki/Foyer_(disambiguation)"]],
    ["[https://example.com], {https://example.org}!", ["https://example.com", "https://example.org"]],
    ["HTTPS://EXAMPLE.COM/Path", ["HTTPS://EXAMPLE.COM/Path"]],
    ["mailto:ada@example.com.", ["mailto:ada@example.com"]],
    ["“https://example.com/x”, she said", ["https://example.com/x"]],
    ["https://example.com…", ["https://example.com"]],
    ["http://127.0.0.1:8040/demo/", ["http://127.0.0.1:8040/demo/"]],
    ["https://bücher.example/ü", ["https://bücher.example/ü"]],
  ])("follows %j", (text, found) => expect(links(text)).toEqual(found));

  it.each([
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x file:///etc/passwd ftp://example.com",
    "https://",
    "https://bank.example@evil.example/login",
    "https://user:secret@example.com",
    "mailto:",
    "mailto:nobody",
    "xhttps://example.com",
    "//example.com www.example.com example.com",
    "<a href=x onclick=alert(1)>",
  ])("does not follow %j", (text) => expect(links(text)).toEqual([]));

  it("cuts nothing out, whatever was written", () => {
    for (const text of ["", "a", "https://a.example https://b.example", "x\n\nhttps://a.example)\n", "\u202ehttps://a.example\u202eb"]) {
      expect(pieces(text).map((one) => one.text).join("")).toBe(text);
    }
  });

  it("takes direction marks for no part of an address", () => {
    expect(links("https://good.example/\u202emoc.live")).toEqual(["https://good.example/"]);
  });

  it("leads nowhere but to http, https and mailto", () => {
    for (const { href } of pieces("java\u0000script:x https://a.example mailto:a@b.example JaVaScRiPt:1")) {
      expect(href === undefined || /^(https?:\/\/|mailto:)/.test(href)).toBe(true);
    }
  });

  it("is quick about long text without a blank", () => {
    const began = Date.now();
    pieces("https://" + "(".repeat(4000));
    pieces("https://a.example/" + ")".repeat(4000));
    pieces("a".repeat(4096));
    expect(Date.now() - began).toBeLessThan(1000);
  });
});

describe("names", () => {
  it.each([
    ["Ada", "A"],
    ["ada lovelace", "AL"],
    ["  Mary Ann  Evans ", "ME"],
    ["", ""],
    ["👩‍🚀 Ada", "👩A"],
    ["名前", "名"],
  ])("%j is %j", (name, letters) => expect(initials(name)).toBe(letters));

  it("are shortened by whole signs", () => {
    expect(short("x".repeat(200))).toHaveLength(40);
    expect(short("👍".repeat(50), 3)).toBe("👍👍…");
    expect(short("Ada")).toBe("Ada");
  });
});
