// Opening a row's question: beside the list, or on its own page where there is no room.
import { area, current, focusRow, isBeside, isFold, onRow, review, rows, select, shownId } from "./rows.js";

const { $, refuse } = window.tower;
const FOLLOW_MS = 180;

let loading = null; // the row on its way and its promise: asked twice, it is fetched once
let following = 0;
let wanted = ""; // the row that was asked for last

export const load = (row) => {
  clearTimeout(following);
  if (isFold(row)) {
    showFold(row);
    return Promise.resolve();
  }
  if (!isBeside()) {
    location.href = row.dataset.url;
    return Promise.resolve();
  }
  if (loading?.id === row.dataset.id) return loading.done;
  if (!loading && shownId() === row.dataset.id) return Promise.resolve(); // what is typed there stays
  const mine = { id: row.dataset.id };
  loading = mine;
  wanted = mine.id;
  mine.done = fetchRow(row).finally(() => {
    if (loading === mine) loading = null;
  });
  return mine.done;
};

// Whatever was shown beside the list is not what the focus is on: no key may act on it.
const showFold = (row) => {
  if (!isBeside()) return;
  loading = null;
  wanted = "";
  review.replaceChildren(row.querySelector("template").content.cloneNode(true));
  select(null);
};

export const open = (row) => {
  if (!isFold(row)) return load(row);
  location.href = row.dataset.url;
  return Promise.resolve();
};

const fetchRow = async (row) => {
  select(row.dataset.id);
  $("#panel")?.classList.add("busy");
  // Each row asks for itself: of two requests of one element htmx puts the second off, and says at
  // once that it was done.
  await window.htmx.ajax("GET", row.dataset.url, { source: row, target: "#review", swap: "innerHTML" });
  if (shownId() !== row.dataset.id) return; // another one was asked for since
  const url = new URL(location.href);
  url.searchParams.set("open", row.dataset.id);
  history.replaceState(history.state, "", url);
};

// The question follows the row, once the keys rest; never over a typed reason.
const follow = () => {
  clearTimeout(following);
  if (!isBeside() || $("#reason")?.value) return;
  following = setTimeout(() => {
    const row = current();
    if (onRow() && shownId() !== row.dataset.id && !$("#reason")?.value) load(row);
  }, FOLLOW_MS);
};

export const move = (by) => {
  const all = rows();
  const at = all.indexOf(current());
  const next = onRow() ? Math.min(Math.max(at + by, 0), all.length - 1) : Math.max(at, 0);
  focusRow(all[next]);
  follow();
};

// The question of the row that has the focus, before a key acts on it: whether it is there.
export const ensure = async () => {
  clearTimeout(following);
  const row = current();
  if (!row || !onRow() || shownId() === row.dataset.id) return true;
  await load(row);
  if (isFold(row) || shownId() === row.dataset.id) return true;
  if (!isBeside()) return false; // it opens on a page of its own
  refuse("This question did not come: press the key again.");
  return false;
};

// What comes after another row was asked for is shown no more.
const keepLatest = (event) => {
  const asker = event.detail.requestConfig?.elt;
  if (event.detail.target !== review || !asker?.matches("tr[data-id]")) return;
  if (asker.dataset.id !== wanted) event.detail.shouldSwap = false;
};

export const openOnClick = () => {
  document.body.addEventListener("htmx:beforeSwap", keepLatest);
  area.addEventListener("click", (event) => {
    const row = event.target.closest("#grid tbody tr");
    if (isFold(row) && !event.target.closest("a")) open(row);
    if (!row || isFold(row) || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    if (!isBeside()) {
      if (!event.target.closest("a")) location.href = row.dataset.url;
      return;
    }
    event.preventDefault();
    focusRow(row);
    load(row);
  });
};
