// Which rows of a long list are drawn: those in view and some around them. Heights are measured once drawn, guessed before.

export interface Slice {
  readonly from: number;
  /** Behind the last one. */
  readonly to: number;
  /** Pixels above the first and below the last one. */
  readonly above: number;
  readonly below: number;
}

/** Rows of one height. */
export function evenSlice(count: number, height: number, top: number, view: number, around = 6): Slice {
  const from = Math.min(Math.max(0, Math.floor(top / height) - around), Math.max(0, count - 1));
  const to = Math.min(count, Math.ceil((top + view) / height) + around);
  const last = Math.max(from, to);
  return { from, to: last, above: from * height, below: (count - last) * height };
}

/** Rows of many heights, with the sum of those before each. */
export class Heights {
  private sums: Float64Array = new Float64Array(1);
  private keys: readonly string[] = [];
  private readonly measured = new Map<string, number>();

  constructor(private readonly guess: (key: string) => number) {}

  get count(): number {
    return this.keys.length;
  }

  get total(): number {
    return this.sums[this.count] ?? 0;
  }

  /** Another list; what was measured stays known. */
  list(keys: readonly string[]): void {
    this.keys = keys;
    this.sum(0);
  }

  /** Drawn rows have these heights. True when one of them is another than was known. */
  measure(found: Iterable<readonly [string, number]>): boolean {
    let changed = false;
    for (const [key, height] of found) {
      if (Math.abs((this.measured.get(key) ?? -1) - height) < 0.5) continue;
      this.measured.set(key, height);
      changed = true;
    }
    if (changed) this.sum(0);
    return changed;
  }

  /** Where row `at` begins. */
  top(at: number): number {
    return this.sums[Math.min(Math.max(0, at), this.count)] ?? 0;
  }

  /** The row at this distance from the top. */
  at(offset: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.sums[middle + 1] ?? 0) > offset) high = middle;
      else low = middle + 1;
    }
    return Math.min(low, Math.max(0, this.count - 1));
  }

  slice(top: number, view: number, around: number): Slice {
    if (this.count === 0) return { from: 0, to: 0, above: 0, below: 0 };
    const from = this.at(Math.max(0, top - around));
    const to = Math.min(this.count, this.at(top + view + around) + 1);
    return { from, to, above: this.top(from), below: this.total - this.top(to) };
  }

  private sum(from: number): void {
    if (this.sums.length < this.count + 1) this.sums = new Float64Array(Math.max(64, 2 * this.count));
    for (let at = from; at < this.count; at += 1) {
      const key = this.keys[at] ?? "";
      this.sums[at + 1] = (this.sums[at] ?? 0) + (this.measured.get(key) ?? this.guess(key));
    }
  }
}
