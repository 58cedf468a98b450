// Times, durations and names as people read them.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long, at a glance: `8 s`, `4 min`, `1 h 05`, `3 d`. */
export function duration(ms: number): string {
  const whole = Math.max(0, ms);
  if (whole < MINUTE) return `${Math.floor(whole / 1000)} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)} h ${String(Math.floor((whole % HOUR) / MINUTE)).padStart(2, "0")}`;
  return `${Math.floor(whole / DAY)} d`;
}

/** A clock that runs: `0:08`, `4:31`, `1:05:09`. */
export function clock(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

/** The same in words, for those who listen. */
export function spoken(ms: number): string {
  const minutes = Math.floor(Math.max(0, ms) / MINUTE);
  if (minutes < 1) return "less than a minute";
  if (minutes < 60) return minutes === 1 ? "1 minute" : `${minutes} minutes`;
  const hours = Math.floor(minutes / 60);
  return hours === 1 ? "1 hour" : `${hours} hours`;
}

const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const shortDate = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const longDate = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

export function timeOf(at: string): string {
  return time.format(new Date(at));
}

export function fullTime(at: string): string {
  return full.format(new Date(at));
}

/** Two moments on the same day of this machine's calendar have the same one. */
export function dayKey(at: string | number): string {
  const date = new Date(at);
  return `${date.getFullYear()}-${date.getMonth()}-${date.getDate()}`;
}

/** `Today`, `Yesterday`, or the date. */
export function dayName(at: string, now: number): string {
  if (dayKey(at) === dayKey(now)) return "Today";
  if (dayKey(at) === dayKey(now - DAY)) return "Yesterday";
  return longDate.format(new Date(at));
}

/** For a list: the time today, else the date. */
export function when(at: string, now: number): string {
  return dayKey(at) === dayKey(now) ? timeOf(at) : shortDate.format(new Date(at));
}

export function dateAndTime(at: string): string {
  return `${shortDate.format(new Date(at))}, ${timeOf(at)}`;
}

/** A name of ours as words: `action_order_status` becomes `order status`. */
export function words(name: string): string {
  return name
    .replace(/^(action|validate|utter)_/, "")
    .replaceAll(/[_+]/g, (mark) => (mark === "+" ? " and " : " "))
    .trim();
}

export function capital(text: string): string {
  const [first = "", ...rest] = Array.from(text);
  return first.toUpperCase() + rest.join("");
}

export function percent(confidence: number): string {
  return `${Math.round(Math.min(1, Math.max(0, confidence)) * 100)} %`;
}

/** Up to two letters that stand for a name. */
export function initials(name: string): string {
  const parts = name.split(/\s+/).filter((part) => /^[\p{L}\p{N}]/u.test(part));
  const ends = parts.length > 1 ? [parts[0], parts.at(-1)] : parts;
  return ends.map((part) => Array.from(part ?? "")[0]?.toUpperCase() ?? "").join("");
}

export function customerName(customer: { id: string; name?: string | null }): string {
  // The end of an id tells two nameless visitors apart; its beginning is a time.
  return customer.name?.trim() || `Visitor ${customer.id.slice(-4)}`;
}

export const REASONS: Record<string, string> = {
  customer_asked: "Asked for a person",
  not_understood: "Not understood",
  sensitive_topic: "Sensitive topic",
  verification_failed: "Verification failed",
  lookup_failed: "Look-up failed",
  form_failed: "Form not completed",
  sentiment: "Customer is upset",
  vip: "Important customer",
  language: "Other language",
  assistant_unavailable: "Assistant unavailable",
  unsupported_content: "Sent a file or the like",
  agent_takeover: "Taken over",
};

export function reasonName(reason: string): string {
  return REASONS[reason] ?? capital(words(reason));
}

/** A value of an account or a slot in words; objects become lines of their own elsewhere. */
export function plain(value: unknown): string {
  if (value === null || value === undefined || value === "") return "—";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value);
  if (Array.isArray(value)) return value.every((one) => typeof one !== "object") ? value.map(plain).join(", ") : `${value.length}`;
  return JSON.stringify(value);
}
