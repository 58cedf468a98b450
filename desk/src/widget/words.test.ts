import { describe, expect, it } from "vitest";
import { dayNumber, moments } from "./moments";
import { learn, words } from "./words";

describe("words", () => {
  it("fill in what they are about", () => {
    expect(words("en")("place", { n: 2 })).toBe("You are number 2 in the queue");
    expect(words("en")("subAgent", { name: "$& {n}" })).toBe("You are talking to $& {n}");
  });

  it("are English where a language lacks them, and a site's own where it brings them", () => {
    learn("de", { send: "Senden", today: "Heute" });
    learn("de-AT", { today: "Heit" });
    expect([words("de")("send"), words("de")("close"), words("de-AT")("send"), words("de-AT")("today")]).toEqual([
      "Senden",
      "Close chat",
      "Senden",
      "Heit",
    ]);
    expect(words("constructor")("send")).toBe("Send");
  });
});

describe("moments", () => {
  const at = (day: number, hour = 12): number => new Date(2026, 0, day, hour).getTime();
  const { day, time } = moments("en-GB", words("en"));

  it("name days as people do", () => {
    expect([31, 30, 28, 25, 24].map((date) => day(at(date), at(31)))).toEqual([
      "Today",
      "Yesterday",
      "Wednesday",
      "Sunday",
      "24 January 2026",
    ]);
    expect(day(at(31, 0), at(31, 23))).toBe("Today");
    expect(day(at(32), at(31))).toBe("1 February 2026");
  });

  it("count days of the calendar, also when one has 23 hours", () => {
    expect(dayNumber(new Date(2026, 2, 30).getTime()) - dayNumber(new Date(2026, 2, 28).getTime())).toBe(2);
  });

  it("do with a locale that nobody knows", () => {
    expect(moments("xx-invalid-tag-12345678901", words("en")).time(at(1))).not.toBe("");
    expect(time(at(1, 9))).toBe("09:00");
  });
});
