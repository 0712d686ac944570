// Two runs side by side: keys and buttons that walk through the differences.
"use strict";

(() => {
  const { $$, keys, announce } = window.tower;
  const walk = (by) => {
    const all = $$("[data-difference]");
    if (!all.length) { announce("The two runs don't differ"); return; }
    const at = all.findIndex((el) => el === document.activeElement || el.contains(document.activeElement));
    const from = at < 0 && by < 0 ? 0 : at;
    const to = (from + by + all.length) % all.length;
    all[to].focus({ preventScroll: true });
    all[to].scrollIntoView({ block: "center" });
    announce(`Difference ${to + 1} of ${all.length}`);
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-walk]");
    if (button) walk(Number(button.dataset.walk));
  });
  keys?.(document.body, { n: () => walk(1), p: () => walk(-1) });
})();
