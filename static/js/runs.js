// The list of runs: rows it shows stay where they are and are brought up to date in place; new runs
// wait behind a button, so that nothing moves under the reader's eyes.
"use strict";

(() => {
  const { $, $$, keys } = window.tower;
  const list = $("#runs");
  const bar = $("#fresh");
  const PAUSE_MS = 2000;
  let last = 0, timer = 0;

  const refresh = async () => {
    last = Date.now();
    const rows = $$("tbody tr[data-run]", list);
    const params = new URLSearchParams(location.search);
    params.delete("before");
    params.set("ids", rows.map((row) => row.dataset.run).join(","));
    if (list.dataset.first) params.set("newest", list.dataset.newest);
    const answer = await fetch(`${list.dataset.news}?${params}`, { headers: { "HX-Request": "true" }, cache: "no-store" }).catch(() => null);
    if (!answer || !answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const row of $$("tr[data-run]", page)) {
      const old = document.getElementById(row.id);
      if (!old || old.contains(document.activeElement) && old.dataset.state === row.dataset.state) continue;
      if (old.outerHTML === row.outerHTML) continue;
      const focused = old.contains(document.activeElement);
      if (old.dataset.state !== row.dataset.state) { row.classList.add("changed"); setTimeout(() => row.classList.remove("changed"), 2500); }
      old.replaceWith(row);
      window.tower.freshen(row);
      if (focused) $("th a", row)?.focus();
    }
    const n = Number($("table", page)?.dataset.fresh || 0);
    bar.hidden = !n;
    if (n) $("#fresh-text").textContent = `${n >= 100 ? "100 or more" : n} new run${n === 1 ? "" : "s"}: show`;
  };

  window.addEventListener("DOMContentLoaded", () => {
    window.tower?.live?.on("runs", () => {
      // An empty page is drawn anew when the first run comes; an empty answer to a filter stays.
      if (!list) { if (!location.search) location.reload(); return; }
      clearTimeout(timer);
      timer = setTimeout(refresh, Math.max(0, last + PAUSE_MS - Date.now()));
    });
  });

  // Switches act at once; everything else waits for the button.
  for (const box of $$("[data-submit]")) box.addEventListener("change", () => box.form.requestSubmit());
  // An address without empty fields can be read and shared.
  $("#filters")?.addEventListener("submit", (event) => {
    for (const field of event.target.elements) if (field.name && !field.value) field.disabled = true;
    setTimeout(() => { for (const field of event.target.elements) field.disabled = false; });
  });

  // Bars: one tab stop, arrows inside.
  for (const group of $$("[data-roving]")) {
    const bars = $$("a", group);
    bars.forEach((a, i) => { a.tabIndex = i === bars.length - 1 ? 0 : -1; });
    group.addEventListener("keydown", (event) => {
      const at = bars.indexOf(event.target);
      const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: bars.length - 1 }[event.key];
      if (at < 0 || to === undefined || !bars[to]) return;
      event.preventDefault();
      bars[at].tabIndex = -1;
      bars[to].tabIndex = 0;
      bars[to].focus();
    });
  }

  const walk = (by) => () => {
    const links = $$("tbody th a", list || document);
    const here = links.findIndex((a) => a.closest("tr").contains(document.activeElement));
    links[Math.min(Math.max(here + by, 0), links.length - 1)]?.focus();
  };
  keys?.(document.body, {
    u: () => { const box = $("[name=problems]"); box.checked = !box.checked; box.form.requestSubmit(); },
    ".": () => { if (bar && !bar.hidden) $("a", bar).click(); else return false; },
    "/": () => $("[name=q]").focus(),
    f: () => { const more = $(".more-filters"); more.open = true; $("summary", more).focus(); },
    j: walk(1),
    k: walk(-1),
  });
})();
