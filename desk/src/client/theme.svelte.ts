// Light, dark, or as the system has it; kept in this browser.
export type ThemeChoice = "system" | "light" | "dark";

const KEY = "foyer.theme";
const ORDER: readonly ThemeChoice[] = ["system", "light", "dark"];

export class Theme {
  choice = $state<ThemeChoice>(load());

  constructor() {
    this.apply();
  }

  next(): void {
    this.choice = ORDER[(ORDER.indexOf(this.choice) + 1) % ORDER.length] ?? "system";
    try {
      localStorage.setItem(KEY, this.choice);
    } catch {
      // It holds until the page is closed.
    }
    this.apply();
  }

  private apply(): void {
    if (this.choice === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.choice;
  }
}

function load(): ThemeChoice {
  try {
    const found = localStorage.getItem(KEY);
    return ORDER.find((one) => one === found) ?? "system";
  } catch {
    return "system";
  }
}
