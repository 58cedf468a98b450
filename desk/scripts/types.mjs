// Makes TypeScript types from src/protocol/schemas.json, which `python -m frontdoor.schemas` printed.
// What the front door publishes is what the pages are checked against: a change of protocol breaks the build here.
import { readFileSync, writeFileSync } from "node:fs";
import { compile } from "json-schema-to-typescript";

const folder = new URL("../src/protocol/", import.meta.url);
const published = JSON.parse(readFileSync(new URL("schemas.json", folder), "utf8"));

// Titles of single fields would become a type each.
function withoutTitles(schema) {
  if (Array.isArray(schema)) return schema.map(withoutTitles);
  if (schema === null || typeof schema !== "object") return schema;
  const kept = Object.entries(schema).filter(([key, value]) => !(key === "title" && typeof value === "string"));
  return Object.fromEntries(kept.map(([key, value]) => [key, withoutTitles(value)]));
}

// Definitions inside of definitions come to the top, where every schema finds them.
function flattened(schemas) {
  const flat = {};
  for (const [name, { $defs = {}, ...schema }] of Object.entries(schemas)) {
    Object.assign(flat, $defs, { [name]: schema });
  }
  return flat;
}

for (const [room, schemas] of Object.entries(published)) {
  const definitions = withoutTitles(flattened(schemas));
  const whole = { title: "Everything", type: "object", additionalProperties: false, $defs: definitions };
  const source = await compile(whole, "Everything", {
    unreachableDefinitions: true,
    additionalProperties: false,
    bannerComment: "// Made from the published JSON Schemas by scripts/types.mjs. Not committed.",
    format: false,
  });
  writeFileSync(new URL(`${room}.ts`, folder), source.replaceAll(/This interface was referenced by.*\n.*\n/g, ""));
}
