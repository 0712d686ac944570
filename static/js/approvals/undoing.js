// Taking an approval back: the one that is shown, else the last that was given here.
import { focusBack, rowOf } from "./rows.js";

const { $, announce, refuse } = window.tower;
const SETTLE_MS = 50;

let last = ""; // where the last one given here is taken back

export const undo = () => {
  const button = $("#undo");
  if (button) button.click();
  else if (last) window.htmx.ajax("POST", last, { source: "#review", target: "#review", swap: "innerHTML" });
  else refuse("There is no approval here that can be taken back.");
};

const onUndone = (event) => {
  last = "";
  const row = rowOf(event.detail.id);
  const cell = row?.querySelector("[data-claimed]");
  if (row) delete row.dataset.gone;
  if (cell) cell.textContent = "";
  announce("Taken back: nothing was carried out, and it waits again");
  setTimeout(focusBack, SETTLE_MS);
};

export const rememberUndo = () => {
  document.body.addEventListener("approval:decided", (event) => {
    last = event.detail.undo || last;
  });
  document.body.addEventListener("approval:undone", onUndone);
};
