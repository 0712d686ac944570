// Charts: Plotly draws what the server made. Colours are names of CSS variables until here, every
// mark leads somewhere, and the keyboard reaches each of them.
"use strict";

(() => {
  const PHONE = window.matchMedia("(width < 720px)");
  const TOKEN = /^var\(--[a-z0-9-]+\)$/;
  const drawn = new Map(); // element -> {figure, marks, at}
  let probe = null;

  // A custom property may hold light-dark(); only a computed colour says which one is meant.
  const colour = (token) => {
    if (!probe) {
      probe = document.createElement("span");
      probe.hidden = true;
      document.body.append(probe);
    }
    probe.style.color = token;
    return getComputedStyle(probe).color;
  };
  const resolve = (value) => {
    if (typeof value === "string") {
      if (value === "var(--font)") return getComputedStyle(document.body).fontFamily;
      return TOKEN.test(value) ? colour(value) : value;
    }
    if (Array.isArray(value)) return value.map(resolve);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolve(v)]));
    }
    return value;
  };

  // Only our own pages: a link made of data could be anything.
  const go = (url) => { if (typeof url === "string" && /^\/(?![/\\])/.test(url)) location.href = url; };

  const config = (name) => ({
    displaylogo: false,
    responsive: true,
    staticPlot: PHONE.matches,
    scrollZoom: false,
    doubleClick: false,
    showTips: false,
    modeBarButtons: [["toImage"]],
    toImageButtonOptions: { format: "png", filename: `outcomes-${name}`, scale: 2 },
  });

  // Every mark that leads somewhere, in reading order: by place, then from the bottom of a stack up.
  const marksOf = (figure) => {
    const found = [];
    for (const [curveNumber, trace] of figure.data.entries()) for (const [pointNumber, data] of (trace.customdata || []).entries()) {
      const across = trace.orientation === "h" ? trace.y[pointNumber] : trace.x[pointNumber];
      const size = trace.type === "bar" ? (trace.orientation === "h" ? trace.x : trace.y)[pointNumber] : 1;
      if (size) found.push({ curveNumber, pointNumber, across, url: data[0], spoken: data[1] });
    }
    const rows = figure.layout.yaxis && figure.layout.yaxis.tickmode === "array";
    const place = (m) => rows ? figure.data[m.curveNumber].y[m.pointNumber] : m.across;
    return found.sort((a, b) => place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : a.curveNumber - b.curveNumber);
  };

  const draw = (el) => {
    if (!window.Plotly) return;
    const figure = JSON.parse(el.dataset.figure);
    const small = PHONE.matches;
    const layout = resolve(figure.layout);
    if (small) {
      layout.font.size = 11;
      layout.margin.r = 8;
    }
    const before = drawn.get(el);
    drawn.set(el, { figure, marks: marksOf(figure), at: before ? before.at : -1 });
    window.Plotly.react(el, resolve(figure.data), layout, config(el.dataset.chart)).then(() => {
      el.dataset.ready = "1";
      if (before) return;
      el.on("plotly_click", (event) => {
        const data = event.points[0]?.customdata;
        if (data) go(data[0]);
      });
      el.on("plotly_hover", (event) => { el.style.cursor = event.points[0].customdata ? "pointer" : ""; });
      el.on("plotly_unhover", () => { el.style.cursor = ""; });
    });
  };

  const say = (el, words) => {
    const out = document.getElementById(el.getAttribute("aria-describedby"));
    if (out) out.textContent = words;
    const seen = el.parentElement.querySelector(".spoken") || el.insertAdjacentElement("afterend", Object.assign(document.createElement("p"), { className: "spoken sub" }));
    seen.setAttribute("aria-hidden", "true");
    seen.textContent = words;
  };

  const step = (el, by) => {
    const state = drawn.get(el);
    if (!state || !state.marks.length) return;
    const n = state.marks.length;
    state.at = by === "first" ? 0 : by === "last" ? n - 1 : (state.at < 0 ? (by > 0 ? 0 : n - 1) : (state.at + by + n) % n);
    const mark = state.marks[state.at];
    say(el, `${mark.spoken}. ${state.at + 1} of ${n}, Enter opens.`);
    if (!PHONE.matches) {
      try { window.Plotly.Fx.hover(el, [{ curveNumber: mark.curveNumber, pointNumber: mark.pointNumber }]); } catch { /* said anyway */ }
    }
  };

  document.addEventListener("keydown", (event) => {
    const el = event.target;
    if (!(el instanceof HTMLElement) || !el.matches("[data-chart]") || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: "first", End: "last" }[event.key];
    if (by !== undefined) { event.preventDefault(); step(el, by); }
    if (event.key === "Enter") {
      const state = drawn.get(el);
      if (state && state.at >= 0) { event.preventDefault(); go(state.marks[state.at].url); }
    }
    if (event.key === "Escape" && window.Plotly) window.Plotly.Fx.unhover(el);
  });

  const all = () => {
    for (const el of [...drawn.keys()]) {
      if (!el.isConnected) { window.Plotly.purge(el); drawn.delete(el); }
    }
    for (const el of document.querySelectorAll("[data-chart]")) draw(el);
  };

  document.addEventListener("tower:look", all);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  PHONE.addEventListener("change", () => {
    for (const el of [...drawn.keys()]) { window.Plotly.purge(el); drawn.delete(el); }
    all();
  });

  // A refresh replaces the page's middle: what was open and focused stays so.
  let open = [], focused = "";
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target.id !== "outcomes") return;
    // Nothing is pulled away under a person's hands.
    if (document.querySelector(".how-card:popover-open, .views-menu:popover-open, .more-filters[open]")) { event.detail.shouldSwap = false; return; }
    open = [...document.querySelectorAll("#outcomes .panel details[open]")].map((d) => `#${d.closest(".panel").id} .${d.classList[0]}`);
    focused = document.activeElement?.matches("[data-chart]") ? document.activeElement.dataset.chart : "";
  });
  document.body.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target.id !== "outcomes") {
      if (document.querySelector("[data-chart]:not([data-ready])")) all(); // a part that came later
      return;
    }
    for (const path of open) document.querySelector(path)?.setAttribute("open", "");
    all();
    if (focused) document.querySelector(`[data-chart="${focused}"]`)?.focus();
  });

  all();
})();
