"use strict";
/* Curves of a training run as SVG. window.SCENER1: steps, curves ({title, values}), window. */
(function () {
  const data = window.SCENER1, place = document.getElementById("curves"), steps = data.steps;
  const WIDTH = 420, HEIGHT = 220, LEFT = 48, RIGHT = 18, TOP = 8, BOTTOM = 24;

  function svg(name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }
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
  function ticks(low, high) {
    const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(Number((i * step).toPrecision(12)));
    return found;
  }
  function short(value) { return Math.abs(value) >= 1e5 ? value.toExponential(1) : String(value); }

  function plot(curve) {
    const known = curve.values.filter((value) => value !== null);
    let low = Math.min(...known), high = Math.max(...known);
    if (low === high) { low -= 0.5; high += 0.5; }
    const first = steps[0], span = Math.max(steps[steps.length - 1] - first, 1);
    const x = (step) => LEFT + ((WIDTH - LEFT - RIGHT) * (step - first)) / span;
    const y = (value) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * (value - low)) / (high - low);
    const drawn = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": curve.title + " by step" });
    for (const value of ticks(low, high)) {
      drawn.append(svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
        svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)));
    }
    for (const step of ticks(first, first + span).filter(Number.isInteger)) {
      drawn.append(svg("text", { x: x(step), y: HEIGHT - 6, "text-anchor": "middle" }, step));
    }
    curve.values.forEach(function (value, i) {
      if (value === null) return;
      const point = svg("circle", { class: "step", cx: x(steps[i]), cy: y(value), r: 2.5 });
      point.append(svg("title", {}, `step ${steps[i]}: ${Number(value.toPrecision(4))}`));
      drawn.append(point);
    });
    const line = running(curve.values).map((value, i) => (value === null ? null : `${x(steps[i])},${y(value)}`));
    drawn.append(svg("polyline", { class: "mean", points: line.filter((point) => point !== null).join(" ") }));
    const figure = document.createElement("figure"), title = document.createElement("figcaption");
    figure.className = "plot";
    title.textContent = curve.title;
    figure.append(title, drawn);
    return figure;
  }
  place.append(...data.curves.map(plot));
  place.dataset.ready = "yes";
})();
