"use strict";
/* The list of queries: filter, order, and more on demand. Rows are window.SCENER1.rows; what a query shows when it is
   opened comes from a chunk that is loaded then (a script: browsers block fetch on file://). Text is never parsed as HTML. */
(function () {
  const rows = window.SCENER1.rows, CHUNK = window.SCENER1.chunk_rows, PAGE = 50;
  const list = document.getElementById("queries"), count = document.getElementById("count");
  const filter = document.getElementById("filter"), stage = document.getElementById("stage");
  const order = document.getElementById("order"), more = document.getElementById("more");
  const loading = new Map();
  let chosen = [], shown = 0;
  rows.forEach((row, number) => { row.number = number; });

  function load(chunk) {
    if (!loading.has(chunk)) {
      loading.set(chunk, new Promise(function (resolve, reject) {
        if ((window.SCENER1_CHUNKS || [])[chunk]) { resolve(); return; }
        const script = document.createElement("script");
        script.src = "data-" + String(chunk).padStart(3, "0") + ".js";
        script.onload = resolve;
        script.onerror = () => reject(new Error(script.src + " is missing beside this page."));
        document.body.append(script);
      }));
    }
    return loading.get(chunk);
  }
  async function open(row, place) {
    const chunk = Math.floor(row.number / CHUNK);
    try {
      await load(chunk);
      place.append(detail(window.SCENER1_CHUNKS[chunk][row.number % CHUNK]));
    } catch (error) {
      place.append(element("p", error.message, "failure"));
    }
  }

  for (const name of [...new Set(rows.map((row) => row.stage))].sort()) stage.add(new Option(name, name));

  function element(name, text, kind) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }
  function bar(runs, duration, color) {
    const made = element("div", undefined, "bar");
    for (const [start, end] of runs) {
      const part = element("i");
      part.style.left = (100 * start) / duration + "%";
      part.style.width = (100 * (end - start)) / duration + "%";
      part.style.background = "var(" + color + ")";
      part.title = start.toFixed(1) + " s to " + end.toFixed(1) + " s";
      made.append(part);
    }
    return made;
  }
  function detail(row) {
    const made = element("div");
    if (row.failure) made.append(element("p", row.failure, "failure"));
    if (row.duration_s) {
      if (row.span_s) made.append(element("span", "chosen span", "soft"), bar([row.span_s], row.duration_s, "--predicted"));
      if (row.runs_s.length) made.append(element("span", "in view, by the label", "soft"), bar(row.runs_s, row.duration_s, "--truth"));
    }
    if (row.answer !== null) made.append(element("p", "answer: " + row.answer));
    if (row.truth !== null) made.append(element("p", "accepted: " + row.truth, "soft"));
    for (const text of row.rationale) made.append(element("blockquote", text));
    made.append(element("p", Object.entries(row.scores).map(([k, v]) => k + " " + v.toFixed(3)).join(" · "), "soft"));
    return made;
  }
  function add() {
    for (const row of chosen.slice(shown, shown + PAGE)) {
      const made = element("details", undefined, "row"), head = element("summary");
      head.append(element("span", (row.score === null ? "–" : row.score.toFixed(2)) + "  "), element("span", row.query + " "),
        element("span", row.stage, "tag"), element("span", " " + row.scene_id, "soft"));
      made.append(head);
      made.addEventListener("toggle", () => open(row, made), { once: true });
      list.append(made);
    }
    shown = Math.min(shown + PAGE, chosen.length);
    count.textContent = shown + " of " + chosen.length + " shown";
    more.hidden = shown >= chosen.length;
  }
  function start() {
    const wanted = filter.value.toLowerCase();
    chosen = rows.filter((row) => (!stage.value || row.stage === stage.value) &&
      (!wanted || (row.query + " " + row.scene_id).toLowerCase().includes(wanted)));
    if (order.value !== "scene") {
      const sign = order.value === "worst" ? 1 : -1;
      chosen.sort((a, b) => sign * ((a.score === null ? -1 : a.score) - (b.score === null ? -1 : b.score)));
    }
    list.replaceChildren();
    shown = 0;
    add();
  }
  filter.addEventListener("input", start);
  stage.addEventListener("change", start);
  order.addEventListener("change", start);
  more.addEventListener("click", add);
  start();
})();
