// Everything the widget says. A language is one entry; sites bring further ones.

const en = {
  title: "Chat with us",
  greeting: "Hello! How can we help?",
  open: "Open chat",
  openUnread1: "Open chat, 1 unread message",
  openUnread: "Open chat, {n} unread messages",
  close: "Close chat",
  more: "More",
  download: "Download transcript",
  end: "End chat",
  endAsk: "End this chat?",
  keep: "Keep chatting",
  write: "Write a message",
  send: "Send",
  log: "Messages",
  choices: "Suggested answers",
  you: "You",
  assistant: "Assistant",
  agent: "Agent",
  sending: "Sending…",
  sent: "Sent",
  read: "Seen",
  failed: "Not sent",
  retry: "Try again",
  discard: "Discard",
  tooLong: "Too long: at most 4,096 characters",
  left: "{n} characters left",
  today: "Today",
  yesterday: "Yesterday",
  earlier: "Show earlier messages",
  newest: "New messages",
  subAssistant: "Answers right away",
  subQueue: "Waiting for a person",
  subAgent: "You are talking to {name}",
  subClosed: "Write to us any time",
  place1: "You are next in line",
  place: "You are number {n} in the queue",
  wait: "about {n} min",
  stay: "Stop waiting",
  connecting: "Connecting…",
  offline: "No connection. What you write is kept and sent later.",
  refused: "The chat is not available on this page.",
  replaced: "This chat is open in too many windows.",
  reconnect: "Use it here",
  ended: "This chat has ended. Write to start a new one.",
  endedYou: "You ended this chat. Write to start a new one.",
  endedQuiet: "This chat was closed because it was quiet. Write to start a new one.",
  transcript: "Chat transcript",
};

export type Word = keyof typeof en;
export type Words = (word: Word, values?: Record<string, string | number>) => string;

const languages: Record<string, Partial<typeof en>> = { en };

/** Adds a language, or changes words of one; what is left out is said in English. */
export function learn(language: string, said: Partial<typeof en>): void {
  languages[language.toLowerCase()] = { ...languages[language.toLowerCase()], ...said };
}

/** The words of a locale such as `de-AT`; English where it has none. */
export function words(locale: string): Words {
  const tag = locale.toLowerCase();
  const own = { ...languages[tag.slice(0, 2)], ...languages[tag] };
  return (word, values) => (own[word] ?? en[word]).replace(/\{(\w+)\}/g, (_, name: string) => `${values?.[name] ?? ""}`);
}
