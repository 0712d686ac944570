// The queue of approvals: puts its parts together and gives them their keys.
import { lookedAgain, step, takeAnswers } from "./answering.js";
import { renewClaims } from "./claims.js";
import { openDelegation, tellDelegations } from "./delegating.js";
import { escalated, openNote } from "./escalating.js";
import { listen, showNew } from "./news.js";
import { ensure, load, move, open, openOnClick } from "./opening.js";
import { gate, measureSeeing, panelReady, typed } from "./panel.js";
import { signAnswers } from "./passkey.js";
import { openSnooze, tellSnoozes } from "./snoozing.js";
import { rememberUndo, undo } from "./undoing.js";
import { area, current, focusRow, isBeside, notYours, onRow, review, rowOf, rows, shownId } from "./rows.js";

const { $, $$, hold, hushed, now, refuse } = window.tower;

const claimOrRelease = () => {
  const button = $("[data-claim]");
  if (button) button.click();
  else refuse(notYours() || "There is nothing to claim here.");
};

const edit = () => {
  const link = $("#edit");
  if (link) location.href = link.href;
  else refuse(notYours() || "There is nothing to edit here.");
};

const together = () => {
  const button = $("#together");
  if (button) button.click();
  else refuse(notYours() || "Nothing like it waits that could be decided with it.");
};

// What a key does to the question of the row that has the focus, once that is the one shown.
const act = (does) => () => hold(ensure().then((isThere) => isThere && does()));

const bindKeys = () => {
  window.tower.keys(area, {
    j: () => move(1),
    k: () => move(-1),
    a: () => step("approve"),
    r: () => step("reject"),
    c: act(claimOrRelease),
    "!": act(openNote),
    s: act(openSnooze),
    d: act(openDelegation),
    e: act(edit),
    z: () => undo(),
    b: act(together),
    ".": () => showNew(),
    "/": () => $("#q")?.focus(),
  });
  const acts = {
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    Home: () => focusRow(rows()[0]),
    End: () => focusRow(rows().at(-1)),
    Enter: () => open(current()),
    " ": () => open(current()),
  };
  const isPlain = (event) => !(event.ctrlKey || event.metaKey || event.altKey);
  area.addEventListener("keydown", (event) => {
    if (!onRow() || !isPlain(event) || !acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  });
  // The keys of the list also work while nothing at all has the focus.
  const fromNowhere = {
    j: () => focusRow(current()),
    k: () => focusRow(current()),
    ArrowDown: () => focusRow(current()),
    ArrowUp: () => focusRow(current()),
    "/": () => $("#q")?.focus(),
    ".": () => showNew(),
  };
  document.addEventListener("keydown", (event) => {
    const isFree = event.target === document.body && document.body.dataset.keys !== "off";
    if (!isFree || !isPlain(event) || !fromNowhere[event.key] || $("dialog[open]")) return;
    if (event.key.length === 1 && hushed()) return;
    event.preventDefault();
    fromNowhere[event.key]();
  });
};

const afterSettle = (event) => {
  const is = (id) => event.target.id === id || event.detail.elt?.id === id;
  if (event.target.id === "review") {
    panelReady();
    if ($("#decide-error")) $("#reason")?.focus();
    if ($("#delegate-error")) $("#delegate-to")?.focus();
  }
  if (is("claim")) gate();
  if (is("same")) lookedAgain();
  if (is("escalation")) escalated();
};

// Keys act where the focus is; a question that stands alone takes it.
const focusFirst = () => {
  if (document.activeElement !== document.body) return;
  if (!$("#grid")) $("#panel-title")?.focus({ preventScroll: true });
  else if (now() && isBeside()) {
    focusRow(rowOf(shownId()) || current());
    if (!$("#panel") && current()) load(current());
  }
};

const isTyped = () =>
  [...typed.values()].some((words) => words.trim()) ||
  (review && $$("textarea, input", review).some((field) => field.value !== field.defaultValue));

// Whatever leads away (a key, a link, a form) asks first where something typed would be lost. For
// who stays, what they sent counts as not sent.
const onLeave = (event) => {
  if (!isTyped()) return;
  event.preventDefault();
  setTimeout(() => {
    for (const form of $$("form[data-sent]")) delete form.dataset.sent;
  });
};

if (area) {
  openOnClick();
  measureSeeing();
  takeAnswers();
  signAnswers();
  rememberUndo();
  tellDelegations();
  tellSnoozes();
  renewClaims();
  listen();
  bindKeys();
  document.body.addEventListener("htmx:afterSettle", afterSettle);
  addEventListener("beforeunload", onLeave);
  const help = $("#page-keys");
  if (help) $("#help-keys")?.append(help.content.cloneNode(true));
  panelReady();
  focusFirst();
}
