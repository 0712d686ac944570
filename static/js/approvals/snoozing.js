// Snoozing: out of one's own sight for a while, and back.
import { focusBack, focusRow, rowOf, rows, strike } from "./rows.js";

const { $, announce, refuse } = window.tower;
const SETTLE_MS = 50;

export const openSnooze = () => {
  const button = $("#wake") || $("#snooze button");
  if (button) button.focus();
  else refuse("There is nothing here that you could snooze.");
};

const onSnoozed = ({ detail }) => {
  const at = new Date(detail.until).toLocaleTimeString([], { hour12: false });
  const row = rowOf(detail.id);
  if (row) strike(row, `snoozed until ${at}`);
  announce(`Snoozed until ${at}`);
  const below = row ? rows().slice(rows().indexOf(row) + 1) : [];
  const next = below.find((other) => !other.dataset.gone);
  setTimeout(() => (next ? focusRow(next) : focusBack()), SETTLE_MS);
};

const onWoken = ({ detail }) => {
  const row = rowOf(detail.id);
  const cell = row?.querySelector("[data-claimed]");
  if (row) delete row.dataset.gone;
  if (cell) cell.textContent = "";
  announce("It is in your queue again");
  setTimeout(focusBack, SETTLE_MS);
};

export const tellSnoozes = () => {
  document.body.addEventListener("approval:snoozed", onSnoozed);
  document.body.addEventListener("approval:woken", onWoken);
};
