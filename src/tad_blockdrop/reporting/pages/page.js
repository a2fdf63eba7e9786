"use strict";
// Draws the figures embedded in the page, in the colours of the reader's light or dark mode.
const dark = matchMedia("(prefers-color-scheme: dark)");
const mouse = matchMedia("(pointer: fine)").matches;

function colours(layout) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const change = { "font.color": colour("--ink"), "hoverlabel.bgcolor": colour("--shade"),
                   "hoverlabel.font.color": colour("--ink"), "hoverlabel.bordercolor": colour("--line") };
  for (const key of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
    change[key + ".gridcolor"] = colour("--line");
  }
  return change;
}

const plots = [...document.querySelectorAll(".plot")];
for (const plot of plots) {
  const { data, layout } = JSON.parse(plot.firstElementChild.textContent);
  // A finger scrolls the page; only a mouse may drag to zoom.
  layout.dragmode = mouse ? "zoom" : false;
  Plotly.newPlot(plot, data, layout, { responsive: true, displaylogo: false, displayModeBar: false })
    .then(() => Plotly.relayout(plot, colours(layout)));
}
dark.addEventListener("change", () => plots.forEach((plot) => Plotly.relayout(plot, colours(plot.layout))));

// A plot drawn in a hidden tab has no width until its tab is chosen.
for (const tab of document.querySelectorAll(".tabs input")) {
  tab.addEventListener("change", () =>
    plots.filter((plot) => plot.offsetParent).forEach((plot) => Plotly.Plots.resize(plot)));
}
