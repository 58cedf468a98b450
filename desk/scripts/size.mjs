// Holds the widget to its budget: customers' sites load it.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT = 15 * 1024;
const folder = process.env.DIST ?? "dist";
const size = gzipSync(readFileSync(new URL(`../${folder}/widget.js`, import.meta.url)), { level: 9 }).length;
const line = `widget.js: ${(size / 1024).toFixed(1)} kB gzip, limit ${LIMIT / 1024} kB`;
if (size > LIMIT) {
  console.error(`${line}: too large`);
  process.exit(1);
}
console.log(line);
