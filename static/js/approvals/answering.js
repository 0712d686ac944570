// Answering: a key or a button begins it, the reason is typed, Ctrl+Enter or the button sends it.
import { claimQuietly } from "./claims.js";
import { ensure } from "./opening.js";
import { gate, missing, sayAgain, typed } from "./panel.js";
import { focusBack, focusField, focusRow, notYours, review, rowOf, rows, shownId, strike } from "./rows.js";
import { hasUnseen, showUnseen } from "./seeing.js";

const { $, announce, refuse, hold } = window.tower;
const SETTLE_MS = 50;

// What is typed while the question is still on its way belongs to its field, and to no key.
export const step = (answer) => hold(open(answer));

const open = async (answer) => {
  if (!(await ensure())) return;
  const form = $("#decide");
  if (!form) {
    refuse(notYours() || "There is nothing to decide here.");
    return;
  }
  form.dataset.step = answer;
  claimQuietly();
  focusField($("#reason"));
  announce(answer === "approve" ? "Approve: reason" : "Reject: reason");
  gate();
};

// The button that says that what was asked before is meant once more, until it is pressed.
const lookAgain = () => $("[data-look-again]");

// It is gone once it was pressed: on to where it was missing, or to the answer of who pressed it.
export const lookedAgain = () => {
  gate();
  if (document.activeElement !== document.body) return;
  focusField(lookAgain() || ($("#decide")?.dataset.step ? $("#reason") : $("#same")));
};

const commit = () => {
  const form = $("#decide");
  const answer = form?.dataset.step;
  if (!answer) return;
  const why = missing(answer);
  const button = $(`[data-answer=${answer}]`, form);
  if (!why) {
    // The keys reject at once, and approve in two different strokes: the words of the button first.
    if (answer === "reject") form.requestSubmit(button);
    else if (document.activeElement === button) refuse("Enter alone approves. Esc goes back.", 0);
    else button.focus();
    gate();
    return;
  }
  // The keys alone lead through everything that was not on the screen yet.
  if (answer === "approve" && lookAgain()) lookAgain().focus();
  else if (answer === "approve" && hasUnseen()) showUnseen();
  else if (/^Type/.test(why)) focusField($("#confirm"));
  sayAgain();
  announce(why);
};

const onInput = (event) => {
  if (event.target.id === "confirm") gate();
  if (event.target.id !== "reason") return;
  typed.set(shownId(), event.target.value);
  claimQuietly();
  gate();
};

// A reason of the job: taken as it is, beside what was typed.
const take = (button) => {
  const reason = $("#reason");
  const { reason: words, for: answer } = button.dataset;
  reason.value = reason.value.trim() ? `${reason.value.trim()} ${words}` : words;
  $("#decide").dataset.step = answer;
  reason.dispatchEvent(new Event("input", { bubbles: true }));
  focusField(reason);
};

const onClick = (event) => {
  const offered = event.target.closest("[data-reason]");
  if (offered) take(offered);
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
  if (/why/i.test(why)) focusField($("#reason"));
  if (/^Type/.test(why)) focusField($("#confirm"));
};

const onKey = (event) => {
  const { key, target } = event;
  if (key === "Enter" && (event.ctrlKey || event.metaKey) && target.closest?.("#review")) {
    event.preventDefault();
    if (target.matches("#note, #delegate-note")) target.form.requestSubmit();
    else commit();
  } else if (key === "Enter" && target.id === "confirm") {
    event.preventDefault(); // the first button of a form would take it
    commit();
  } else if (key === "Enter" && event.repeat && target.closest?.("[data-answer]")) {
    event.preventDefault(); // a key that is held down answers nothing
  }
  const fold = target.closest?.("details.escalate, details.delegate");
  if (key === "Escape" && fold) {
    fold.open = false;
    $("summary", fold).focus();
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
  setTimeout(() => {
    // Whoever types somewhere else by now keeps typing there.
    if (!window.tower.typing(document.activeElement)) focusRow(next);
  }, SETTLE_MS);
};

export const takeAnswers = () => {
  review?.addEventListener("input", onInput);
  review?.addEventListener("click", onClick, true);
  review?.addEventListener("focusin", gate);
  document.addEventListener("keydown", onKey);
  document.body.addEventListener("approval:decided", onDecided);
};
