// The load page: charts drawn again after a refresh, what was open and scrolled stays so, and a page
// that gets no answer says so.
"use strict";

(() => {
  const LATE_MS = 8000;
  const age = document.getElementById("load-age");
  let heard = Date.now(), open = [], scrolled = [];

  const places = () => [...document.querySelectorAll("#load .scroll, #load-charts .scroll")];
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (!/^load(-charts)?$/.test(event.detail.target.id)) return;
    open = [...document.querySelectorAll("#load-charts details[open]")].map((d) => d.closest(".multiple").id);
    scrolled = places().map((el) => [el.getAttribute("aria-label"), el.scrollLeft, el.scrollTop]);
  });
  document.body.addEventListener("htmx:afterSettle", (event) => {
    const id = event.detail.elt?.id;
    if (id !== "load" && id !== "load-charts") return;
    heard = Date.now();
    for (const name of open) document.querySelector(`#${name} details`)?.setAttribute("open", "");
    for (const el of places()) {
      const was = scrolled.find(([label]) => label === el.getAttribute("aria-label"));
      if (was) { el.scrollLeft = was[1]; el.scrollTop = was[2]; }
    }
    if (id === "load-charts") document.dispatchEvent(new CustomEvent("tower:look"));
  });

  setInterval(() => {
    const late = Date.now() - heard > LATE_MS;
    const words = late ? age.dataset.late : "Refreshed every 2 seconds";
    if (age.textContent !== words) age.textContent = words;
    age.toggleAttribute("data-stale", late);
  }, 1000);
  age.textContent = "Refreshed every 2 seconds";
})();
