// Lengths of time as people read them, for what pages keep fresh: the same rules as in
// apps/web/domain/quantities.py. tests/e2e/test_quantities.py holds both to one table.
"use strict";

(() => {
  const MINUTE = 60, HOUR = 3600, DAY = 86400;
  const SOON_SECONDS = 120, SOON_SHARE = 0.2;
  const two = (n) => String(n).padStart(2, "0");

  // Whole seconds in the two units that matter: 42 s, 1 m 04 s, 2 h 05 m, 3 d 4 h.
  const durationWords = (s) => {
    if (s < MINUTE) return `${s} s`;
    if (s < HOUR) return `${Math.floor(s / MINUTE)} m ${two(s % MINUTE)} s`;
    return s < DAY ? `${Math.floor(s / HOUR)} h ${two(Math.floor((s % HOUR) / MINUTE))} m`
      : `${Math.floor(s / DAY)} d ${Math.floor((s % DAY) / HOUR)} h`;
  };
  const coarseWords = (seconds) => {
    const s = Math.floor(Math.abs(seconds));
    if (s < MINUTE) return `${s} s`;
    if (s < HOUR) return `${Math.floor(s / MINUTE)} min`;
    return s < DAY ? `${Math.floor(s / HOUR)} h` : `${Math.floor(s / DAY)} d`;
  };
  const agoWords = (s) => s >= 0 ? `${coarseWords(s)} ago` : `in ${coarseWords(s)}`;
  const dueWords = (left) => {
    if (left < 0) return `overdue ${coarseWords(left)}`;
    const s = Math.floor(left);
    return s >= 10 * MINUTE && s < HOUR ? coarseWords(s) : durationWords(s);
  };
  const urgency = (left, window) => {
    if (left < 0) return "late";
    return left <= Math.max(SOON_SECONDS, window * SOON_SHARE) ? "soon" : "";
  };
  window.quantities = { agoWords, dueWords, urgency };
})();
