// What is seen: launcher and panel in a shadow root, patched in place so that live regions say only what is new.
import * as chats from "./chat";
import type { Chat } from "./chat";
import { el, icon, put, set } from "./dom";
import type { Box } from "./keep";
import type { Moments } from "./moments";
import type { Talk } from "./talk";
import { initials, pieces, short } from "./text";
import { type Entry, timeline } from "./timeline";
import type { Words } from "./words";

export interface Dress {
  title: string;
  greeting: string;
  suggestions: readonly string[];
  say: Words;
  moments: Moments;
}

type Bubble = Extract<Entry, { kind: "bubble" }>;

const MOST = 4096;
const NEAR = 80;
/** A connection that comes back within this time is not worth a word. */
const CALM_MS = 1500;

/** Launcher and panel of one chat. Puts nothing on the page by itself: `root` is to be appended. */
export interface View {
  readonly root: HTMLElement;
  draw(chat: Chat): void;
  toggle(open: boolean, focus?: boolean): void;
  isOpen(): boolean;
  stop(): void;
}

/** `box` remembers the draft and the open panel of this tab over a reload; `toggled` hears of opening and closing. */
export function view(talk: Talk, dress: Dress, box: Box, toggled: (open: boolean) => void): View {
  const { say, moments } = dress;
  const ending = new AbortController();
  const rows = new Map<string, { node: HTMLElement; told: string }>();
  let isOpen = false;
  let drawn = false;
  let stuck = true;
  let offAt = 0;
  let calm: ReturnType<typeof setTimeout> | undefined;
  let offered = "";
  let shownSeq = 0;

  const button = (className: string, run: () => void, ...inside: (Node | string)[]): HTMLButtonElement =>
    el("button", { class: className, type: "button", onclick: run }, ...inside);
  const tool = (label: string, name: Parameters<typeof icon>[0], run: () => void): HTMLButtonElement => {
    const made = button("tool", run, icon(name));
    set(made, "aria-label", label);
    set(made, "title", label);
    return made;
  };
  const hidden = <T extends HTMLElement>(node: T): T => ((node.hidden = true), node);
  const avatar = (of: string, className = "avatar"): HTMLElement => {
    const made = el("span", { class: className, "aria-hidden": "true" });
    wear(made, of);
    return made;
  };

  const badge = hidden(el("span", { class: "badge", "aria-hidden": "true" }));
  const glyph = el("span", { class: "glyph" }, icon("chat"));
  const launcher = button("launcher", () => toggle(!isOpen), glyph, badge);
  const face = avatar("");
  const stateLine = el("p", { class: "state" });
  const item = (word: "download" | "end", name: "save" | "end", run: () => void): HTMLButtonElement =>
    button("", () => (showMenu(false), run()), icon(name), say(word));
  const endItem = item("end", "end", () => ask(true));
  const menu = hidden(el("div", { class: "menu", id: "menu" }, item("download", "save", () => void download()), endItem));
  const moreButton = tool(say("more"), "more", () => showMenu(menu.hidden));
  const bannerText = el("span");
  const bannerDo = button("link", () => undefined);
  const banner = hidden(el("div", { class: "banner", role: "status" }, bannerText, bannerDo));
  const olderButton = hidden(button("link older", () => void earlier(), say("earlier")));
  const greeting = el("div", { class: "bubble", dir: "auto" }, dress.greeting);
  const greetingRow = el("div", { class: "row them first last" }, avatar(""), el("div", { class: "body" }, greeting));
  const list = el("div");
  const typist = avatar("");
  const bouncing = el("div", { class: "bubble dots" }, el("i"), el("i"), el("i"));
  const dots = hidden(el("div", { class: "row them first last", "aria-hidden": "true" }, typist, el("div", { class: "body" }, bouncing)));
  const endLine = hidden(el("p", { class: "notice" }));
  const chips = el("div", { class: "choices", role: "group", "aria-label": say("choices") });
  const log = el(
    "div",
    { class: "log", role: "log", "aria-live": "polite", "aria-label": say("log"), tabindex: 0, onscroll: () => scrolled() },
    olderButton,
    greetingRow,
    list,
    dots,
    endLine,
    chips,
  );
  const newestButton = hidden(button("newest", () => toEnd(), say("newest")));
  const confirmBar = hidden(
    el(
      "div",
      { class: "confirm", role: "alertdialog", "aria-label": say("endAsk") },
      el("span", {}, say("endAsk")),
      button("link", () => ask(false), say("keep")),
      button("link bad", () => (talk.end(), ask(false)), say("end")),
    ),
  );
  const input = el("textarea", {
    rows: 1,
    maxlength: MOST,
    placeholder: say("write"),
    "aria-label": say("write"),
    enterkeyhint: "send",
    autocomplete: "off",
    dir: "auto",
    oninput: () => typed(),
    onkeydown: (event: KeyboardEvent) => keyInField(event),
  });
  const leftLine = hidden(el("div", { class: "left", "aria-live": "polite" }));
  const sendButton = el("button", { class: "send empty", "aria-label": say("send") }, icon("send"));
  const panel = hidden(
    el(
      "section",
      { class: "panel", part: "panel", id: "panel", role: "dialog", "aria-label": dress.title, onkeydown: (event: KeyboardEvent) => keyInPanel(event) },
      el(
        "div",
        { class: "head", part: "header" },
        face,
        el("div", { class: "who" }, el("h2", { dir: "auto" }, dress.title), stateLine),
        moreButton,
        tool(say("close"), "down", () => toggle(false)),
      ),
      menu,
      banner,
      log,
      confirmBar,
      el(
        "form",
        { onsubmit: (event: Event) => (event.preventDefault(), submit()) },
        newestButton,
        el("div", { class: "field" }, input, leftLine),
        sendButton,
      ),
    ),
  );
  set(moreButton, "aria-expanded", "false");
  set(moreButton, "aria-controls", "menu");
  set(launcher, "aria-expanded", "false");
  set(launcher, "aria-controls", "panel");
  set(launcher, "part", "launcher");
  const root = el("div", { class: "root" }, launcher, panel);
  input.value = box.getItem("foyer:draft") ?? "";
  listen();
  draw(talk.chat);
  if (box.getItem("foyer:open")) toggle(true, false);
  return { root, draw, toggle, stop, isOpen: () => isOpen };

  /** Opens or closes the panel; the focus goes along, unless the page did it by itself. */
  function toggle(open: boolean, focus = true): void {
    if (open === isOpen) return;
    isOpen = open;
    panel.hidden = !open;
    root.classList.toggle("open", open);
    set(launcher, "aria-expanded", String(open));
    glyph.replaceChildren(icon(open ? "down" : "chat"));
    if (open) box.setItem("foyer:open", "1");
    else box.removeItem("foyer:open");
    showMenu(false);
    confirmBar.hidden = true;
    fit();
    draw(talk.chat);
    if (open) {
      talk.shown();
      grow();
      toEnd();
      if (focus) input.focus({ preventScroll: true });
    } else if (focus) launcher.focus({ preventScroll: true });
    toggled(open);
  }

  function stop(): void {
    ending.abort();
    clearTimeout(calm);
    root.remove();
  }

  // ------------------------------------------------------------- drawing

  function draw(chat: Chat): void {
    drawBadge();
    if (!isOpen) return;
    const end = stuck;
    // What was said before is not news.
    set(log, "aria-busy", chats.lastSeq(chat) < chat.history ? "true" : undefined);
    drawHead(chat);
    drawBanner(chat);
    drawEntries(chat);
    drawDots(chat);
    drawChoices(chat);
    drawEnd(chat);
    const seq = chats.lastSeq(chat);
    if (end) toEnd();
    else if (seq > shownSeq && drawn) newestButton.hidden = chats.unread(chat, shownSeq) === 0 && newestButton.hidden;
    shownSeq = seq;
    drawn = true;
    noticed();
  }

  function drawBadge(): void {
    const count = talk.unread;
    badge.hidden = !count || isOpen;
    put(badge, count > 99 ? "99+" : String(count));
    const open = count === 1 ? say("openUnread1") : count ? say("openUnread", { n: count }) : say("open");
    set(launcher, "aria-label", isOpen ? say("close") : open);
  }

  function drawHead(chat: Chat): void {
    const agent = chat.control === "agent" ? chat.agent || say("agent") : "";
    const state =
      chat.link === "connecting" || chat.link === "off"
        ? say("connecting")
        : agent
          ? say("subAgent", { name: short(agent) })
          : chat.control === "queue"
            ? say("subQueue")
            : chat.ended
              ? say("subClosed")
              : say("subAssistant");
    put(stateLine, state);
    wear(face, agent);
    const open = chat.control !== "closed" && chat.link === "on";
    endItem.hidden = !open;
  }

  /** Shows an avatar: letters for a person, the doorway for the assistant. */
  function wear(who: HTMLElement, name: string): void {
    if (who.dataset["of"] === name) return;
    who.dataset["of"] = name;
    who.replaceChildren(name ? initials(name) : icon("door"));
  }

  function drawBanner(chat: Chat): void {
    if (chat.link === "off") offAt ||= Date.now();
    else offAt = 0;
    clearTimeout(calm);
    const offFor = offAt ? Date.now() - offAt : 0;
    if (offAt && offFor < CALM_MS) {
      calm = setTimeout(() => draw(talk.chat), CALM_MS - offFor + 10);
    }
    let text = "";
    let label = "";
    let run = (): void => undefined;
    if (chat.link === "refused") text = say("refused");
    else if (chat.link === "replaced") {
      [text, label, run] = [say("replaced"), say("reconnect"), () => talk.reconnect()];
    } else if (offFor >= CALM_MS) text = say("offline");
    else if (chat.control === "queue" && chat.link === "on") {
      const wait = chat.wait === null ? "" : `, ${say("wait", { n: Math.max(1, Math.round(chat.wait / 60)) })}`;
      const place = chat.place === 1 ? say("place1") : chat.place ? say("place", { n: chat.place }) : say("subQueue");
      [text, label, run] = [place + wait, say("stay"), () => talk.stopWaiting()];
    }
    banner.hidden = !text;
    banner.classList.toggle("warn", chat.link !== "on");
    put(bannerText, text);
    put(bannerDo, label);
    bannerDo.hidden = !label;
    bannerDo.onclick = run;
  }

  function drawEntries(chat: Chat): void {
    const entries = timeline(chat);
    olderButton.hidden = !chat.more;
    greetingRow.hidden = chat.more || !dress.greeting;
    const left = new Set(rows.keys());
    let place: ChildNode | null = list.firstChild;
    for (const entry of entries) {
      left.delete(entry.key);
      const shown = row(entry);
      if (shown === place) place = shown.nextSibling;
      else list.insertBefore(shown, place);
    }
    for (const key of left) {
      rows.get(key)?.node.remove();
      rows.delete(key);
    }
  }

  function row(entry: Entry): HTMLElement {
    const told = JSON.stringify(entry);
    const known = rows.get(entry.key);
    if (known?.told === told) return known.node;
    const node = known?.node ?? made(entry);
    if (entry.kind === "bubble") redress(node, entry);
    rows.set(entry.key, { node, told });
    return node;
  }

  function made(entry: Entry): HTMLElement {
    if (entry.kind === "day") return el("div", { class: "day" }, moments.day(entry.at, Date.now()));
    if (entry.kind === "notice") return el("p", { class: "notice", dir: "auto" }, entry.text);
    const who = nameOf(entry);
    const bubble = el("div", { class: "bubble", dir: "auto" }, el("span", { class: "sr" }, `${short(who)}: `));
    for (const piece of pieces(entry.text)) {
      const link = piece.href && el("a", { href: piece.href, target: "_blank", rel: "noopener noreferrer nofollow" }, piece.text);
      bubble.append(link || piece.text);
    }
    const node = el("div", {}, avatar(entry.name), el("div", { class: "body" }, el("div", { class: "name", dir: "auto", title: entry.name }, entry.name), bubble, el("div", { class: "meta" })));
    if (drawn) node.classList.add("new");
    return node;
  }

  function nameOf(entry: Bubble): string {
    return entry.mine ? say("you") : entry.name || say(entry.author === "agent" ? "agent" : "assistant");
  }

  function redress(node: HTMLElement, entry: Bubble): void {
    const news = node.classList.contains("new");
    const status = entry.status;
    node.className = ["row", entry.mine ? "me" : "them", entry.first && "first", entry.last && "last", entry.last && "told", status, news && "new"].filter(Boolean).join(" ");
    const [name, , meta] = (node.lastChild as HTMLElement).children as unknown as [HTMLElement, HTMLElement, HTMLElement];
    name.hidden = !entry.name || !entry.first;
    meta.hidden = !(entry.last || status === "failed" || status === "sending");
    if (status === "failed") {
      const id = entry.id as string;
      meta.replaceChildren(
        entry.failed === "too_long" ? say("tooLong") : say("failed"),
        button("link", () => talk.retry(id), say("retry")),
        button("link", () => talk.discard(id), say("discard")),
      );
      return;
    }
    const time = el("time", { datetime: new Date(entry.at).toISOString() }, moments.time(entry.at));
    meta.replaceChildren(time, status ? ` · ${say(status)}` : "");
  }

  function drawDots(chat: Chat): void {
    dots.hidden = !chat.typing;
    if (!chat.typing) return;
    const { kind, name } = chat.typing;
    wear(typist, kind === "agent" ? name || chat.agent || say("agent") : "");
  }

  function drawChoices(chat: Chat): void {
    const message = chats.offer(chat);
    const fresh = !chat.messages.length && !chat.pending.length && chat.history === 0;
    const now = message ? `m${message.seq}` : fresh ? "s" : "";
    if (now === offered) return;
    offered = now;
    const chip = (title: string, take: () => void): HTMLElement =>
      el("button", { type: "button", dir: "auto", onclick: () => (take(), afterChoice()) }, title);
    const made = message
      ? (message.content.choices ?? []).map((one) => chip(one.title, () => talk.choose(message.seq, one.payload, one.title)))
      : fresh
        ? dress.suggestions.map((title) => chip(title, () => talk.write(title)))
        : [];
    chips.hidden = !made.length;
    chips.replaceChildren(...made);
  }

  /** The button is gone: the focus stays in the chat, without calling up a phone's keyboard. */
  function afterChoice(): void {
    toEnd();
    (matchMedia("(pointer: coarse)").matches ? log : input).focus({ preventScroll: true });
  }

  function drawEnd(chat: Chat): void {
    const shown = !!chat.ended && chat.messages.length > 0 && !chat.pending.length;
    endLine.hidden = !shown;
    if (shown) put(endLine, say(chat.ended === "customer_left" ? "endedYou" : chat.ended === "silence" ? "endedQuiet" : "ended"));
    if (chat.control === "closed") confirmBar.hidden = true;
  }

  // ------------------------------------------------------------ scrolling

  function scrolled(): void {
    const { scrollHeight, scrollTop, clientHeight } = log;
    stuck = scrollHeight - scrollTop - clientHeight < NEAR;
    if (stuck) newestButton.hidden = true;
    noticed();
  }

  function toEnd(): void {
    stuck = true;
    newestButton.hidden = true;
    log.scrollTop = log.scrollHeight;
    noticed();
  }

  /** What is on the screen of a page that is looked at has been seen. */
  function noticed(): void {
    if (isOpen && stuck && document.visibilityState === "visible") talk.seen();
  }

  async function earlier(): Promise<void> {
    const fromEnd = log.scrollHeight - log.scrollTop;
    set(olderButton, "aria-disabled", "true");
    try {
      stuck = false;
      await talk.earlier();
      log.scrollTop = log.scrollHeight - fromEnd;
    } catch {
      // The button stays, to be tried again.
    }
    set(olderButton, "aria-disabled", undefined);
  }

  // -------------------------------------------------------------- writing

  function typed(): void {
    box.setItem("foyer:draft", input.value);
    grow();
    talk.typing();
  }

  function grow(): void {
    const { style, value } = input;
    style.height = "auto";
    style.height = `${input.scrollHeight + 2}px`;
    sendButton.classList.toggle("empty", !value.trim());
    const left = MOST - value.length;
    leftLine.hidden = left > 300;
    put(leftLine, left > 300 ? "" : say("left", { n: left }));
    if (stuck) log.scrollTop = log.scrollHeight;
  }

  function submit(): void {
    const text = input.value.trim();
    input.focus({ preventScroll: true });
    if (!text) return;
    input.value = "";
    box.removeItem("foyer:draft");
    grow();
    stuck = true;
    talk.write(text);
  }

  function keyInField(event: KeyboardEvent): void {
    // While a character is being composed, Enter chooses it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    submit();
  }

  // ----------------------------------------------------------------- keys

  function keyInPanel(event: KeyboardEvent): void {
    // The page's own shortcuts are not meant for who writes here.
    event.stopPropagation();
    if (event.key === "Escape") {
      if (!menu.hidden) showMenu(false, true);
      else if (!confirmBar.hidden) ask(false);
      else toggle(false);
    } else if (event.key === "Tab" && full()) trap(event);
  }

  /** In full screen nothing else can be reached: the focus goes round. */
  function trap(event: KeyboardEvent): void {
    const all = [...panel.querySelectorAll<HTMLElement>("button,a,textarea,.log")].filter((one) => one.offsetParent);
    const edge = event.shiftKey ? all[0] : all.at(-1);
    if ((root.getRootNode() as ShadowRoot).activeElement !== edge) return;
    event.preventDefault();
    (event.shiftKey ? all.at(-1) : all[0])?.focus();
  }

  function showMenu(show: boolean, focus = false): void {
    if (menu.hidden === !show) return;
    menu.hidden = !show;
    set(moreButton, "aria-expanded", String(show));
    if (show) menu.querySelector<HTMLElement>("button:not([hidden])")?.focus();
    else if (focus) moreButton.focus();
  }

  function ask(ask: boolean): void {
    confirmBar.hidden = !ask;
    if (ask) confirmBar.querySelector("button")?.focus();
    else input.focus({ preventScroll: true });
  }

  // ------------------------------------------------------------ transcript

  async function download(): Promise<void> {
    const { title } = dress;
    const chat = await talk.everything().catch(() => talk.chat);
    const lines = timeline(chat).map((one) => {
      if (one.kind === "day") return "";
      const who = one.kind === "bubble" ? `${nameOf(one)}: ` : "";
      return `[${moments.stamp(one.at)}] ${who}${one.text}`;
    });
    const text = [`${say("transcript")}: ${title}`, `${location.host}, ${moments.stamp(Date.now())}`, ...lines, ""].join("\n");
    const url = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
    const day = new Date().toISOString().slice(0, 10);
    el("a", { href: url, download: `chat-${day}.txt` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  // -------------------------------------------------------------- the page

  function listen(): void {
    const { signal } = ending;
    document.addEventListener("visibilitychange", () => noticed(), { signal });
    addEventListener("resize", () => fit(), { signal });
    // A phone's keyboard covers the page without resizing it: the panel keeps to what is left.
    for (const name of ["resize", "scroll"]) visualViewport?.addEventListener(name, () => fit(), { signal });
    root.addEventListener("click", (event) => {
      if (!menu.hidden && !event.composedPath().includes(moreButton)) showMenu(false);
    });
  }

  function full(): boolean {
    return matchMedia("(max-width: 480px), (max-height: 460px)").matches;
  }

  function fit(): void {
    set(panel, "aria-modal", isOpen && full() ? "true" : undefined);
    const port = visualViewport;
    if (!port || !isOpen) return;
    panel.style.setProperty("--vv-height", `${port.height}px`);
    panel.style.setProperty("--vv-top", `${port.offsetTop}px`);
    if (stuck) log.scrollTop = log.scrollHeight;
  }
}
