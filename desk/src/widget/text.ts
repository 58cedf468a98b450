// What people wrote, cut into pieces that can be shown safely. Nothing here makes markup.

export interface Piece {
  text: string;
  /** Where the piece leads, when it is an address that may be followed. */
  href?: string;
}

// Direction marks are no part of an address: they could make it read as another one.
const ADDRESS = /\b(?:https?:\/\/|mailto:)[^\s<>"'`\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gi;
const TRAILING = /[.,;:!?'"”’»…]+$/;

/** The text in pieces, in order; joined they are the text again. Links lead to http, https or mailto and nowhere else. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let done = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const shown = trimmed(match[0]);
    const href = followed(shown);
    if (!href) continue;
    if (match.index > done) found.push({ text: text.slice(done, match.index) });
    found.push({ text: shown, href });
    done = match.index + shown.length;
  }
  if (done < text.length) found.push({ text: text.slice(done) });
  return found;
}

/** The address without punctuation that belongs to the sentence around it. */
function trimmed(address: string): string {
  for (;;) {
    let shorter = address.replace(TRAILING, "");
    const last = shorter.at(-1);
    const opening = last === ")" ? "(" : last === "]" ? "[" : last === "}" ? "{" : "";
    if (opening && count(shorter, last as string) > count(shorter, opening)) shorter = shorter.slice(0, -1);
    if (shorter === address) return address;
    address = shorter;
  }
}

function count(text: string, sign: string): number {
  return text.split(sign).length - 1;
}

function followed(address: string): string | undefined {
  try {
    const url = new URL(address);
    if (url.protocol === "mailto:") return url.pathname.includes("@") ? url.href : undefined;
    // https://bank.example@elsewhere.example is a trick, not an address that people write.
    return /^https?:$/.test(url.protocol) && url.hostname && !url.username && !url.password ? url.href : undefined;
  } catch {
    return undefined;
  }
}

/** Up to two letters that stand for a name. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const first = [...(words[0] ?? "")][0] ?? "";
  const last = words.length > 1 ? ([...(words.at(-1) ?? "")][0] ?? "") : "";
  return (first + last).toLocaleUpperCase();
}

/** The name, short enough to be said in passing. */
export function short(name: string, most = 40): string {
  const letters = [...name];
  return letters.length > most ? `${letters.slice(0, most - 1).join("").trimEnd()}…` : name;
}
