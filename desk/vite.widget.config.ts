import { defineConfig } from "vite";

// The chat widget: one classic script without run-time dependencies, so that a page needs one <script> tag.
export default defineConfig({
  build: {
    target: "es2022",
    outDir: process.env.DIST ?? "dist",
    emptyOutDir: false,
    lib: { entry: "src/widget/main.ts", formats: ["iife"], name: "FoyerChatBundle", fileName: () => "widget.js" },
  },
  publicDir: false,
});
