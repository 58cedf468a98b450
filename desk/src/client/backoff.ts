/** Seconds to wait before attempt n (from 0), doubled each time up to `most`, half of it by chance: many desks that were
 * cut off together do not come back together. */
export function backoff(attempt: number, random: () => number, first = 0.5, most = 20): number {
  const full = Math.min(most, first * 2 ** Math.min(attempt, 16));
  return full / 2 + (full / 2) * random();
}
