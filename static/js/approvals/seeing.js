// What of the question was on the screen. A part is seen once each of its ends was there for a
// moment; the server is told, and an approval counts only when it knows.
const { $, $$, now, token } = window.tower;
const THERE_MS = 300;
const TOGETHER_MS = 80;
const AGAIN_MS = 2000;
const PATIENCE_MS = 5000; // a note that hangs is sent again
const WORDS = { arguments: "Exactly what will run", changes: "What changes", why: "Why it needs you" };

let parts = new Map(); // part → its ends that were not on the screen yet
let known = new Set(); // parts of which the server knows
let watcher = null;
let telling = 0;
let form = null;

const tell = async () => {
  const mine = form;
  const seen = [...parts].filter(([part, ends]) => !ends.size && !known.has(part)).map(([part]) => part);
  if (!mine?.isConnected || !seen.length) return;
  const body = new FormData();
  for (const part of seen) body.append("parts", part);
  body.set("digest", mine.elements.digest.value);
  body.set("opened_by", document.body.dataset.user);
  const headers = { Accept: "application/json", "X-CSRFToken": token() ?? mine.elements.csrfmiddlewaretoken.value };
  const answer = await fetch(mine.dataset.seenUrl, { method: "POST", body, headers, signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => null);
  if (mine !== form) return;
  if (answer?.ok && !answer.redirected) {
    for (const part of (await answer.json()).seen) known.add(part);
  } else {
    tellSoon(AGAIN_MS);
  }
};

const tellSoon = (after) => {
  clearTimeout(telling);
  telling = setTimeout(tell, after);
};

const leave = (end) => {
  for (const ends of parts.values()) if (ends.delete(end) && !ends.size) tellSoon(TOGETHER_MS);
};

export const watch = (panel, onChange) => {
  watcher?.disconnect();
  clearTimeout(telling);
  form = $("#decide");
  known = new Set((form?.dataset.seen || "").split(" ").filter(Boolean));
  parts = new Map($$("[data-part]", panel).map((part) => [part.dataset.part, new Set($$("[data-end]", part))]));
  if (!form) return;
  // What the answering bar lies over has not been shown.
  const bar = form.getBoundingClientRect();
  const covered = bar.top < innerHeight ? Math.max(0, innerHeight - bar.top) : 0;
  const waiting = new Map();
  watcher = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        clearTimeout(waiting.get(target));
        if (!isIntersecting) continue;
        const seen = () => {
          if (document.hidden) return;
          watcher.unobserve(target);
          leave(target);
          onChange();
        };
        waiting.set(target, setTimeout(seen, THERE_MS));
      }
    },
    { rootMargin: `2px 0px -${Math.round(covered)}px 0px` },
  );
  for (const ends of parts.values()) for (const end of ends) watcher.observe(end);
};

export const hasUnseen = () => [...parts.values()].some((ends) => ends.size);

// What still has to be on the screen, or be waited for, in words.
export const unread = () => {
  if (!form) return "";
  const values = [...(parts.get("arguments") || [])].filter((end) => end.closest("[data-value]"));
  if (values.length) return `${values.length} value${values.length > 1 ? "s" : ""} not yet shown.`;
  const must = "mustBeSeen" in form.dataset;
  const missing = must && [...parts].find(([part, ends]) => ends.size && !known.has(part));
  if (missing) return `“${WORDS[missing[0]] ?? missing[0]}” not yet shown.`;
  if (must && [...parts.keys()].some((part) => !known.has(part))) return "One moment: noting what you saw…";
  const left = Math.ceil((Date.parse(form.dataset.readyAt) - now()) / 1000);
  return left > 0 ? `Read on: you can approve in ${left} s.` : "";
};

export const showUnseen = () => {
  const first = [...parts.values()].flatMap((ends) => [...ends])[0];
  if (!first) return;
  const details = first.closest("details");
  if (details) details.open = true;
  first.scrollIntoView({ block: "center" });
};
