"use strict";
/* Curves of a training run. window.SCENER1: steps, curves ({title, values}), window. */
(function () {
  const data = window.SCENER1, place = document.getElementById("curves");
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();

  function running(values) {
    let sum = 0, n = 0;
    const kept = [];
    return values.map(function (value) {
      kept.push(value);
      if (value !== null) { sum += value; n += 1; }
      if (kept.length > data.window) { const gone = kept.shift(); if (gone !== null) { sum -= gone; n -= 1; } }
      return n ? sum / n : null;
    });
  }
  window.addEventListener("load", function () {
    if (window.Plotly) { draw(); return; }
    const library = document.createElement("script");
    library.src = "plotly.min.js";
    library.onload = draw;
    setTimeout(() => document.body.append(library), 0);
  });

  function draw() {
    for (const curve of data.curves) {
      const figure = document.createElement("figure"), plot = document.createElement("div");
      plot.className = "plot";
      plot.setAttribute("role", "img");
      plot.setAttribute("aria-label", curve.title + " by step");
      figure.append(plot);
      place.append(figure);
      const axis = { gridcolor: color("--line"), color: color("--soft"), zeroline: false };
      Plotly.newPlot(plot, [
        { x: data.steps, y: curve.values, mode: "markers", marker: { size: 4, color: color("--box"), opacity: 0.45 }, hoverinfo: "x+y" },
        { x: data.steps, y: running(curve.values), mode: "lines", line: { color: color("--predicted"), width: 2 }, hoverinfo: "skip" },
      ], {
        title: { text: curve.title, font: { size: 14, color: color("--fg") } }, margin: { l: 44, r: 8, t: 32, b: 32 }, showlegend: false,
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", xaxis: axis, yaxis: axis,
      }, { responsive: true, displayModeBar: false }).then(function () { place.dataset.ready = "yes"; });
    }
  }
})();
