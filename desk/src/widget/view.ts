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

export interface Opened {
  (open: boolean): void;
}

type Bubble = Extract<Entry, { kind: "bubble" }>;

const MOST = 4096;
const NEAR = 80;
/** A connection that comes back within this time is not worth a word. */
const CALM_MS = 1500;

export class View {
  readonly root = el("div", { class: "root" });
  readonly #talk: Talk;
  readonly #dress: Dress;
  /** Remembers the draft and the open panel of this tab over a reload. */
  readonly #box: Box;
  readonly #toggled: Opened;
  readonly #ending = new AbortController();
  readonly #rows = new Map<string, { node: HTMLElement; told: string }>();
  #open = false;
  #drawn = false;
  #stuck = true;
  #offAt = 0;
  #calm: ReturnType<typeof setTimeout> | undefined;
  #offered = "";
  #shownSeq = 0;

  readonly #badge = el("span", { class: "badge", "aria-hidden": "true", hidden: true });
  readonly #glyph = el("span", { class: "glyph" }, icon("chat"));
  readonly #launcher = el("button", { class: "launcher", part: "launcher", type: "button", "aria-expanded": "false" }, this.#glyph, this.#badge);
  readonly #face = el("span", { class: "avatar", "aria-hidden": "true" });
  readonly #state = el("p", { class: "state" });
  readonly #menu = el("div", { class: "menu", id: "menu", hidden: true });
  readonly #more: HTMLButtonElement;
  readonly #end: HTMLButtonElement;
  readonly #banner = el("div", { class: "banner", role: "status", hidden: true });
  readonly #bannerText = el("span");
  readonly #bannerDo = el("button", { class: "link", type: "button" });
  readonly #older: HTMLButtonElement;
  readonly #entries = el("div");
  readonly #closing = el("p", { class: "notice", hidden: true });
  readonly #dots: HTMLElement;
  readonly #choices: HTMLElement;
  readonly #log: HTMLElement;
  readonly #newest: HTMLButtonElement;
  readonly #confirm: HTMLElement;
  readonly #input: HTMLTextAreaElement;
  readonly #left = el("div", { class: "left", "aria-live": "polite", hidden: true });
  readonly #send: HTMLButtonElement;
  readonly #panel: HTMLElement;

  constructor(talk: Talk, dress: Dress, box: Box, toggled: Opened) {
    this.#talk = talk;
    this.#dress = dress;
    this.#box = box;
    this.#toggled = toggled;
    const { say } = dress;
    const button = (label: string, name: Parameters<typeof icon>[0], run: () => void): HTMLButtonElement =>
      el("button", { class: "tool", type: "button", "aria-label": label, title: label, onclick: run }, icon(name));

    this.#more = button(say("more"), "more", () => this.#showMenu(this.#menu.hidden));
    set(this.#more, "aria-expanded", "false");
    set(this.#more, "aria-controls", "menu");
    const item = (word: "download" | "end", name: "save" | "end", run: () => void): HTMLButtonElement =>
      el("button", { type: "button", onclick: () => (this.#showMenu(false), run()) }, icon(name), say(word));
    this.#end = item("end", "end", () => this.#ask(true));
    this.#menu.append(item("download", "save", () => void this.#download()), this.#end);

    this.#older = el("button", { class: "link older", type: "button", hidden: true, onclick: () => void this.#earlier() }, say("earlier"));
    this.#dots = el("div", { class: "row them first last", "aria-hidden": "true", hidden: true });
    this.#choices = el("div", { class: "choices", role: "group", "aria-label": say("choices") });
    this.#log = el(
      "div",
      { class: "log", role: "log", "aria-live": "polite", "aria-label": say("log"), tabindex: 0, onscroll: () => this.#scrolled() },
      this.#older,
      this.#greeting(),
      this.#entries,
      this.#dots,
      this.#closing,
      this.#choices,
    );
    this.#newest = el("button", { class: "newest", type: "button", hidden: true, onclick: () => this.#toEnd() }, say("newest"));
    this.#confirm = el(
      "div",
      { class: "confirm", role: "alertdialog", "aria-label": say("endAsk"), hidden: true },
      el("span", {}, say("endAsk")),
      el("button", { class: "link", type: "button", onclick: () => this.#ask(false) }, say("keep")),
      el("button", { class: "link bad", type: "button", onclick: () => (this.#talk.end(), this.#ask(false)) }, say("end")),
    );
    this.#input = el("textarea", {
      rows: 1,
      maxlength: MOST,
      placeholder: say("write"),
      "aria-label": say("write"),
      enterkeyhint: "send",
      autocomplete: "off",
      dir: "auto",
      oninput: () => this.#typed(),
      onkeydown: (event: KeyboardEvent) => this.#key(event),
    });
    this.#send = el("button", { class: "send", type: "submit", "aria-label": say("send") }, icon("send"));
    this.#banner.append(this.#bannerText, this.#bannerDo);
    this.#panel = el(
      "section",
      { class: "panel", part: "panel", id: "panel", role: "dialog", "aria-label": dress.title, hidden: true, onkeydown: (event: KeyboardEvent) => this.#keys(event) },
      el(
        "header",
        { part: "header" },
        this.#face,
        el("div", { class: "who" }, el("h2", { dir: "auto" }, dress.title), this.#state),
        this.#more,
        button(say("close"), "down", () => this.toggle(false)),
      ),
      this.#menu,
      this.#banner,
      this.#log,
      this.#confirm,
      el(
        "form",
        { onsubmit: (event: Event) => (event.preventDefault(), this.#submit()) },
        this.#newest,
        el("div", { class: "field" }, this.#input, this.#left),
        this.#send,
      ),
    );
    set(this.#launcher, "aria-controls", "panel");
    this.#launcher.addEventListener("click", () => this.toggle(!this.#open));
    this.root.append(this.#launcher, this.#panel);
    this.#input.value = box.getItem("foyer:draft") ?? "";
    this.#listen();
    this.draw(talk.chat);
    if (box.getItem("foyer:open")) this.toggle(true, false);
  }

  get open(): boolean {
    return this.#open;
  }

  /** Opens or closes the panel; the focus goes along, unless the page did it by itself. */
  toggle(open: boolean, focus = true): void {
    if (open === this.#open) return;
    this.#open = open;
    this.#panel.hidden = !open;
    this.root.classList.toggle("open", open);
    set(this.#launcher, "aria-expanded", open);
    this.#glyph.replaceChildren(icon(open ? "down" : "chat"));
    if (open) this.#box.setItem("foyer:open", "1");
    else this.#box.removeItem("foyer:open");
    this.#showMenu(false);
    this.#confirm.hidden = true;
    this.#fit();
    this.draw(this.#talk.chat);
    if (open) {
      this.#talk.shown();
      this.#grow();
      this.#toEnd();
      if (focus) this.#input.focus({ preventScroll: true });
    } else if (focus) this.#launcher.focus({ preventScroll: true });
    this.#toggled(open);
  }

  stop(): void {
    this.#ending.abort();
    clearTimeout(this.#calm);
    this.root.remove();
  }

  // ------------------------------------------------------------- drawing

  draw(chat: Chat): void {
    this.#drawBadge();
    if (!this.#open) return;
    const end = this.#stuck;
    // What was said before is not news.
    set(this.#log, "aria-busy", chats.lastSeq(chat) < chat.history ? "true" : undefined);
    this.#drawHead(chat);
    this.#drawBanner(chat);
    this.#drawEntries(chat);
    this.#drawDots(chat);
    this.#drawChoices(chat);
    this.#drawEnd(chat);
    const seq = chats.lastSeq(chat);
    if (end) this.#toEnd();
    else if (seq > this.#shownSeq && this.#drawn) this.#newest.hidden = chats.unread(chat, this.#shownSeq) === 0 && this.#newest.hidden;
    this.#shownSeq = seq;
    this.#drawn = true;
    this.#noticed();
  }

  #drawBadge(): void {
    const count = this.#talk.unread;
    this.#badge.hidden = !count || this.#open;
    put(this.#badge, count > 99 ? "99+" : String(count));
    const { say } = this.#dress;
    const open = count === 1 ? say("openUnread1") : count ? say("openUnread", { n: count }) : say("open");
    set(this.#launcher, "aria-label", this.#open ? say("close") : open);
  }

  #drawHead(chat: Chat): void {
    const { say } = this.#dress;
    const agent = chat.control === "agent" ? chat.agent || say("agent") : "";
    const state =
      chat.link === "connecting"
        ? say("connecting")
        : agent
          ? say("subAgent", { name: short(agent) })
          : chat.control === "queue"
            ? say("subQueue")
            : chat.ended
              ? say("subClosed")
              : say("subAssistant");
    put(this.#state, state);
    this.#wear(this.#face, agent);
    const open = chat.control !== "closed" && chat.link === "on";
    this.#end.hidden = !open;
  }

  /** Shows an avatar: letters for a person, the doorway for the assistant. */
  #wear(avatar: HTMLElement, name: string): void {
    if (avatar.dataset["of"] === name) return;
    avatar.dataset["of"] = name;
    avatar.replaceChildren(name ? initials(name) : icon("door"));
  }

  #drawBanner(chat: Chat): void {
    const { say } = this.#dress;
    if (chat.link === "off") this.#offAt ||= Date.now();
    else this.#offAt = 0;
    clearTimeout(this.#calm);
    const offFor = this.#offAt ? Date.now() - this.#offAt : 0;
    if (this.#offAt && offFor < CALM_MS) {
      this.#calm = setTimeout(() => this.draw(this.#talk.chat), CALM_MS - offFor + 10);
    }
    let text = "";
    let label = "";
    let run = (): void => undefined;
    if (chat.link === "refused") text = say("refused");
    else if (chat.link === "replaced") {
      [text, label, run] = [say("replaced"), say("reconnect"), () => this.#talk.reconnect()];
    } else if (offFor >= CALM_MS) text = say("offline");
    else if (chat.control === "queue" && chat.link === "on") {
      const wait = chat.wait === null ? "" : `, ${say("wait", { n: Math.max(1, Math.round(chat.wait / 60)) })}`;
      const place = chat.place === 1 ? say("place1") : chat.place ? say("place", { n: chat.place }) : say("subQueue");
      [text, label, run] = [place + wait, say("stay"), () => this.#talk.stopWaiting()];
    }
    this.#banner.hidden = !text;
    this.#banner.classList.toggle("warn", chat.link !== "on");
    put(this.#bannerText, text);
    put(this.#bannerDo, label);
    this.#bannerDo.hidden = !label;
    this.#bannerDo.onclick = run;
  }

  #drawEntries(chat: Chat): void {
    const entries = timeline(chat);
    this.#older.hidden = !chat.more;
    (this.#older.nextElementSibling as HTMLElement).hidden = chat.more;
    const left = new Set(this.#rows.keys());
    let place: ChildNode | null = this.#entries.firstChild;
    for (const entry of entries) {
      left.delete(entry.key);
      const row = this.#row(entry);
      if (row === place) place = place.nextSibling;
      else this.#entries.insertBefore(row, place);
    }
    for (const key of left) {
      this.#rows.get(key)?.node.remove();
      this.#rows.delete(key);
    }
  }

  #row(entry: Entry): HTMLElement {
    const told = JSON.stringify(entry);
    const known = this.#rows.get(entry.key);
    if (known?.told === told) return known.node;
    const node = known?.node ?? this.#made(entry);
    if (entry.kind === "bubble") this.#dressBubble(node, entry);
    this.#rows.set(entry.key, { node, told });
    return node;
  }

  #made(entry: Entry): HTMLElement {
    if (entry.kind === "day") return el("div", { class: "day" }, this.#dress.moments.day(entry.at, Date.now()));
    if (entry.kind === "notice") return el("p", { class: "notice", dir: "auto" }, entry.text);
    const who = this.#nameOf(entry);
    const bubble = el("div", { class: "bubble", dir: "auto" }, el("span", { class: "sr" }, `${this.#dress.say("says", { name: short(who) })} `));
    for (const piece of pieces(entry.text)) {
      const link = piece.href && el("a", { href: piece.href, target: "_blank", rel: "noopener noreferrer nofollow" }, piece.text);
      bubble.append(link || piece.text);
    }
    const avatar = el("span", { class: "avatar", "aria-hidden": "true" });
    this.#wear(avatar, entry.name);
    const node = el("div", {}, avatar, el("div", { class: "body" }, el("div", { class: "name", dir: "auto", title: entry.name }, entry.name), bubble, el("div", { class: "meta" })));
    if (this.#drawn) node.classList.add("new");
    return node;
  }

  #nameOf(entry: Bubble): string {
    const { say } = this.#dress;
    return entry.mine ? say("you") : entry.name || say(entry.author === "agent" ? "agent" : "assistant");
  }

  #dressBubble(node: HTMLElement, entry: Bubble): void {
    const { say, moments } = this.#dress;
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
        el("button", { class: "link", type: "button", onclick: () => this.#talk.retry(id) }, say("retry")),
        el("button", { class: "link", type: "button", onclick: () => this.#talk.discard(id) }, say("discard")),
      );
      return;
    }
    const time = el("time", { datetime: new Date(entry.at).toISOString() }, moments.time(entry.at));
    meta.replaceChildren(time, status ? ` · ${say(status)}` : "");
  }

  #drawDots(chat: Chat): void {
    this.#dots.hidden = !chat.typing;
    if (!chat.typing) return;
    const { kind, name } = chat.typing;
    if (!this.#dots.firstChild) {
      const dots = el("div", { class: "bubble dots" }, el("i"), el("i"), el("i"));
      this.#dots.append(el("span", { class: "avatar" }), el("div", { class: "body" }, dots));
    }
    this.#wear(this.#dots.firstChild as HTMLElement, kind === "agent" ? name || chat.agent || this.#dress.say("agent") : "");
  }

  #drawChoices(chat: Chat): void {
    const message = chats.offer(chat);
    const fresh = !chat.messages.length && !chat.pending.length && chat.history === 0;
    const offered = message ? `m${message.seq}` : fresh ? "s" : "";
    if (offered === this.#offered) return;
    this.#offered = offered;
    const chip = (title: string, take: () => void): HTMLElement =>
      el("button", { type: "button", dir: "auto", onclick: () => (take(), this.#afterChoice()) }, title);
    const chips = message
      ? (message.content.choices ?? []).map((one) => chip(one.title, () => this.#talk.choose(message.seq, one.payload, one.title)))
      : fresh
        ? this.#dress.suggestions.map((title) => chip(title, () => this.#talk.write(title)))
        : [];
    this.#choices.hidden = !chips.length;
    this.#choices.replaceChildren(...chips);
  }

  #afterChoice(): void {
    this.#toEnd();
    this.#input.focus({ preventScroll: true });
  }

  #drawEnd(chat: Chat): void {
    const { say } = this.#dress;
    const shown = !!chat.ended && chat.messages.length > 0 && !chat.pending.length;
    this.#closing.hidden = !shown;
    if (shown) put(this.#closing, say(chat.ended === "customer_left" ? "endedYou" : chat.ended === "silence" ? "endedQuiet" : "ended"));
    if (chat.control === "closed") this.#confirm.hidden = true;
  }

  #greeting(): HTMLElement {
    const { greeting } = this.#dress;
    const avatar = el("span", { class: "avatar", "aria-hidden": "true" });
    this.#wear(avatar, "");
    const bubble = el("div", { class: "bubble", dir: "auto" }, greeting);
    return el("div", {}, el("div", { class: "row them first last", hidden: !greeting }, avatar, el("div", { class: "body" }, bubble)));
  }

  // ------------------------------------------------------------ scrolling

  #scrolled(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    this.#stuck = scrollHeight - scrollTop - clientHeight < NEAR;
    if (this.#stuck) this.#newest.hidden = true;
    this.#noticed();
  }

  #toEnd(): void {
    this.#stuck = true;
    this.#newest.hidden = true;
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#noticed();
  }

  /** What is on the screen of a page that is looked at has been seen. */
  #noticed(): void {
    if (this.#open && this.#stuck && document.visibilityState === "visible") this.#talk.seen();
  }

  async #earlier(): Promise<void> {
    const fromEnd = this.#log.scrollHeight - this.#log.scrollTop;
    set(this.#older, "aria-disabled", "true");
    try {
      this.#stuck = false;
      await this.#talk.earlier();
      this.#log.scrollTop = this.#log.scrollHeight - fromEnd;
    } catch {
      // The button stays, to be tried again.
    }
    set(this.#older, "aria-disabled", undefined);
  }

  // -------------------------------------------------------------- writing

  #typed(): void {
    this.#box.setItem("foyer:draft", this.#input.value);
    this.#grow();
    this.#talk.typing();
  }

  #grow(): void {
    const { style, value } = this.#input;
    style.height = "auto";
    style.height = `${this.#input.scrollHeight + 2}px`;
    this.#send.classList.toggle("empty", !value.trim());
    const left = MOST - value.length;
    this.#left.hidden = left > 300;
    put(this.#left, left > 300 ? "" : this.#dress.say("left", { n: left }));
    if (this.#stuck) this.#log.scrollTop = this.#log.scrollHeight;
  }

  #submit(): void {
    const text = this.#input.value.trim();
    this.#input.focus({ preventScroll: true });
    if (!text) return;
    this.#input.value = "";
    this.#box.removeItem("foyer:draft");
    this.#grow();
    this.#stuck = true;
    this.#talk.write(text);
  }

  #key(event: KeyboardEvent): void {
    // While a character is being composed, Enter chooses it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.#submit();
  }

  // ----------------------------------------------------------------- keys

  #keys(event: KeyboardEvent): void {
    // The page's own shortcuts are not meant for who writes here.
    event.stopPropagation();
    if (event.key === "Escape") {
      if (!this.#menu.hidden) this.#showMenu(false, true);
      else if (!this.#confirm.hidden) this.#ask(false);
      else this.toggle(false);
    } else if (event.key === "Tab" && this.#full()) this.#trap(event);
  }

  /** In full screen nothing else can be reached: the focus goes round. */
  #trap(event: KeyboardEvent): void {
    const all = [...this.#panel.querySelectorAll<HTMLElement>("button,a,textarea,.log")].filter((one) => one.offsetParent);
    const edge = event.shiftKey ? all[0] : all.at(-1);
    if ((this.root.getRootNode() as ShadowRoot).activeElement !== edge) return;
    event.preventDefault();
    (event.shiftKey ? all.at(-1) : all[0])?.focus();
  }

  #showMenu(show: boolean, focus = false): void {
    if (this.#menu.hidden === !show) return;
    this.#menu.hidden = !show;
    set(this.#more, "aria-expanded", String(show));
    if (show) this.#menu.querySelector<HTMLElement>("button:not([hidden])")?.focus();
    else if (focus) this.#more.focus();
  }

  #ask(ask: boolean): void {
    this.#confirm.hidden = !ask;
    if (ask) this.#confirm.querySelector("button")?.focus();
    else this.#input.focus({ preventScroll: true });
  }

  // ------------------------------------------------------------ transcript

  async #download(): Promise<void> {
    const { say, moments, title } = this.#dress;
    const chat = await this.#talk.everything().catch(() => this.#talk.chat);
    const lines = timeline(chat).map((one) => {
      if (one.kind === "day") return "";
      const who = one.kind === "bubble" ? `${this.#nameOf(one)}: ` : "";
      return `[${moments.stamp(one.at)}] ${who}${one.text}`;
    });
    const text = [`${say("transcript")}: ${title}`, `${location.host}, ${moments.stamp(Date.now())}`, ...lines, ""].join("\n");
    const url = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
    const day = new Date().toISOString().slice(0, 10);
    el("a", { href: url, download: `chat-${day}.txt` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  // -------------------------------------------------------------- the page

  #listen(): void {
    const { signal } = this.#ending;
    document.addEventListener("visibilitychange", () => this.#noticed(), { signal });
    addEventListener("resize", () => this.#fit(), { signal });
    // A phone's keyboard covers the page without resizing it: the panel keeps to what is left.
    for (const name of ["resize", "scroll"]) visualViewport?.addEventListener(name, () => this.#fit(), { signal });
    this.root.addEventListener("click", (event) => {
      if (!this.#menu.hidden && !event.composedPath().includes(this.#more)) this.#showMenu(false);
    });
  }

  #full(): boolean {
    return matchMedia("(max-width: 480px), (max-height: 460px)").matches;
  }

  #fit(): void {
    set(this.#panel, "aria-modal", this.#open && this.#full() ? "true" : undefined);
    const port = visualViewport;
    if (!port || !this.#open) return;
    this.#panel.style.setProperty("--vv-height", `${port.height}px`);
    this.#panel.style.setProperty("--vv-top", `${port.offsetTop}px`);
    if (this.#stuck) this.#log.scrollTop = this.#log.scrollHeight;
  }
}
