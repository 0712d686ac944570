// Live: new rows gather behind a button, shown ones are marked, nothing moves under the reader.
import { area, current, focusRow, onRow, rowOf, rows, select, shownId, strike } from "./rows.js";

const { $, announce } = window.tower;
const REST_MS = 400;
const FIRST_MS = 1500; // what happened between drawing the page and listening
const QUIET_MS = 5000;
const LONGEST_MS = 2 ** 31 - 1; // that a browser can wait

let waiting = 0;
let lastSaid = 0;
let timer = 0;
let waking = 0;

const timeOf = (at) => (at ? new Date(at).toLocaleTimeString([], { hour12: false }) : "");
const write = (cell, text) => {
  if (cell && cell.textContent !== text) cell.textContent = text;
};
// One after another: of two that are asked for at once htmx drops one.
let drawn = Promise.resolve();
const redraw = (url, part) => {
  const draw = () => window.htmx.ajax("GET", url, { target: part, select: part, swap: "outerHTML" });
  drawn = drawn.then(draw, draw);
};

const ask = async () => {
  const url = new URL(area.dataset.changes, location.href);
  url.search = location.search;
  url.searchParams.delete("open");
  url.searchParams.delete("after");
  url.searchParams.set("since", $("#list").dataset.since);
  url.searchParams.set("ids", rows().map((row) => row.dataset.id).join(","));
  try {
    const headers = { Accept: "application/json" };
    const answer = await fetch(url, { headers, redirect: "error", cache: "no-store" });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
};

// The row stays where it is and says that somebody was called; the order is made anew on request.
const sayCalled = (row, { calls, escalated }) => {
  row.dataset.calls = String(calls);
  row.dataset.escalated = "";
  const { to, at, why } = escalated;
  write(row.querySelector("[data-called]"), `Escalated to ${to} ${timeOf(at)} (${why})`);
};

const sayDelegated = (row, told) => {
  const cell = row.querySelector("[data-delegated]");
  if (!cell || cell.dataset.delegated === String(told.delegation)) return; // as it was drawn, with its note
  cell.dataset.delegated = String(told.delegation);
  write(cell, told.delegated);
};

const mark = (row, told) => {
  write(row.querySelector("[data-votes]"), told.votes);
  if (told.state !== "pending") {
    strike(row, `${told.state}${told.by ? ` by ${told.by}` : ""} ${timeOf(told.at)}`.trim());
    return;
  }
  if (row.dataset.gone) return;
  write(row.querySelector("[data-claimed]"), told.claimed);
  sayDelegated(row, told);
  if (told.escalated && row.dataset.calls !== String(told.calls)) sayCalled(row, told);
};

const whose = (name) => (name === "you" || !name ? name : "another");
const claimShown = () => {
  const { mine, anothers, absents } = $("#claim")?.dataset ?? {};
  return mine ? "you" : anothers || absents ? "another" : "";
};

const bringPanelUpToDate = (told) => {
  const place = rowOf(told.id).dataset.url;
  if (told.state !== "pending" && $("#panel").dataset.state === "pending") {
    announce(`This was ${told.state}${told.by ? ` by ${told.by}` : ""} meanwhile`);
    window.htmx.ajax("GET", place, { target: "#review", swap: "innerHTML" });
  } else if (whose(told.claimed) !== claimShown()) {
    redraw(place, "#claim");
  }
  const delegation = $("#delegation");
  if (delegation && delegation.dataset.delegation !== String(told.delegation) && !$("#delegate-note")?.value) {
    redraw(place, "#delegation");
    redraw(place, "#pass-on");
  }
  const calls = $("#escalation");
  if (calls && calls.dataset.calls !== String(told.calls) && !$("#note")?.value) {
    redraw(place, "#escalation");
  }
};

const tell = (found) => {
  const critical = found.critical ? `, ${found.critical} critical` : "";
  const parts = [];
  if (found.new) parts.push(`${found.new} new${critical}`);
  if (found.called) parts.push(`${found.called} escalated to you`);
  $("#news").hidden = !parts.length;
  $("#news-text").textContent = `${parts.join(", ")} –`;
  if (found.new > waiting && Date.now() - lastSaid > QUIET_MS) {
    lastSaid = Date.now();
    announce(`${found.new} new approval${found.new > 1 ? "s" : ""}${critical}`);
  }
  waiting = found.new;
};

// What was snoozed comes back though nothing else happens meanwhile.
const wakeAt = (moment) => {
  clearTimeout(waking);
  const left = moment ? new Date(moment) - Date.now() : LONGEST_MS;
  if (left < LONGEST_MS) waking = setTimeout(refresh, Math.max(left, 0) + REST_MS);
};

const refresh = async () => {
  if (!$("#list") || document.hidden) return;
  const found = await ask();
  const tab = new URLSearchParams(location.search).get("tab") || "waiting";
  if (!found || tab !== "waiting") return;
  const told = new Map(found.rows.map((row) => [row.id, row]));
  for (const row of rows()) if (told.has(row.dataset.id)) mark(row, told.get(row.dataset.id));
  const open = told.get(shownId());
  if (open && rowOf(open.id)) bringPanelUpToDate(open);
  tell(found);
  wakeAt(found.wakes);
  if (!rows().length && found.new) showNew();
};

// The row that had the focus; where it is gone, the next one down of those that are left, else up:
// who goes on with J from there skips nothing.
const stillThere = (ids, at) => {
  const next = at < 0 ? [] : [...ids.slice(at), ...ids.slice(0, at).reverse()];
  return rowOf(next.find((id) => rowOf(id)));
};

export const showNew = async () => {
  const before = rows().map((row) => row.dataset.id);
  const at = before.indexOf(current()?.dataset.id);
  const had = onRow() || document.activeElement.closest("#news");
  const here = location.pathname + location.search;
  await window.htmx.ajax("GET", here, { target: "#list", swap: "outerHTML" });
  $("#news").hidden = true;
  waiting = 0;
  select(shownId());
  if (had) focusRow(stillThere(before, at) || rows()[0]);
};

export const listen = () => {
  area.addEventListener("click", (event) => {
    if (event.target.closest("[data-show-new]")) showNew();
  });
  document.body.addEventListener("tick:approvals", () => {
    clearTimeout(timer);
    timer = setTimeout(refresh, REST_MS);
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh();
  });
  setTimeout(refresh, FIRST_MS);
};
