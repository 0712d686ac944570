// The question: what was shown of it, and what still keeps its answer from being given.
import { select } from "./rows.js";

const { $, $$ } = window.tower;
const HIGH = 3;
const ARM_MS = 1500;
const LOOK_MS = 250;

// A reason outlives its panel: another row may be looked at, or somebody may be first.
export const typed = new Map();

let visibleSince = 0;
let dwell = 0;
let armedAt = 0;
let unseen = new Set();
let watcher = null;
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

const watchValues = (panel) => {
  unseen = new Set($$("[data-value] [data-end]", panel));
  // What the answering bar lies over has not been shown.
  const bar = $("#decide")?.getBoundingClientRect();
  const covered = bar && bar.top < innerHeight ? Math.max(0, innerHeight - bar.top) : 0;
  watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        unseen.delete(entry.target);
        watcher.unobserve(entry.target);
      }
      gate();
    },
    { rootMargin: `2px 0px -${Math.round(covered)}px 0px` },
  );
  for (const end of unseen) watcher.observe(end);
};

export const panelReady = () => {
  const panel = $("#panel");
  watcher?.disconnect();
  clearInterval(ticking);
  if (!panel) return;
  const opened = performance.now();
  dwell = 0;
  visibleSince = document.hidden ? 0 : opened;
  armedAt = opened + (Number(panel.dataset.risk) >= HIGH ? ARM_MS : 0);
  watchValues(panel);
  ticking = setInterval(gate, LOOK_MS);
  bringBack(panel);
  gate();
  select(panel.dataset.id);
};

export const isClaimedByAnother = () => Boolean($("#claim")?.dataset.anothers);
export const hasUnseen = () => unseen.size > 0;

// What still keeps the answer from being given, in the order in which a person would mend it.
export const missing = (answer) => {
  const form = $("#decide");
  if (!form) return "";
  const reason = $("#reason").value.trim();
  if (isClaimedByAnother()) return "Somebody else has claimed it: take over the claim first.";
  if (answer === "reject") return reason ? "" : "Say why you reject.";
  if (form.dataset.notApprove) return form.dataset.notApprove;
  if (unseen.size) return `${unseen.size} value${unseen.size > 1 ? "s" : ""} not yet shown.`;
  if (form.dataset.needsReason && !reason) return "Say why you approve: the risk asks for a reason.";
  return performance.now() < armedAt ? "Ready in a moment…" : "";
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
  const text = missing(step) || (form.dataset.step ? `Ctrl+Enter to ${form.dataset.step}` : "");
  if (text !== said) {
    said = text;
    $("#decide-hint").textContent = text;
  }
  $("#show-unseen").hidden = !unseen.size || step === "reject";
};

export const sayAgain = () => {
  said = "";
  gate();
};

export const showUnseen = () => {
  const [first] = unseen;
  if (!first) return;
  const details = first.closest("details");
  if (details) details.open = true;
  first.scrollIntoView({ block: "center" });
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
