// The home page: countdowns between two reads, and a title that counts what needs you.
"use strict";

(() => {
  const tick = () => {
    for (const el of document.querySelectorAll("[data-countdown]")) {
      const left = Math.max(Number(el.dataset.countdown) - 1, 0);
      el.dataset.countdown = String(left);
      el.textContent = left > 0 ? `${left} s` : "a moment";
    }
  };
  setInterval(tick, 1000);

  const words = document.title.replace(/^\(\d+\) /, "");
  const count = () => {
    const n = document.querySelectorAll("#needs .need").length;
    document.title = n ? `(${n}) ${words}` : words;
  };
  document.body.addEventListener("htmx:afterSettle", (event) => { if (event.detail.target.id === "needs") count(); });
})();
