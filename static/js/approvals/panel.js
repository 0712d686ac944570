// The question: what was shown of it, and what still keeps its answer from being given.
import { select } from "./rows.js";
import { hasUnseen, unread, watch } from "./seeing.js";

const { $, $$ } = window.tower;
const LOOK_MS = 250;

// A reason outlives its panel: another row may be looked at, or somebody may be first.
export const typed = new Map();

let visibleSince = 0;
let dwell = 0;
let ticking = 0;
let said = "";

const keepBeside = (panel, words) => {
  const field = document.createElement("div");
  field.className = "field";
  const label = document.createElement("label");
  const text = document.createElement("textarea");
  Object.assign(label, { htmlFor: "kept", textContent: "The reason you typed (nothing was sent)" });
  Object.assign(text, { id: "kept", rows: 2, readOnly: true, value: words });
  field.append(label, text);
  panel.querySelector("header").after(field);
};

const bringBack = (panel) => {
  const kept = typed.get(panel.dataset.id);
  const reason = $("#reason");
  if (!kept) return;
  if (reason) reason.value ||= kept;
  else if (panel.dataset.state !== "pending" && !$("#kept")) keepBeside(panel, kept);
};

export const panelReady = () => {
  const panel = $("#panel");
  clearInterval(ticking);
  if (!panel) return;
  const opened = performance.now();
  dwell = 0;
  visibleSince = document.hidden ? 0 : opened;
  watch(panel, gate);
  ticking = setInterval(gate, LOOK_MS);
  bringBack(panel);
  gate();
  select(panel.dataset.id);
};

export const isClaimedByAnother = () => Boolean($("#claim")?.dataset.anothers);

// What still keeps the answer from being given, in the order in which a person would mend it.
export const missing = (answer) => {
  const form = $("#decide");
  if (!form) return "";
  const reason = $("#reason").value.trim();
  if (isClaimedByAnother()) return "Somebody else has claimed it: take over the claim first.";
  if (answer === "reject") return reason ? "" : "Say why you reject.";
  if (form.dataset.notApprove) return form.dataset.notApprove;
  if ($("[data-look-again]")) return "The same was asked before: look at that first.";
  if (hasUnseen() && unread()) return unread();
  if (form.dataset.needsReason && !reason) return "Say why you approve: the risk asks for a reason.";
  if ($("#confirm") && !$("#confirm").value.trim()) return `Type to confirm: ${confirmLabel()}.`;
  return unread();
};

const confirmLabel = () => $("label[for=confirm]").firstChild.textContent.trim().toLowerCase();

// What the keys would do now.
const nextKey = (step) => {
  if (!step) return "";
  if (step === "approve" && document.activeElement?.dataset.answer === step) return "Enter approves, Esc goes back";
  return step === "approve" ? "Ctrl+Enter, then Enter to approve" : "Ctrl+Enter to reject";
};

export const gate = () => {
  const form = $("#decide");
  if (!form) return;
  for (const button of $$("[data-answer]", form)) {
    // A rejection without a reason leads to the field; an approval stays closed until it may be.
    const { answer } = button.dataset;
    const isClosed = Boolean(missing(answer)) && (answer === "approve" || isClaimedByAnother());
    button.setAttribute("aria-disabled", String(isClosed));
  }
  const step = form.dataset.step || "approve";
  const text = missing(step) || nextKey(form.dataset.step);
  if (text !== said) {
    said = text;
    $("#decide-hint").textContent = text;
  }
  $("#show-unseen").hidden = !hasUnseen() || !missing(step) || step === "reject";
};

export const sayAgain = () => {
  said = "";
  gate();
};

// How long it could be seen: measured, never judged by itself.
const seenFor = () => Math.round(dwell + (visibleSince ? performance.now() - visibleSince : 0));

export const measureSeeing = () => {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      dwell = seenFor();
      visibleSince = 0;
    } else {
      visibleSince = performance.now();
    }
  });
  document.body.addEventListener("htmx:configRequest", (event) => {
    if (event.target.id !== "decide") return;
    const { parameters, triggeringEvent } = event.detail;
    parameters.set("dwell_ms", String(seenFor()));
    // htmx adds the button that was clicked; one that the keyboard stands for it has to be told.
    const answer = triggeringEvent?.submitter?.dataset.answer;
    if (answer) parameters.set("answer", answer);
  });
};
