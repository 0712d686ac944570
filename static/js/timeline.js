// A run: the drawer of a step, and keys that walk through the timeline.
"use strict";

(() => {
  const { $, $$, keys, announce } = window.tower;
  const drawer = $("#drawer");
  const tab = $("#run-tab");
  let opener = null;

  const address = (seq) => {
    const url = new URL(location.href);
    if (seq === null) url.searchParams.delete("step"); else url.searchParams.set("step", seq);
    return url;
  };
  const choose = (seq) => {
    for (const lane of $$(".tl-row[data-seq]")) lane.toggleAttribute("data-chosen", lane.dataset.seq === String(seq));
    // The tab is drawn anew from the address, so it has to know the chosen step too.
    const url = address(seq);
    tab.setAttribute("hx-get", url.pathname + url.search);
    for (const a of $$(".tabs a")) {
      const to = new URL(a.href);
      if (seq === null) to.searchParams.delete("step"); else to.searchParams.set("step", seq);
      a.href = to.search;
    }
    history.replaceState(null, "", url);
  };
  const read = async (seq) => {
    const answer = await fetch(`${drawer.dataset.base}steps/${seq}/`, { headers: { "HX-Request": "true" }, cache: "no-store" }).catch(() => null);
    if (!answer || !answer.ok || answer.redirected) return null;
    return answer.text();
  };
  const put = (html) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    drawer.replaceChildren(...page.body.childNodes);
    window.tower.freshen(drawer);
    window.htmx?.process(drawer);
  };
  const openStep = async (seq, { focus = true } = {}) => {
    const html = await read(seq);
    if (html === null) return window.tower.toast("This step could not be loaded; the page is as it was.");
    put(html);
    choose(seq);
    if (focus) $("#step-title", drawer)?.focus();
    if (drawer.getBoundingClientRect().top < 0) drawer.scrollIntoView({ block: "start" });
    return undefined;
  };
  const closeStep = () => {
    if (!drawer.firstElementChild) return false;
    const seq = $("[data-step-open]", drawer)?.dataset.stepOpen;
    drawer.replaceChildren();
    choose(null);
    (opener?.isConnected ? opener : $(`#lane-${seq} .name, #row-${seq} a`))?.focus();
    return true;
  };

  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    const close = event.target.closest("[data-close-step]");
    if (close) { event.preventDefault(); closeStep(); return; }
    const el = event.target.closest("[data-step]");
    if (el) { event.preventDefault(); opener = el; openStep(el.dataset.step); return; }
    if (event.target.closest("[data-next-problem]")) problem(1);
    if (event.target.closest("[data-copy-link]")) copy();
  });

  const lanes = () => $$(".tl-row[data-seq]");
  const here = () => lanes().findIndex((lane) => lane.contains(document.activeElement));
  const walk = (by) => () => {
    const all = lanes();
    if (!all.length) return false;
    const at = here();
    const to = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1);
    $(".name", all[to]).focus();
    return true;
  };
  const along = (by) => () => {
    const lane = lanes()[here()];
    if (!lane) return false;
    const stops = [$(".name", lane), ...$$(".bar", lane)];
    stops[Math.min(Math.max(stops.indexOf(document.activeElement) + by, 0), stops.length - 1)]?.focus();
    return true;
  };
  const problem = (by) => {
    const all = lanes();
    const at = here() < 0 ? all.findIndex((lane) => "chosen" in lane.dataset) : here();
    const order = all.map((lane, i) => [lane, i]).filter(([lane]) => "problem" in lane.dataset);
    if (!order.length) { announce("No step has a problem"); return; }
    const next = by > 0 ? order.find(([, i]) => i > at) || order[0] : [...order].reverse().find(([, i]) => i < at) || order.at(-1);
    const name = $(".name", next[0]);
    name.focus();
    next[0].scrollIntoView({ block: "nearest" });
    opener = name;
    openStep(next[0].dataset.seq, { focus: false });
    announce(`Step ${next[0].dataset.seq}: ${name.textContent.trim()}`);
  };
  const copy = () => {
    navigator.clipboard?.writeText(location.href).then(() => announce("Link copied"), () => announce("The link could not be copied"));
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || window.tower.typing(event.target) || $("dialog[open]")) return;
    const inside = event.target.closest?.(".tl-row");
    const act = { ArrowDown: walk(1), ArrowUp: walk(-1), ArrowRight: along(1), ArrowLeft: along(-1) }[event.key];
    if (inside && act) { if (act() !== false) event.preventDefault(); }
    if (event.key === "Escape" && closeStep()) event.preventDefault();
  });
  keys?.(document.body, { n: (event) => problem(event.shiftKey ? -1 : 1), y: copy, m: () => $("[data-compare]").click() });

  // The open step is a part of the page too: it follows the run, and keeps scroll and focus.
  const follow = async () => {
    const open = $("[data-step-open]", drawer);
    if (!open) return;
    const html = await read(open.dataset.stepOpen);
    const now = $("[data-step-open]", drawer);
    if (html === null || !now || now.dataset.stepOpen !== open.dataset.stepOpen) return;
    // What somebody is writing is kept, as long as it can still be sent.
    const draft = $("[data-draft]", drawer);
    if (draft && html.includes("data-draft") && ($("textarea", draft).value || $(":checked", draft))) return;
    const focused = drawer.contains(document.activeElement);
    const top = drawer.scrollTop;
    put(html);
    drawer.scrollTop = top;
    if (focused) $("#step-title", drawer)?.focus({ preventScroll: true });
  };
  // A step that is parked or let go writes no event: while one is queued, the head asks by itself.
  const QUEUED_MS = 5000;
  setInterval(() => {
    const live = window.tower?.live;
    if (document.hidden || live?.paused || live?.failing || !$("#run-head[data-queued]")) return;
    document.body.dispatchEvent(new CustomEvent(`tick:run:${drawer.dataset.run}`));
  }, QUEUED_MS);
  let timer = 0;
  window.addEventListener("DOMContentLoaded", () => {
    window.tower?.live?.on(`run:${drawer.dataset.run}`, () => { clearTimeout(timer); timer = setTimeout(follow, 500); });
  });
  // What can be done about the run follows it too, but not while somebody is doing it.
  document.body.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target } = event.detail;
    if ($("dialog[open]", target) || target.contains(document.activeElement)) event.detail.shouldSwap = false;
  });
  // A tab drawn anew gives the focus back to the lane that had it.
  let kept = null;
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target !== tab) return;
    const lane = document.activeElement?.closest?.(".tl-row[data-seq]");
    kept = lane ? lane.dataset.seq : null;
  });
  document.body.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target !== tab || !kept) return;
    $(`#lane-${kept} .name`)?.focus({ preventScroll: true });
    kept = null;
  });
})();
