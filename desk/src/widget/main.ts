// The script that a page includes: makes the element known, puts one on the page, and offers window.Foyer.
import { FoyerChat } from "./element";
import type { Identity } from "./talk";
import { learn } from "./words";

const script = document.currentScript as HTMLScriptElement | null;
const NAME = "foyer-chat";

if (!customElements.get(NAME)) {
  customElements.define(NAME, FoyerChat);
  const found = (): FoyerChat | null => document.querySelector<FoyerChat>(NAME);
  const api = {
    open: () => found()?.open(),
    close: () => found()?.close(),
    toggle: () => found()?.toggle(),
    /** A JWT that the site signed, or a function that fetches one; null signs out and forgets. */
    identify: (identity: Identity | null) => found()?.identify(identity),
    /** Calls `run` with the detail of each event of this name (open, close, message, unread, control, error); gives what ends it. */
    on: (name: string, run: (detail: unknown) => void) => {
      const heard = (event: Event): void => run((event as CustomEvent).detail);
      document.addEventListener(`foyer:${name}`, heard);
      return () => document.removeEventListener(`foyer:${name}`, heard);
    },
  };
  const given = window as { FoyerWords?: Record<string, object>; Foyer?: typeof api };
  for (const [language, said] of Object.entries(given.FoyerWords ?? {})) learn(language, said);
  given.Foyer = api;
  const place = (): void => {
    if (!found() && script?.dataset["element"] !== "none") {
      const chat = document.createElement(NAME);
      for (const [key, value] of Object.entries(script?.dataset ?? {})) {
        if (value !== undefined) chat.setAttribute(key === "title" ? "title-text" : key, value);
      }
      document.body.append(chat);
    }
    document.dispatchEvent(new CustomEvent("foyer:ready"));
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", place);
  else place();
}
