// Several requests in one table: what of it was on the screen, what is chosen, and what still keeps
// it from being approved. The server is told of each row and judges by itself.
const { $, $$, now, token } = window.tower;
const form = $("#table");
const THERE_MS = 300;
const TOGETHER_MS = 120;
const AGAIN_MS = 2000;
const PATIENCE_MS = 5000; // a note that hangs is sent again
const TICK_MS = 500;

const ends = new Map($$("[data-row]").map((row) => [row, new Set($$("[data-end]", row))]));
let telling = 0;

const isSeen = (row) => "seen" in row.dataset;
const boxOf = (row) => $("input[name=rows]", row);
const chosen = () => $$("input[name=rows]:checked").map((box) => box.closest("[data-row]"));

const tell = async () => {
  const rows = [...ends].filter(([row, left]) => !left.size && !isSeen(row)).map(([row]) => row);
  if (!rows.length) return;
  const body = new FormData();
  for (const row of rows) body.append("rows", row.dataset.row);
  body.set("opened_by", document.body.dataset.user);
  const headers = { Accept: "application/json", "X-CSRFToken": token() ?? form.elements.csrfmiddlewaretoken.value };
  const answer = await fetch(form.dataset.seenUrl, { method: "POST", body, headers, signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => null);
  if (!answer?.ok || answer.redirected) {
    tellSoon(AGAIN_MS);
    return;
  }
  const noted = new Set((await answer.json()).seen);
  for (const row of rows) if (noted.has(row.dataset.row)) row.dataset.seen = "";
  gate();
};

const tellSoon = (after) => {
  clearTimeout(telling);
  telling = setTimeout(tell, after);
};

const watch = () => {
  const waiting = new Map();
  const bar = $(".answer-bar").getBoundingClientRect();
  const covered = bar.top < innerHeight && getComputedStyle($(".answer-bar")).position === "sticky" ? innerHeight - bar.top : 0;
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        clearTimeout(waiting.get(target));
        if (!isIntersecting) continue;
        waiting.set(target, setTimeout(() => {
          if (document.hidden) return;
          watcher.unobserve(target);
          const row = target.closest("[data-row]");
          ends.get(row).delete(target);
          if (!ends.get(row).size) tellSoon(TOGETHER_MS);
          gate();
        }, THERE_MS));
      }
    },
    { rootMargin: `2px 0px -${Math.max(0, Math.round(covered))}px 0px` },
  );
  for (const row of ends.keys()) for (const end of ends.get(row)) watcher.observe(end);
};

const missing = () => {
  const rows = chosen();
  if (!rows.length) return "Choose at least one row.";
  const unseen = rows.filter((row) => !isSeen(row)).length;
  if (unseen) return `${unseen} of ${rows.length} rows not yet shown.`;
  const left = Math.ceil((Date.parse(form.dataset.readyAt) - now()) / 1000);
  return left > 0 ? `Read on: you can approve in ${left} s.` : "";
};

const money = (cents) => (cents / 100).toLocaleString("en-US", { style: "currency", currency: "USD" });

const gate = () => {
  const rows = chosen();
  const why = missing();
  const cents = rows.reduce((sum, row) => sum + Number(boxOf(row).dataset.cents), 0);
  const write = (el, text) => {
    if (el.textContent !== text) el.textContent = text;
  };
  write($("#chosen"), `${rows.length} chosen, ${money(cents)}`);
  write($("#approve-table"), `Approve ${rows.length} request${rows.length === 1 ? "" : "s"} (${money(cents)})`);
  write($("#reject-table"), `Reject ${rows.length}`);
  write($("#table-hint"), why);
  $("#approve-table").setAttribute("aria-disabled", String(Boolean(why)));
  $("#table-unseen").hidden = !rows.some((row) => !isSeen(row));
};

const onSubmit = (event) => {
  const word = event.submitter?.value;
  const why = word === "approve" ? missing() : !chosen().length ? "Choose at least one row." : !$("#table-reason").value.trim() ? "Say why you reject." : "";
  if (!why) return;
  event.preventDefault();
  event.stopPropagation();
  $("#table-hint").textContent = why;
  window.tower.announce(why);
  if (word === "reject" && /why/.test(why)) $("#table-reason").focus();
};

if (form && $(".answer-bar")) {
  watch();
  gate();
  setInterval(gate, TICK_MS);
  form.addEventListener("change", gate);
  form.addEventListener("submit", onSubmit);
  addEventListener("beforeunload", (event) => {
    if (!form.dataset.sent && $("#table-reason").value.trim()) event.preventDefault();
  });
  form.addEventListener("keydown", (event) => {
    // A key that is held down answers nothing, and Enter in a row answers nothing either.
    if (event.key === "Enter" && (event.repeat || event.target.name === "rows")) event.preventDefault();
  });
  $("#table-unseen").addEventListener("click", () => {
    const row = chosen().find((one) => !isSeen(one));
    row?.scrollIntoView({ block: "center" });
  });
}
