// Small charts as SVG, which a style sheet colours.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 240;
const HEIGHT = 48;
const POINTS = 120;

function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}

/** An empty chart; beside it stands what it shows, so it says nothing to who cannot see it. */
export function newChart() {
  const svg = shape("svg", {
    class: "chart",
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
    focusable: "false",
  });
  svg.append(shape("path", { class: "area" }), shape("path", { class: "line" }));
  return svg;
}

/** @param {SVGElement} svg @param {number[]} values the newest last, at the right edge */
export function drawChart(svg, values) {
  const shown = values.slice(-POINTS);
  const top = Math.max(...shown, 1e-9) * 1.1;
  const step = WIDTH / (POINTS - 1);
  const left = WIDTH - step * (shown.length - 1);
  const points = shown.map((value, i) => {
    const y = HEIGHT - 1 - (value / top) * (HEIGHT - 2);
    return `${(left + i * step).toFixed(1)} ${y.toFixed(1)}`;
  });
  const line = points.length > 0 ? `M${points.join("L")}` : "";
  svg.querySelector(".line").setAttribute("d", line);
  svg.querySelector(".area").setAttribute("d", line && `${line}L${WIDTH} ${HEIGHT}L${left.toFixed(1)} ${HEIGHT}Z`);
}
