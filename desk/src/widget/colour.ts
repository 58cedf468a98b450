// Contrast, so that any accent a site chooses stays readable.

export type Colour = readonly [number, number, number];

/** Red, green and blue (0 to 255) of a computed colour; null when it is written in another space. */
export function parsed(computed: string): Colour | null {
  const numbers = (computed.match(/[\d.]+(?:e-?\d+)?/g) ?? []).slice(0, 3).map(Number);
  if (numbers.length < 3) return null;
  if (computed.startsWith("rgb")) return numbers as unknown as Colour;
  return computed.startsWith("color(srgb") ? (numbers.map((part) => part * 255) as unknown as Colour) : null;
}

function luminance(colour: Colour): number {
  const [r, g, b] = colour.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** The contrast ratio of two colours, 1 to 21. */
export function contrast(a: Colour, b: Colour): number {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

const WHITE: Colour = [255, 255, 255];
const INK: Colour = [20, 20, 20];

/** White or near-black: what reads better on this colour. */
export function readableOn(colour: Colour): Colour {
  return contrast(colour, WHITE) >= Math.min(4.5, contrast(colour, INK)) ? WHITE : INK;
}

/** The colour, moved towards white or black as far as it needs to be read on `ground`. */
export function readable(colour: Colour, ground: Colour, ratio = 4.6): Colour {
  const goal = luminance(ground) > 0.18 ? ([0, 0, 0] as const) : WHITE;
  for (let step = 0; step <= 20; step++) {
    const mixed = colour.map((part, index) => part + ((goal[index] as number) - part) * (step / 20)) as unknown as Colour;
    if (contrast(mixed, ground) >= ratio) return mixed;
  }
  return goal;
}

export function css(colour: Colour): string {
  return `rgb(${colour.map(Math.round).join(" ")})`;
}
