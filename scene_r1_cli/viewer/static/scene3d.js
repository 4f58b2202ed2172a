"use strict";
/* The scene in 3D: Plotly's view with buttons that a keyboard reaches. Data is window.SCENER1.view3d.
   Plotly is large, so it is loaded once the page can be used. */
(function () {
  const data = window.SCENER1 && window.SCENER1.view3d;
  const place = document.getElementById("view3d");
  if (!data || !place) return;

  place.textContent = "drawing…";
  window.addEventListener("load", function () {
    if (window.Plotly) { place.textContent = ""; draw(); return; }
    const library = document.createElement("script");
    library.src = "plotly.min.js";
    library.onload = function () { place.textContent = ""; draw(); };
    library.onerror = function () { place.textContent = "plotly.min.js is missing beside this page."; };
    setTimeout(() => document.body.append(library), 0);
  });

  function decode(text, Kind) {
    const raw = atob(text), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return new Kind(bytes.buffer);
  }
  function cloud(name, part, size) {
    const values = decode(part.points, Float32Array), n = values.length / 3;
    const x = new Float32Array(n), y = new Float32Array(n), z = new Float32Array(n);
    for (let i = 0; i < n; i++) { x[i] = values[3 * i]; y[i] = values[3 * i + 1]; z[i] = values[3 * i + 2]; }
    let color = part.color;
    if (part.colors) {
      const rgb = decode(part.colors, Uint8Array);
      color = Array.from({ length: n }, (_, i) => `rgb(${rgb[3 * i]},${rgb[3 * i + 1]},${rgb[3 * i + 2]})`);
    }
    return { type: "scatter3d", mode: "markers", name, x, y, z, hoverinfo: "skip", marker: { size, color, opacity: 1 } };
  }
  function line(name, xyz, color, width) {
    const axis = (i) => xyz.map((p) => (p === null ? null : p[i]));
    return { type: "scatter3d", mode: "lines", name, x: axis(0), y: axis(1), z: axis(2), hoverinfo: "name", line: { color, width } };
  }
  function draw() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const traces = [];
    if (data.scene) traces.push(cloud("scene", data.scene, 1.6));
    if (data.object) traces.push(cloud("object", { points: data.object.points, color: color("--box") }, 2.4));
    if (data.predicted) traces.push(line("box", data.predicted, color("--predicted"), 6));
    if (data.truth) traces.push(line("label", data.truth, color("--truth"), 6));
    if (data.path) traces.push(line("camera path", data.path, color("--soft"), 2));
    const axis = { showbackground: false, gridcolor: color("--line"), color: color("--soft"), title: { text: "" } };
    const looks = {
      corner: { eye: { x: 1.1, y: 1.1, z: 1.0 } }, top: { eye: { x: 0.01, y: 0, z: 1.9 } },
      front: { eye: { x: 0, y: -1.9, z: 0.3 } }, side: { eye: { x: 1.9, y: 0, z: 0.3 } },
    };
    const layout = {
      margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "rgba(0,0,0,0)", showlegend: false,
      scene: { aspectmode: "data", dragmode: "orbit", xaxis: axis, yaxis: axis, zaxis: axis, camera: looks.corner },
    };
    Plotly.newPlot(place, traces, layout, { responsive: true, displaylogo: false, displayModeBar: false }).then(function () {
      const controls = document.getElementById("controls3d");
      traces.forEach(function (trace, index) {
        const label = document.createElement("label"), box = document.createElement("input");
        box.type = "checkbox"; box.checked = true;
        box.addEventListener("change", () => Plotly.restyle(place, { visible: box.checked }, [index]));
        label.append(box, " " + trace.name);
        controls.append(label);
      });
      for (const [name, camera] of Object.entries(looks)) {
        const button = document.createElement("button");
        button.type = "button"; button.textContent = name;
        button.addEventListener("click", () => Plotly.relayout(place, { "scene.camera": camera }));
        controls.append(button);
      }
      for (const [name, factor] of [["closer", 0.75], ["farther", 1.33]]) {
        const button = document.createElement("button");
        button.type = "button"; button.textContent = name;
        button.addEventListener("click", function () {
          const eye = place._fullLayout.scene._scene.getCamera().eye;
          Plotly.relayout(place, { "scene.camera.eye": { x: eye.x * factor, y: eye.y * factor, z: eye.z * factor } });
        });
        controls.append(button);
      }
      place.dataset.ready = "yes";
    });
  }
})();
