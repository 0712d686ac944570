// Escalating: a note to whoever is called next, and what happens after it was sent.
import { focusBack, focusField } from "./rows.js";

const { $, announce, refuse } = window.tower;

export const openNote = () => {
  const details = $("details.escalate");
  if (!details) {
    refuse($("#escalation") ? "Everybody who can be called was called: no note opened." : "There is nothing to escalate here.");
    return;
  }
  details.open = true;
  details.scrollIntoView({ block: "nearest" });
  focusField($("#note"));
};

export const escalated = () => {
  if ($("#escalate-error")) {
    $("#note")?.focus();
    return;
  }
  if (document.activeElement !== document.body) return;
  announce($("#escalation .calls strong")?.textContent || "Escalated");
  focusBack();
};
