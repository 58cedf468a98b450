import { readdirSync } from "node:fs";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// Every page of this folder, except those that try the widget: index.html is the desk.
const pages = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith(".html") && !name.startsWith("widget"))
  .map((name) => `${import.meta.dirname}/${name}`);

export default defineConfig({
  base: "/desk/",
  plugins: [svelte()],
  build: {
    target: "es2022",
    // With light-dark(), which the pages are coloured by.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    outDir: process.env.DIST ?? "dist",
    emptyOutDir: true,
    // Inlined assets would need data: addresses in the Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: pages },
  },
  server: {
    // A front door that runs already; `npm run dev` then shows the desk at http://127.0.0.1:5173/desk/.
    host: "127.0.0.1",
    proxy: {
      "/desk/api": "http://127.0.0.1:8040",
      "/desk/ws": { target: "ws://127.0.0.1:8040", ws: true },
      "/chat": { target: "http://127.0.0.1:8040", ws: true },
    },
  },
  test: {
    // PLAYED names what a real front door told: tests/desk/test_reducer.py.
    include: process.env.PLAYED ? ["src/**/*.played.ts"] : ["src/**/*.test.ts"],
    environment: "node",
  },
});
