// app.svelte.mjs: prints the Svelte application of the browser tests as one classic script.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { compile } from "svelte/compiler";

const here = fileURLToPath(new URL(".", import.meta.url));
const svelte = {
  name: "svelte",
  setup({ onLoad }) {
    onLoad({ filter: /\.svelte$/ }, async ({ path }) => ({
      contents: compile(await readFile(path, "utf8"), { filename: path, css: "none" }).js.code,
    }));
  },
};
const { outputFiles } = await build({
  stdin: {
    contents: `
      import App from "./app.svelte";
      window.startApp = (client) => new App({ target: document.body, props: { client } });`,
    resolveDir: here,
  },
  bundle: true,
  write: false,
  format: "iife",
  plugins: [svelte],
});
process.stdout.write(outputFiles[0].text);
