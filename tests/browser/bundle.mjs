// bundle.mjs FILE SRCDIR: prints a page's program (.jsx, .js, .svelte) as one classic script.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const [file, srcdir] = process.argv.slice(2);
const tools = `${srcdir}/tests/npm`;
const require = createRequire(`${tools}/package.json`);
const { build } = require("esbuild");
const { compile } = await import(require.resolve("svelte/compiler"));

const svelte = {
  name: "svelte",
  setup({ onLoad }) {
    onLoad({ filter: /\.svelte$/ }, async ({ path }) => ({
      contents: compile(await readFile(path, "utf8"), { filename: path, css: "none" }).js.code,
      resolveDir: tools,
    }));
  },
};
const entry = file.endsWith(".svelte")
  ? `import App from "${file}"; new App({ target: document.getElementById("app") });`
  : `import "${file}";`;
const { outputFiles } = await build({
  stdin: { contents: entry, resolveDir: tools },
  alias: {
    "presence-client": `${srcdir}/src/web/presence.js`,
    "presence-client/react": `${srcdir}/src/web/react.js`,
    react: `${tools}/node_modules/react`,
    "react-dom": `${tools}/node_modules/react-dom`,
  },
  nodePaths: [`${tools}/node_modules`],
  define: {
    "process.env.NODE_ENV": '"production"',
    __VUE_OPTIONS_API__: "true",
    __VUE_PROD_DEVTOOLS__: "false",
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false",
  },
  bundle: true,
  write: false,
  format: "esm",
  jsx: "automatic",
  plugins: [svelte],
});
process.stdout.write(outputFiles[0].text);
