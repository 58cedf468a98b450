// Days and times as people of a locale read them.
import type { Words } from "./words";

export interface Moments {
  /** The hour and minute of a moment. */
  time(at: number): string;
  /** The day of a moment: today, yesterday, a weekday within the week, else a date. */
  day(at: number, now: number): string;
  /** The whole moment, for transcripts. */
  stamp(at: number): string;
}

export function moments(locale: string, say: Words): Moments {
  const made = (options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat => {
    try {
      return new Intl.DateTimeFormat(locale, options);
    } catch {
      return new Intl.DateTimeFormat(undefined, options);
    }
  };
  const time = made({ timeStyle: "short" });
  const weekday = made({ weekday: "long" });
  const date = made({ day: "numeric", month: "long", year: "numeric" });
  const stamp = made({ dateStyle: "medium", timeStyle: "short" });
  return {
    time: (at) => time.format(at),
    stamp: (at) => stamp.format(at),
    day: (at, now) => {
      const days = dayNumber(now) - dayNumber(at);
      if (days === 0) return say("today");
      if (days === 1) return say("yesterday");
      return (days > 1 && days < 7 ? weekday : date).format(at);
    },
  };
}

/** Counts the days of this place's calendar. */
export function dayNumber(at: number): number {
  const moment = new Date(at);
  return Math.round(Date.UTC(moment.getFullYear(), moment.getMonth(), moment.getDate()) / 86_400_000);
}
