// The catalog's numbers come from the runs, after the list itself: the page never waits for them.
"use strict";

(() => {
  const table = document.getElementById("jobs");
  const note = document.getElementById("jobs-note");
  if (!table || !table.dataset.stats) return;
  const rows = [...table.querySelectorAll("tr[data-job]")];
  const put = (row, name, text, title) => {
    const cell = row.querySelector(`[data-stat="${name}"]`);
    cell.textContent = text;
    if (title) cell.title = title;
    return cell;
  };

  const fill = (row, stat) => {
    const numbers = stat || { runs: 0, finished: 0, success: null, words: "—", waiting: 0 };
    put(row, "runs", numbers.runs.toLocaleString());
    const waiting = put(row, "waiting", numbers.waiting.toLocaleString());
    waiting.classList.toggle("strong", numbers.waiting > 0);
    const none = numbers.success === null;
    const said = none ? "No finished run" : `${numbers.succeeded} of ${numbers.finished} finished: ${numbers.verdict_words.toLowerCase()}`;
    const cell = put(row, "success", numbers.words, said);
    cell.dataset.below = numbers.verdict === "under" ? "yes" : "no";
    if (numbers.handed_over) cell.append(document.createElement("br"), handedOver(numbers));
  };

  // Neither a success nor a failure: a figure of its own, which leads to its runs.
  const handedOver = ({ handed_over: n, links }) => {
    const link = document.createElement("a");
    link.className = "sub nowrap";
    link.href = links.handed_over;
    link.textContent = `${n.toLocaleString()} handed over`;
    return link;
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
