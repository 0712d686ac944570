// Delegating: to whom and why, and what happens after it was sent.
import { focusBack, focusField, notYours } from "./rows.js";

const { $, announce, refuse } = window.tower;
const SETTLE_MS = 50;

export const openDelegation = () => {
  const details = $("details.delegate");
  if (!details) {
    refuse(notYours() || "There is nothing here that you could delegate.");
    return;
  }
  details.open = true;
  details.scrollIntoView({ block: "nearest" });
  focusField($("#delegate-to"));
};

const done = (words) => () => {
  announce(words);
  setTimeout(focusBack, SETTLE_MS);
};

export const tellDelegations = () => {
  document.body.addEventListener("approval:delegated", done("Delegated: it is their claim now"));
  document.body.addEventListener("approval:given_back", done("Given back"));
};
