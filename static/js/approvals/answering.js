// Answering: a key or a button begins it, the reason is typed, Ctrl+Enter or the button sends it.
import { claimQuietly } from "./claims.js";
import { ensure } from "./opening.js";
import { gate, hasUnseen, missing, sayAgain, showUnseen, typed } from "./panel.js";
import { focusBack, focusRow, review, rowOf, rows, shownId, strike } from "./rows.js";

const { $, announce } = window.tower;
const SETTLE_MS = 50;

export const step = async (answer) => {
  await ensure();
  const form = $("#decide");
  if (!form) {
    announce("Nothing to decide here");
    return;
  }
  form.dataset.step = answer;
  claimQuietly();
  $("#reason").focus({ preventScroll: true }); // the step is always in view; the values must stay so
  announce(answer === "approve" ? "Approve: reason" : "Reject: reason");
  gate();
};

const commit = () => {
  const form = $("#decide");
  const answer = form?.dataset.step;
  if (!answer) return;
  const why = missing(answer);
  if (!why) {
    form.requestSubmit($(`[data-answer=${answer}]`, form));
    return;
  }
  // The keys alone lead through everything that was not on the screen yet.
  if (answer === "approve" && hasUnseen()) showUnseen();
  sayAgain();
  announce(why);
};

const onInput = (event) => {
  if (event.target.id !== "reason") return;
  typed.set(shownId(), event.target.value);
  claimQuietly();
  gate();
};

const onClick = (event) => {
  if (event.target.closest("#show-unseen")) {
    showUnseen();
    return;
  }
  const button = event.target.closest("[data-answer]");
  const why = button && missing(button.dataset.answer);
  if (!why) return;
  event.preventDefault();
  $("#decide").dataset.step = button.dataset.answer;
  gate();
  announce(why);
  if (/why/i.test(why)) $("#reason").focus({ preventScroll: true });
};

const onKey = (event) => {
  const { key, target } = event;
  if (key === "Enter" && (event.ctrlKey || event.metaKey) && target.closest?.("#review")) {
    event.preventDefault();
    if (target.id === "note") target.form.requestSubmit();
    else commit();
  }
  if (key === "Escape" && target.id === "note") {
    $("details.escalate").open = false;
    $("details.escalate summary").focus();
  }
  if (key === "Escape" && target.closest?.("#decide") && !$("dialog[open]")) {
    delete $("#decide").dataset.step;
    focusBack();
  }
};

const onDecided = (event) => {
  const { id, state } = event.detail;
  typed.delete(id);
  const pace = $("#pace");
  if (pace) pace.textContent = String(Number(pace.textContent) + 1);
  const row = rowOf(id);
  if (!row) {
    announce(`Done: ${state}`);
    setTimeout(() => $("#panel-title")?.focus(), SETTLE_MS);
    return;
  }
  if (state !== "pending") strike(row, `${state} by you`);
  const all = rows();
  const left = all.filter((other) => !other.dataset.gone);
  const below = all.slice(all.indexOf(row) + 1);
  const next = below.find((other) => !other.dataset.gone) || left[0] || row;
  announce(
    state === "pending"
      ? "Your vote counts; another person has to agree"
      : `Done: ${state}. ${left.length} left on this page`,
  );
  setTimeout(() => focusRow(next), SETTLE_MS);
};

export const takeAnswers = () => {
  review?.addEventListener("input", onInput);
  review?.addEventListener("click", onClick, true);
  document.addEventListener("keydown", onKey);
  document.body.addEventListener("approval:decided", onDecided);
};
