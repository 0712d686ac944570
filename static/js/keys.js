// Keys of the frame: G then a letter, ?, Ctrl+K. A page adds its own with tower.keys(scope, map).
"use strict";

(() => {
  const { $, $$, open } = window.tower;
  const single = document.body.dataset.keys !== "off";
  const scopes = [];
  let waitingForPage = 0;

  const typing = (el) => el?.isContentEditable || el?.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, .ace_editor");

  // A key that could do nothing was perhaps meant to open a field: what is typed after it is text
  // for a field that isn't there. Until the typing rests, no letter acts. Nor does one while a
  // field is on its way.
  const REST_MS = 1500, SHOWN_MS = 8000;
  let hushedUntil = 0, held = 0;
  const hushed = () => held > 0 || Date.now() < hushedUntil;
  const refuse = (words, rest = REST_MS) => {
    hushedUntil = Math.max(hushedUntil, Date.now() + rest);
    $("#refusal")?.remove();
    const told = Object.assign(document.createElement("div"), { id: "refusal", className: "toast", textContent: words });
    $("#toasts").append(told);
    setTimeout(() => told.remove(), SHOWN_MS);
  };
  const hold = async (job) => {
    held += 1;
    try { return await job; } finally { held -= 1; }
  };
  const swallows = (event) => {
    if (!hushed() || event.key.length > 1 || typing(event.target)) return false;
    if (!held) hushedUntil = Date.now() + REST_MS;
    return true;
  };

  // Letters act only while no text field has the focus and no dialog is open above the page.
  const letters = (event) => {
    if (!single || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return false;
    if (event.isComposing || event.repeat && !/^[jk]$/i.test(event.key)) return false;
    return !swallows(event) && !$("dialog[open]");
  };

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      open("palette");
      return;
    }
    if (event.defaultPrevented || !letters(event)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (Date.now() < waitingForPage) {
      waitingForPage = 0;
      const page = $(`.nav a[data-goto="${CSS.escape(key)}"]`);
      if (page) { event.preventDefault(); location.href = page.href; return; }
    }
    if (key === "g") { waitingForPage = Date.now() + 1500; window.tower.announce("Go to…"); return; }
    if (key === "?") { event.preventDefault(); open("help"); return; }
    for (const { within, map } of scopes) {
      const area = typeof within === "string" ? $(within) : within;
      if (area?.contains(event.target) && map[key]) {
        if (map[key](event) !== false) event.preventDefault();
        return;
      }
    }
  });

  // Help: a searchable list.
  const help = $("#help-search");
  help?.addEventListener("input", () => {
    const wanted = help.value.trim().toLowerCase();
    for (const row of $$("#help-keys > div")) row.hidden = !`${row.dataset.words || ""} ${row.textContent}`.toLowerCase().includes(wanted);
  });

  // Command palette: the pages first, then a search on each page that can search.
  const input = $("#palette-input");
  const list = $("#palette-list");
  const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
  let active = 0;

  const pages = () => $$(".nav-list a[data-goto]").map((a) => ({ label: a.querySelector("span").textContent, url: a.getAttribute("href"), key: a.dataset.goto }));
  const entries = (text) => {
    const words = text.trim().toLowerCase();
    const found = pages().filter((d) => d.label.toLowerCase().includes(words)).map((d) => ({ label: d.label, url: d.url, note: `G ${d.key.toUpperCase()}` }));
    if (!words) return found;
    const url = (key) => pages().find((d) => d.key === key)?.url;
    const asked = encodeURIComponent(text.trim());
    if (UUID.test(text.trim()) && url("r")) found.unshift({ label: `Run ${text.trim()}`, url: `${url("r")}${asked}/`, note: "open" });
    for (const [key, label] of [["r", "Runs"], ["c", "Catalog"], ["a", "Approvals"]]) {
      if (url(key)) found.push({ label: `Search ${label} for “${text.trim()}”`, url: `${url(key)}?q=${asked}`, note: "search" });
    }
    const { objects } = $("#palette").dataset;
    if (objects) found.push({ label: `Everything agents did to “${text.trim()}”`, url: `${objects}?id=${asked}`, note: "one object" });
    return found;
  };
  const draw = () => {
    const found = entries(input.value);
    active = Math.min(active, Math.max(found.length - 1, 0));
    list.replaceChildren(...found.map((entry, i) => {
      const li = document.createElement("li");
      li.id = `palette-${i}`;
      li.role = "option";
      li.dataset.url = entry.url;
      li.setAttribute("aria-selected", String(i === active));
      const label = document.createElement("span");
      label.textContent = entry.label;
      const note = document.createElement("span");
      note.className = "sub";
      note.textContent = entry.note;
      li.append(label, note);
      return li;
    }));
    if (found.length) input.setAttribute("aria-activedescendant", `palette-${active}`);
    else input.removeAttribute("aria-activedescendant");
    $(`#palette-${active}`)?.scrollIntoView({ block: "nearest" });
  };
  const go = () => { const url = $(`#palette-${active}`)?.dataset.url; if (url) location.href = url; };
  input?.addEventListener("input", () => { active = 0; draw(); });
  input?.addEventListener("keydown", (event) => {
    const n = list.children.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      active = (active + (event.key === "ArrowDown" ? 1 : n - 1)) % Math.max(n, 1);
      draw();
    } else if (event.key === "Enter") { event.preventDefault(); go(); }
  });
  list?.addEventListener("click", (event) => { const li = event.target.closest("li"); if (li) location.href = li.dataset.url; });

  // Keys of a page: they act only while the focus is inside `within`.
  window.tower.keys = (within, map) => scopes.push({ within, map });
  Object.assign(window.tower, { typing, refuse, hold, hushed });

  // Opening a fold that holds a field is asking to type into it: the letters belong there, the first
  // one too, so it is opened here and now instead of by the browser in a while.
  document.addEventListener("click", (event) => {
    const details = event.target.closest?.("summary")?.parentElement;
    if (event.defaultPrevented || !details?.matches("details:has(> form)")) return;
    event.preventDefault();
    details.open = !details.open;
    if (details.open) $("textarea, input:not([type=hidden])", details)?.focus();
  });
})();
