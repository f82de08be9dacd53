// A small chart: how lines have gone in the last two minutes. The numbers stand beside it.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600;
const HEIGHT = 120;
const POINTS = 120;

/** `lines`: the names of the classes of the lines. `draw(series)`: a list of numbers for each. */
export class Chart {
  constructor(label, lines) {
    this.label = label;
    this.frame = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.frame.setAttribute("class", "chart");
    this.paths = lines.map((name) => {
      const path = make("path", {});
      path.setAttribute("class", name);
      return path;
    });
    this.frame.append(...this.paths);
  }

  draw(series) {
    const top = Math.max(1, ...series.flat());
    series.forEach((values, at) => this.paths[at].setAttribute("d", pathOf(values, top)));
    this.frame.setAttribute("aria-label", `${this.label}, at most ${top}`);
    return top;
  }
}

/** The newest value is at the right edge. */
function pathOf(values, top) {
  const step = WIDTH / (POINTS - 1);
  return values.map((value, at) => {
    const x = WIDTH - (values.length - 1 - at) * step;
    const y = HEIGHT - 2 - (value / top) * (HEIGHT - 4);
    return `${at === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
  }).join("");
}

function make(tag, attributes) {
  const found = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
  return found;
}
