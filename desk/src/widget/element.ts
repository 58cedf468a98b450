// <foyer-chat>: the widget as an element, configured by attributes, without access from the page's styles.
import { safeBox, Keep } from "./keep";
import { moments } from "./moments";
import sheet from "./style.css?inline";
import { type Identity, Talk } from "./talk";
import { type View, view } from "./view";
import { words } from "./words";

/** Where this script came from; an element that names no server talks to that one. */
const home = (document.currentScript as HTMLScriptElement | null)?.src ?? "";

const styles = new CSSStyleSheet();
styles.replaceSync(sheet);

const LOCALE = /^[a-z]{2,8}([-_][a-z0-9]{1,8})*$/i;

export class FoyerChat extends HTMLElement {
  static readonly observedAttributes = ["title-text", "greeting", "suggestions", "locale", "accent", "theme", "account", "server"];

  #talk: Talk | null = null;
  #view: View | null = null;
  #unread = -1;
  readonly #own = new CSSStyleSheet();
  readonly #dark = matchMedia("(prefers-color-scheme: dark)");
  readonly #paint = (): void => this.#colours();

  connectedCallback(): void {
    if (this.#talk) return;
    const shadow = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    shadow.adoptedStyleSheets = [styles, this.#own];
    const base = this.#base();
    const account = this.getAttribute("account") || "main";
    const keep = new Keep(safeBox("localStorage"), `${base}:${account}`);
    this.#talk = new Talk({ base, account, locale: this.#locale() }, keep, {
      changed: (chat) => {
        this.#view?.draw(chat);
        this.#count();
      },
      event: (name, detail) => this.#tell(name, detail),
    });
    this.#show();
    this.#dark.addEventListener("change", this.#paint);
  }

  disconnectedCallback(): void {
    // Moving an element disconnects it for a moment.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#view?.stop();
      this.#talk?.stop();
      this.#view = this.#talk = null;
      this.#dark.removeEventListener("change", this.#paint);
    });
  }

  attributeChangedCallback(name: string): void {
    if (!this.#talk) return;
    if (name === "account" || name === "server") return;
    if (name === "accent" || name === "theme") this.#colours();
    else this.#show();
  }

  // ------------------------------------------------------------ for pages

  get isOpen(): boolean {
    return this.#view?.isOpen() ?? false;
  }

  get unread(): number {
    return this.#talk?.unread ?? 0;
  }

  open(): void {
    this.#view?.toggle(true);
  }

  close(): void {
    this.#view?.toggle(false);
  }

  toggle(): void {
    this.#view?.toggle(!this.isOpen);
  }

  /** Who the customer is: a JWT signed by the site, or a function that fetches one; null signs out. */
  identify(identity: Identity | null): void {
    this.#talk?.identify(identity);
  }

  // -------------------------------------------------------------- details

  #base(): string {
    const given = this.getAttribute("server");
    const url = new URL(given || home || location.href, location.href);
    return given ? url.href.replace(/\/+$/, "") : url.href.replace(/\/chat\/widget\.js.*$|\/?[?#].*$/, "").replace(/\/+$/, "");
  }

  #locale(): string {
    const locale = this.getAttribute("locale") || document.documentElement.lang || navigator.language;
    return LOCALE.test(locale) && locale.length <= 35 ? locale : "en";
  }

  #show(): void {
    const talk = this.#talk as Talk;
    const open = this.isOpen;
    this.#view?.stop();
    const locale = this.#locale();
    const say = words(locale);
    const suggestions = (this.getAttribute("suggestions") ?? "").split("|").map((one) => one.trim());
    this.#view = view(
      talk,
      {
        title: this.getAttribute("title-text") || say("title"),
        greeting: this.getAttribute("greeting") ?? say("greeting"),
        suggestions: suggestions.filter(Boolean),
        say,
        moments: moments(locale, say),
      },
      safeBox("sessionStorage"),
      (opened) => this.#tell(opened ? "open" : "close", {}),
    );
    this.#view.root.lang = locale;
    (this.shadowRoot as ShadowRoot).append(this.#view.root);
    this.#colours();
    if (open) this.#view.toggle(true, false);
    this.#count();
  }

  #colours(): void {
    const theme = this.getAttribute("theme");
    this.#view?.root.classList.toggle("dark", theme === "dark" || (theme !== "light" && this.#dark.matches));
    const accent = this.getAttribute("accent");
    this.#own.replaceSync(accent && CSS.supports("color", accent) ? `:host{--foyer-accent:${accent}}` : "");
  }

  #count(): void {
    const unread = this.unread;
    if (unread === this.#unread) return;
    this.#unread = unread;
    this.#tell("unread", { count: unread });
  }

  #tell(name: string, detail: object): void {
    this.dispatchEvent(new CustomEvent(`foyer:${name}`, { detail, bubbles: true, composed: true }));
  }
}
