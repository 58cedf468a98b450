// Making elements without markup from strings: what customers write is only ever a text node.

type Child = Node | string | null | undefined | false;
type Values = Record<string, unknown>;

/** An element; `on…` values listen, others are attributes (false and undefined leave them out). */
export function el<K extends keyof HTMLElementTagNameMap>(name: K, values: Values = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(values)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value as EventListener);
    else set(node, key, value);
  }
  node.append(...children.filter((child): child is Node | string => !!child));
  return node;
}

/** Sets or removes an attribute, and touches nothing that is as it should be. */
export function set(node: Element, name: string, value: unknown): void {
  if (value === false || value === undefined || value === null) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (node.getAttribute(name) !== text) node.setAttribute(name, text);
}

/** Sets text, and leaves a node alone that holds it already: live regions would say it again. */
export function put(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  chat: "M4 11.5C4 7.4 7.6 4.2 12 4.2s8 3.2 8 7.3-3.6 7.3-8 7.3c-1 0-2-.2-2.9-.5L4.9 20l1-3.4A7 7 0 0 1 4 11.5M9 11.6h.01M12 11.6h.01M15 11.6h.01",
  down: "m6 9.5 6 6 6-6",
  more: "M12 5.5v.6M12 11.7v.6M12 17.9v.6",
  send: "M12 19V5.5M6 11l6-6 6 6",
  save: "M12 4.5v10M7.5 10.5 12 15l4.5-4.5M5 19.5h14",
  end: "m6.5 6.5 11 11M17.5 6.5l-11 11",
  // The house's own mark: a doorway, for the assistant.
  door: "M7 20v-9.5a5 5 0 0 1 10 0V20M4.5 20h15M13.6 14.4h.01",
};

export function icon(name: keyof typeof ICONS): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.append(path);
  return svg;
}
