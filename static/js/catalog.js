// The catalog's numbers come from the runs, after the list itself: the page never waits for them.
"use strict";

(() => {
  const table = document.getElementById("jobs");
  const note = document.getElementById("jobs-note");
  if (!table || !table.dataset.stats) return;
  const rows = [...table.querySelectorAll("tr[data-job]")];
  const FEW = 20;

  const put = (row, name, text, title) => {
    const cell = row.querySelector(`[data-stat="${name}"]`);
    cell.textContent = text;
    if (title) cell.title = title;
    return cell;
  };

  const fill = (row, stat) => {
    const numbers = stat || { runs: 0, finished: 0, success: null, waiting: 0 };
    put(row, "runs", numbers.runs.toLocaleString());
    const waiting = put(row, "waiting", numbers.waiting.toLocaleString());
    waiting.classList.toggle("strong", numbers.waiting > 0);
    if (numbers.success === null || numbers.finished === 0) { put(row, "success", "–", "No finished run"); return; }
    const said = `${numbers.succeeded} of ${numbers.finished} finished`;
    if (numbers.finished < FEW) { put(row, "success", "too few", said); return; }
    const cell = put(row, "success", `${(100 * numbers.success).toFixed(1)} %`, said);
    const below = numbers.success < Number(row.dataset.target);
    cell.dataset.below = below ? "yes" : "no";
    if (below) cell.title = `${said}: below the target`;
  };

  const load = async () => {
    table.setAttribute("aria-busy", "true");
    try {
      const slugs = rows.map((row) => row.dataset.job).join(",");
      const answer = await fetch(`${table.dataset.stats}?slugs=${encodeURIComponent(slugs)}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const found = await answer.json();
      for (const row of rows) fill(row, found[row.dataset.job]);
      const origin = answer.headers.get("Runs-Origin");
      note.textContent = `Runs and success: of ${origin === "replay" ? "replayed" : origin} runs, of seven days.`;
    } catch {
      note.textContent = "The numbers of runs can't be read at the moment; the list itself is right.";
    }
    table.removeAttribute("aria-busy");
  };
  load();
  let due = 0;
  document.body.addEventListener("tick:runs", () => {
    if (due) return;
    due = setTimeout(() => { due = 0; load(); }, 5000);
  });
})();
