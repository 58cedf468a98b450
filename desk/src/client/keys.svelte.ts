// The desk's keys. Single letters act outside of fields only, and can be turned off.

interface KeyHelp {
  readonly keys: readonly string[];
  readonly joined?: string;
  readonly does: string;
}

export const KEYS: readonly { readonly name: string; readonly keys: readonly KeyHelp[] }[] = [
  {
    name: "Anywhere",
    keys: [
      { keys: ["?"], does: "This list" },
      { keys: ["j", "k"], joined: "/", does: "Next, previous conversation" },
      { keys: ["Alt", "↓ ↑"], does: "The same, also while writing" },
      { keys: ["a"], does: "Accept the one shown, or who waits longest" },
      { keys: ["l"], does: "To the lists" },
      { keys: ["p"], does: "Available, or away" },
    ],
  },
  {
    name: "In a conversation",
    keys: [
      { keys: ["r"], does: "Reply" },
      { keys: ["n"], does: "Write a note" },
      { keys: ["i"], does: "What is known" },
      { keys: ["e"], does: "Resolve" },
      { keys: ["b"], does: "Return to the assistant" },
      { keys: ["t"], does: "Transfer to a queue" },
      { keys: ["d"], does: "Decline" },
    ],
  },
  {
    name: "While writing",
    keys: [
      { keys: ["Enter"], does: "Send" },
      { keys: ["Shift", "Enter"], does: "New line" },
      { keys: ["Alt", "n"], does: "Reply or note" },
      { keys: ["Esc"], does: "Leave the field" },
    ],
  },
  {
    name: "In a list or a menu",
    keys: [
      { keys: ["↓", "↑"], joined: "/", does: "Move" },
      { keys: ["Enter"], does: "Open" },
      { keys: ["Esc"], does: "Close, or back" },
    ],
  },
];

const KEY = "foyer.keys";

export class Keys {
  single = $state(load());

  setSingle(on: boolean): void {
    this.single = on;
    try {
      localStorage.setItem(KEY, on ? "on" : "off");
    } catch {
      // It holds until the page is closed.
    }
  }
}

function load(): boolean {
  try {
    return localStorage.getItem(KEY) !== "off";
  } catch {
    return true;
  }
}

/** Whether this element takes letters. */
export function isField(element: EventTarget | null): boolean {
  if (!(element instanceof HTMLElement)) return false;
  if (element instanceof HTMLInputElement) return !["radio", "checkbox", "button"].includes(element.type);
  return element instanceof HTMLTextAreaElement || element instanceof HTMLSelectElement || element.isContentEditable;
}
