// The rows of the queue. A grid is one tab stop; the arrow keys move inside it.
const { $, $$ } = window.tower;

export const area = $("#approvals");
export const review = $("#review");

export const rows = () => $$("#grid tbody tr");
export const current = () => $("#grid tbody tr[tabindex='0']") || rows()[0];
export const rowOf = (id) => rows().find((row) => row.dataset.id === id);
// One row that stands for many requests: it is opened, and nothing is decided on it.
export const isFold = (row) => Boolean(row) && "storm" in row.dataset;
export const onRow = () => rows().includes(document.activeElement);
export const shownId = () => $("#panel")?.dataset.id;

export const focusRow = (row) => {
  if (!row) return;
  for (const other of rows()) other.tabIndex = other === row ? 0 : -1;
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
};

// A field of the answer: it is in view as a rule, and then the values must stay where they are.
export const focusField = (field) => {
  if (!field) return;
  field.focus({ preventScroll: true });
  const { top, bottom } = field.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) field.scrollIntoView({ block: "center" });
};

export const select = (id) => {
  for (const row of rows()) row.setAttribute("aria-selected", String(row.dataset.id === id));
};

// Whether the question stands beside the list, rather than on a page of its own.
export const isBeside = () => {
  const list = $("#list");
  if (!review || !list || innerWidth < 720) return false;
  return review.getBoundingClientRect().left > list.getBoundingClientRect().left + 100;
};

export const strike = (row, words) => {
  if (row.dataset.gone) return;
  row.dataset.gone = "1";
  const cell = row.querySelector("[data-claimed]");
  if (cell) cell.textContent = words;
};

// Back to where the keys work: the row of the question, or the question itself.
export const focusBack = () => {
  if ($("#grid")) focusRow(rowOf(shownId()) || current());
  else $("#panel-title").focus();
};

// Why no team of whoever reads it decides the question that is open; nothing if one does.
export const notYours = () => {
  const why = $("#panel")?.dataset.outside;
  return why ? `${why}.` : "";
};
