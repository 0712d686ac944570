// The queue: one tab stop, keys, rows that tell of changes, and a panel that is armed slowly.
"use strict";

(() => {
  const { $, $$, announce, now } = window.tower;
  const area = $("#approvals");
  const review = $("#review");
  if (!area) return;
  const HIGH = 3, ARM_MS = 1500, RENEW_MS = 60000, FOLLOW_MS = 180;

  // --- rows: a grid is one tab stop, the arrow keys move inside it ------------------------------
  const rows = () => $$("#grid tbody tr");
  const current = () => $("#grid tbody tr[tabindex='0']") || rows()[0];
  const focusRow = (row) => {
    if (!row) return;
    for (const other of rows()) other.tabIndex = other === row ? 0 : -1;
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  };
  const move = (by) => {
    const all = rows();
    const at = all.indexOf(current());
    const onRow = all.includes(document.activeElement);
    focusRow(onRow ? all[Math.min(Math.max(at + by, 0), all.length - 1)] : all[Math.max(at, 0)]);
    follow();
  };
  const beside = () => review && $("#list") && innerWidth >= 720
    && review.getBoundingClientRect().left > $("#list").getBoundingClientRect().left + 100;
  const select = (id) => { for (const row of rows()) row.setAttribute("aria-selected", String(row.dataset.id === id)); };

  let loading = null; // the row on its way and its promise: asked twice, it is fetched once
  const load = (row) => {
    clearTimeout(following);
    if (!beside()) { location.href = row.dataset.url; return Promise.resolve(); }
    if (loading?.id === row.dataset.id) return loading.done;
    if (!loading && $("#panel")?.dataset.id === row.dataset.id) return Promise.resolve(); // what is typed there stays
    const mine = { id: row.dataset.id };
    loading = mine;
    mine.done = fetchRow(row).finally(() => { if (loading === mine) loading = null; });
    return mine.done;
  };
  const fetchRow = async (row) => {
    select(row.dataset.id);
    $("#panel")?.classList.add("busy");
    await window.htmx.ajax("GET", row.dataset.url, { target: "#review", swap: "innerHTML" });
    const url = new URL(location.href);
    url.searchParams.set("open", row.dataset.id);
    history.replaceState(history.state, "", url);
  };
  // Beside the list the question follows the row, once the keys rest; never over a typed reason.
  let following = 0;
  const follow = () => {
    clearTimeout(following);
    if (!beside() || $("#reason")?.value) return;
    following = setTimeout(() => {
      const row = current();
      if (rows().includes(document.activeElement) && $("#panel")?.dataset.id !== row.dataset.id && !$("#reason")?.value) load(row);
    }, FOLLOW_MS);
  };
  const ensure = async () => {
    clearTimeout(following);
    const row = current();
    const inGrid = row && rows().includes(document.activeElement);
    if (inGrid && $("#panel")?.dataset.id !== row.dataset.id) await load(row);
  };

  area.addEventListener("click", (event) => {
    if (event.target.closest("[data-show-new]")) { showNew(); return; }
    const row = event.target.closest("#grid tbody tr");
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    if (!beside()) { if (!event.target.closest("a")) location.href = row.dataset.url; return; }
    event.preventDefault();
    focusRow(row);
    load(row);
  });

  // --- the panel --------------------------------------------------------------------------------
  let opened = 0, visibleSince = 0, dwell = 0, armedAt = 0, unseen = new Set(), watcher = null, ticking = 0;

  // A reason outlives its panel: another row may be looked at, or somebody may be first.
  const typed = new Map();
  const keepBeside = (panel, words) => {
    const field = document.createElement("div");
    field.className = "field";
    const label = Object.assign(document.createElement("label"), { htmlFor: "kept", textContent: "The reason you typed (nothing was sent)" });
    field.append(label, Object.assign(document.createElement("textarea"), { id: "kept", rows: 2, readOnly: true, value: words }));
    panel.querySelector("header").after(field);
  };
  const panelReady = () => {
    const panel = $("#panel");
    watcher?.disconnect();
    clearInterval(ticking);
    if (!panel) return;
    opened = performance.now();
    dwell = 0;
    visibleSince = document.hidden ? 0 : opened;
    armedAt = opened + (Number(panel.dataset.risk) >= HIGH ? ARM_MS : 0);
    unseen = new Set($$("[data-value] [data-end]", panel));
    // What the answering bar lies over has not been shown.
    const bar = $("#decide")?.getBoundingClientRect();
    const covered = bar && bar.top < innerHeight ? Math.max(0, innerHeight - bar.top) : 0;
    watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) { unseen.delete(entry.target); watcher.unobserve(entry.target); }
      gate();
    }, { rootMargin: `2px 0px -${Math.round(covered)}px 0px` });
    for (const end of unseen) watcher.observe(end);
    ticking = setInterval(gate, 250);
    const kept = typed.get(panel.dataset.id);
    if (kept && $("#reason")) { if (!$("#reason").value) $("#reason").value = kept; }
    else if (kept && panel.dataset.state !== "pending" && !$("#kept")) keepBeside(panel, kept);
    gate();
    select(panel.dataset.id);
  };

  // What still keeps the answer from being given, in the order in which a person would mend it.
  const missing = (answer) => {
    const form = $("#decide");
    if (!form) return "";
    const reason = $("#reason").value.trim();
    if ($("#claim")?.dataset.anothers) return "Somebody else has claimed it: take over the claim first.";
    if (answer === "reject") return reason ? "" : "Say why you reject.";
    if (unseen.size) return `${unseen.size} value${unseen.size > 1 ? "s" : ""} not yet shown.`;
    if (form.dataset.needsReason && !reason) return "Say why you approve: the risk asks for a reason.";
    if (performance.now() < armedAt) return "Ready in a moment…";
    return "";
  };
  let said = "";
  const gate = () => {
    const form = $("#decide");
    if (!form) return;
    for (const button of $$("[data-answer]", form)) {
      const answer = button.dataset.answer;
      // A rejection without a reason leads to the field; an approval stays closed until it may be.
      const closed = Boolean(missing(answer)) && (answer === "approve" || $("#claim")?.dataset.anothers);
      button.setAttribute("aria-disabled", String(Boolean(closed)));
    }
    const step = form.dataset.step || "approve";
    const text = missing(step) || (form.dataset.step ? `Ctrl+Enter to ${form.dataset.step}` : "");
    if (text !== said) { said = text; $("#decide-hint").textContent = text; }
    $("#show-unseen").hidden = !unseen.size || step === "reject";
  };

  const step = async (answer) => {
    await ensure();
    const form = $("#decide");
    if (!form) { announce("Nothing to decide here"); return; }
    form.dataset.step = answer;
    if (!$("#claim")?.dataset.mine) claimQuietly();
    const reason = $("#reason");
    reason.focus({ preventScroll: true }); // the step is always in view; the values must stay so
    announce(answer === "approve" ? "Approve: reason" : "Reject: reason");
    gate();
  };
  const commit = () => {
    const form = $("#decide");
    const answer = form?.dataset.step;
    if (!answer) return;
    const why = missing(answer);
    // The keys alone lead through everything that was not on the screen yet.
    if (why) { if (answer === "approve" && unseen.size) showUnseen(); said = ""; gate(); announce(why); return; }
    form.requestSubmit($(`[data-answer=${answer}]`, form));
  };

  review?.addEventListener("input", (event) => {
    if (event.target.id !== "reason") return;
    typed.set($("#panel").dataset.id, event.target.value);
    if (!$("#claim")?.dataset.mine && !$("#claim")?.dataset.anothers) claimQuietly();
    gate();
  });
  const showUnseen = () => {
    const [first] = unseen;
    if (!first) return;
    const details = first.closest("details");
    if (details) details.open = true;
    first.scrollIntoView({ block: "center" });
  };
  review?.addEventListener("click", (event) => {
    if (event.target.closest("#show-unseen")) { showUnseen(); return; }
    const button = event.target.closest("[data-answer]");
    if (!button) return;
    const why = missing(button.dataset.answer);
    if (!why) return;
    event.preventDefault();
    $("#decide").dataset.step = button.dataset.answer;
    gate();
    announce(why);
    if (/why/i.test(why)) $("#reason").focus({ preventScroll: true });
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.closest?.("#review")) {
      event.preventDefault();
      if (event.target.id === "note") event.target.form.requestSubmit();
      else commit();
    }
    if (event.key === "Escape" && event.target.id === "note") { $("details.escalate").open = false; $("details.escalate summary").focus(); }
    if (event.key === "Escape" && event.target.closest?.("#decide") && !$("dialog[open]")) {
      delete $("#decide").dataset.step;
      if ($("#grid")) focusRow(rows().find((r) => r.dataset.id === $("#panel").dataset.id) || current());
      else $("#panel-title").focus();
    }
  });

  // How long it could be seen: measured, never judged by itself.
  const seenFor = () => Math.round(dwell + (visibleSince ? performance.now() - visibleSince : 0));
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { dwell = seenFor(); visibleSince = 0; } else visibleSince = performance.now();
  });
  document.body.addEventListener("htmx:configRequest", (event) => {
    if (event.target.id !== "decide") return;
    const { parameters, triggeringEvent } = event.detail;
    parameters.set("dwell_ms", String(seenFor()));
    // htmx adds the button that was clicked; one that the keyboard stands for it has to be told.
    const answer = triggeringEvent?.submitter?.dataset.answer;
    if (answer) parameters.set("answer", answer);
  });

  // --- claims -----------------------------------------------------------------------------------
  let claiming = false;
  const claimQuietly = async () => {
    const button = $("[data-claim-url]");
    if (!button || claiming) return;
    claiming = true;
    try { await window.htmx.ajax("POST", button.dataset.claimUrl, { target: "#claim", swap: "outerHTML" }); } finally { claiming = false; }
  };
  setInterval(() => {
    if (!$("#claim")?.dataset.mine || document.hidden || !document.hasFocus()) return;
    window.htmx.ajax("POST", `${$("#decide").getAttribute("action").replace("decide/", "claim/")}`, { target: "#claim", swap: "outerHTML" });
  }, RENEW_MS);

  // --- after an answer ----------------------------------------------------------------------------
  const strike = (row, words) => {
    if (row.dataset.gone) return;
    row.dataset.gone = "1";
    const cell = row.querySelector("[data-claimed]");
    if (cell) cell.textContent = words;
  };
  document.body.addEventListener("approval:decided", (event) => {
    const { id, state } = event.detail;
    typed.delete(id);
    const pace = $("#pace");
    if (pace) pace.textContent = String(Number(pace.textContent) + 1);
    const all = rows();
    const row = all.find((r) => r.dataset.id === id);
    if (!row) { announce(`Done: ${state}`); setTimeout(() => $("#panel-title")?.focus(), 50); return; }
    if (state !== "pending") strike(row, `${state} by you`);
    const next = all.slice(all.indexOf(row) + 1).find((r) => !r.dataset.gone) || all.find((r) => !r.dataset.gone) || row;
    announce(state === "pending" ? "Your vote counts; another person has to agree" : `Done: ${state}. ${all.filter((r) => !r.dataset.gone).length} left on this page`);
    setTimeout(() => focusRow(next), 50);
  });
  document.body.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id === "review") { panelReady(); if ($("#decide-error")) $("#reason")?.focus(); }
    if (event.target.id === "claim" || event.detail.elt?.id === "claim") gate();
    if (event.target.id === "escalation" || event.detail.elt?.id === "escalation") escalated();
  });

  const escalated = () => {
    if ($("#escalate-error")) { $("#note")?.focus(); return; }
    if (document.activeElement !== document.body) return;
    announce($("#escalation .calls strong")?.textContent || "Escalated");
    if (beside()) focusRow(rows().find((r) => r.dataset.id === $("#panel").dataset.id) || current());
    else $("#panel-title").focus();
  };

  // --- live: new rows gather, shown ones are marked, nothing moves under the reader ---------------
  let waiting = 0, lastSaid = 0;
  const whose = (name) => (name === "you" || !name ? name : "another");
  const claimShown = () => { const claim = $("#claim"); return claim?.dataset.mine ? "you" : claim?.dataset.anothers ? "another" : ""; };
  const refresh = async () => {
    const list = $("#list");
    if (!list || document.hidden) return;
    const url = new URL(area.dataset.changes, location.href);
    url.search = location.search;
    url.searchParams.delete("open");
    url.searchParams.delete("after");
    url.searchParams.set("since", list.dataset.since);
    url.searchParams.set("ids", rows().map((r) => r.dataset.id).join(","));
    let found;
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" }, redirect: "error", cache: "no-store" });
      if (!answer.ok) return;
      found = await answer.json();
    } catch { return; }
    const isWaiting = (url.searchParams.get("tab") || "waiting") === "waiting";
    if (!isWaiting) return;
    for (const row of rows()) {
      const state = found.rows.find((r) => r.id === row.dataset.id);
      if (!state) continue;
      if (state.state !== "pending") {
        const at = state.at ? new Date(state.at).toLocaleTimeString([], { hour12: false }) : "";
        strike(row, `${state.state}${state.by ? ` by ${state.by}` : ""} ${at}`.trim());
      } else if (!row.dataset.gone) {
        const claimed = row.querySelector("[data-claimed]");
        if (claimed && claimed.textContent !== state.claimed) claimed.textContent = state.claimed;
        const votes = row.querySelector("[data-votes]");
        if (votes && votes.textContent !== state.votes) votes.textContent = state.votes;
        if (state.escalated && row.dataset.calls !== String(state.calls)) call(row, state);
      }
    }
    const open = found.rows.find((r) => r.id === $("#panel")?.dataset.id);
    const place = open && rows().find((r) => r.dataset.id === open.id).dataset.url;
    if (open && open.state !== "pending" && $("#panel").dataset.state === "pending") {
      announce(`This was ${open.state}${open.by ? ` by ${open.by}` : ""} meanwhile`);
      window.htmx.ajax("GET", place, { target: "#review", swap: "innerHTML" });
    } else if (open && whose(open.claimed) !== claimShown()) {
      window.htmx.ajax("GET", place, { target: "#claim", select: "#claim", swap: "outerHTML" });
    }
    const calls = $("#escalation");
    if (open && calls && calls.dataset.calls !== String(open.calls) && !$("#note")?.value) {
      window.htmx.ajax("GET", place, { target: "#escalation", select: "#escalation", swap: "outerHTML" });
    }
    const told = [found.new ? `${found.new} new${found.critical ? `, ${found.critical} critical` : ""}` : "", found.called ? `${found.called} escalated to you` : ""];
    $("#news").hidden = !found.new && !found.called;
    $("#news-text").textContent = `${told.filter(Boolean).join(", ")} –`;
    if (found.new > waiting && Date.now() - lastSaid > 5000) {
      lastSaid = Date.now();
      announce(`${found.new} new approval${found.new > 1 ? "s" : ""}${found.critical ? `, ${found.critical} critical` : ""}`);
    }
    waiting = found.new;
    if (!rows().length && found.new) showNew();
  };
  // The row stays where it is and says that somebody was called; the order is made anew on request.
  const call = (row, { calls, escalated }) => {
    row.dataset.calls = String(calls);
    row.dataset.escalated = "";
    const cell = row.querySelector("[data-called]");
    if (!cell) return;
    const at = new Date(escalated.at).toLocaleTimeString([], { hour12: false });
    cell.textContent = `Escalated to ${escalated.to} ${at} (${escalated.why})`;
  };
  const showNew = async () => {
    const keep = current()?.dataset.id;
    const had = rows().includes(document.activeElement) || document.activeElement.closest("#news");
    await window.htmx.ajax("GET", location.pathname + location.search, { target: "#list", swap: "outerHTML" });
    $("#news").hidden = true;
    waiting = 0;
    select($("#panel")?.dataset.id);
    if (had) focusRow(rows().find((r) => r.dataset.id === keep) || rows()[0]);
  };
  let timer = 0;
  document.body.addEventListener("tick:approvals", () => {
    clearTimeout(timer);
    timer = setTimeout(refresh, 400);
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  setTimeout(refresh, 1500); // what happened between drawing the page and listening

  // --- keys ---------------------------------------------------------------------------------------
  const onRow = () => rows().includes(document.activeElement);
  const openNote = () => {
    const details = $("details.escalate");
    if (!details) { announce($("#escalation") ? "There is no further escalation target" : "Nothing to escalate here"); return; }
    details.open = true;
    details.scrollIntoView({ block: "nearest" });
    $("#note").focus({ preventScroll: true });
  };
  window.tower.keys(area, {
    j: () => move(1), k: () => move(-1),
    a: () => step("approve"), r: () => step("reject"),
    c: async () => { await ensure(); $("[data-claim]")?.click(); },
    "!": async () => { await ensure(); openNote(); },
    ".": () => showNew(),
    "/": () => { $("#q")?.focus(); },
  });
  area.addEventListener("keydown", (event) => {
    if (!onRow()) return;
    const acts = { ArrowDown: () => move(1), ArrowUp: () => move(-1), Home: () => focusRow(rows()[0]), End: () => focusRow(rows().at(-1)),
      Enter: () => load(current()), " ": () => load(current()) };
    if (event.ctrlKey || event.metaKey || event.altKey || !acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  });
  // The keys of the list also work while nothing at all has the focus.
  document.addEventListener("keydown", (event) => {
    if (event.target !== document.body || document.body.dataset.keys === "off" || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
    if (event.key === "j" || event.key === "k" || event.key === "ArrowDown") { event.preventDefault(); focusRow(current()); }
    if (event.key === "/") { event.preventDefault(); $("#q")?.focus(); }
    if (event.key === ".") showNew();
  });

  const help = $("#page-keys");
  if (help) $("#help-keys")?.append(help.content.cloneNode(true));
  panelReady();
  // Keys act where the focus is; a question that stands alone takes it.
  if (!$("#grid") && document.activeElement === document.body) $("#panel-title")?.focus({ preventScroll: true });
  if (now() && $("#grid") && document.activeElement === document.body && beside()) {
    focusRow(rows().find((r) => r.dataset.id === $("#panel")?.dataset.id) || current());
    if (!$("#panel")) load(current());
  }
})();
